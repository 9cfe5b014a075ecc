"""A request to boot, and the plan that answers it."""

from __future__ import annotations

import enum

import attrs

from pxetwist.model.answer import Answer
from pxetwist.model.boots import Boot, Files, Ignored, Iscsi, Menu, RaspberryPi
from pxetwist.model.content import ContentPath
from pxetwist.model.families import Setting
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.installers import Esxi, Windows
from pxetwist.model.machine import Machine
from pxetwist.model.nfs_root import NfsRoot


class BootStage(enum.Enum):
    """How far a machine has come."""

    FIRMWARE = "firmware"
    LOADER = "loader"  # iPXE, GRUB, PXELINUX
    KERNEL = "kernel"  # the kernel, its initramfs or the installed system
    ROOT = "root"


class Protocol(enum.Enum):
    """The mouth through which a machine asks."""

    DHCP = "dhcp"
    DHCP6 = "dhcp6"
    PROXY_DHCP = "proxydhcp"
    BINL = "4011"
    TFTP = "tftp"
    HTTP = "http"
    NFS = "nfs"
    FTP = "ftp"
    SFTP = "sftp"


@attrs.frozen
class SecurePort:
    """A port of ours that speaks HTTPS, and our name in its URLs (none: our address)."""

    number: int = 443
    name: str = ""


@attrs.frozen
class Endpoints:
    """Where this client reaches us: our address on its network, the port of HTTP, and that of
    HTTPS if the client can speak it. With `only_https` nobody is given a URL of HTTP.
    """

    address: str = ""
    http_port: int = 80
    secure: SecurePort | None = None
    only_https: bool = False

    @property
    def http(self) -> str:
        """The base URL for anybody, without a slash at its end."""
        if self.only_https:
            return self.web
        port = "" if self.http_port == 80 else f":{self.http_port}"
        return f"http://{self.host}{port}"

    @property
    def web(self) -> str:
        """The base URL for the client that asks: of HTTPS if it can speak that."""
        if self.secure is None:
            return self.http
        port = "" if self.secure.number == 443 else f":{self.secure.number}"
        return f"https://{self.secure.name or self.host}{port}"

    @property
    def tftp(self) -> str:
        """The base URL for TFTP, without a slash at its end."""
        return f"tftp://{self.host}"

    @property
    def host(self) -> str:
        """Our address as URLs spell it (RFC 3986 §3.2.2)."""
        return f"[{self.address}]" if ":" in self.address else self.address


@attrs.frozen
class Login:
    """What a person typed at a machine."""

    username: str
    password: str = attrs.field(repr=False)


#: What may have an answer.
_ANSWERED = Files | Windows | Esxi | Iscsi


@attrs.frozen
class BootPlan:
    """What a policy decided for one machine: complete, comparable, printable.

    `loader` names the loader family that must do it (``ipxe``, ``grub``, ``pxelinux``); empty
    leaves the choice to the site's loaders. `reason` is one sentence for people. `policy` is the
    instance that decided; the resolver fills it in. `settings` say for people what went into
    it, and from where.
    """

    boot: Boot
    profile: str = ""
    reason: str = ""
    policy: str = ""
    loader: str = ""
    settings: tuple[Setting, ...] = attrs.field(default=(), eq=False)

    @classmethod
    def ignore(cls, reason: str) -> BootPlan:
        """Stay silent, and say why in the log."""
        return cls(Ignored(), reason=reason)

    def decided_by(self, policy: str) -> BootPlan:
        """Return it with the name of the instance that decided."""
        return BootPlan(
            self.boot, self.profile, self.reason, policy, self.loader, settings=self.settings
        )

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers of what it starts, or lets a person choose; those of Windows and ESXi only
        if they are secret.
        """
        found = [
            boot.answer
            for boot in self._boots
            if isinstance(boot, _ANSWERED)
            and boot.answer
            and (boot.answer.secret or isinstance(boot, Files))
        ]
        return tuple(found)

    @property
    def _boots(self) -> tuple[Boot, ...]:
        """What it starts, and what it lets a person choose."""
        menu = self.boot
        if not isinstance(menu, Menu):
            return (menu,)
        return (menu, *(entry.boot for entry in menu.entries))

    @property
    def roots(self) -> tuple[NfsRoot, ...]:
        """The roots of ours that it names: of what it starts, or lets a person choose."""
        found = [
            each.root
            for each in self._boots
            if isinstance(each, Files | RaspberryPi) and each.root
        ]
        return tuple(dict.fromkeys(found))

    @property
    def ignored(self) -> bool:
        """Whether the machine must get no answer at all."""
        return isinstance(self.boot, Ignored)


@attrs.frozen
class BootRequest:
    """One question of one machine.

    `wanted` is the path of a file that is asked for. `machine` and `plan` are filled in by the
    resolver on the way. `boot_id` ties the requests of one boot together. `login` came with an
    HTTP request (RFC 7617). `accepts` says that it takes up what was offered a moment ago.
    `secure` ones came over TLS. `granted` is the profile whose answers it may read.
    """

    identity: ClientIdentity
    stage: BootStage
    protocol: Protocol
    wanted: ContentPath | None = None
    endpoints: Endpoints = Endpoints()
    machine: Machine | None = None
    plan: BootPlan | None = None
    boot_id: str = ""
    login: Login | None = None
    accepts: bool = False
    secure: bool = False
    granted: str = ""

    def answered(
        self, machine: Machine | None, plan: BootPlan | None, *, accepts: bool = False
    ) -> BootRequest:
        """Return it with machine and plan, as of somebody who `accepts` them if that is said;
        every message is, so it must not cost much.
        """
        return BootRequest(
            self.identity,
            self.stage,
            self.protocol,
            self.wanted,
            self.endpoints,
            machine,
            plan,
            boot_id=self.boot_id,
            login=self.login,
            accepts=self.accepts or accepts,
            secure=self.secure,
            granted=self.granted,
        )

    def reaching(self, endpoints: Endpoints) -> BootRequest:
        """Return it as of somebody who reaches us elsewhere."""
        return BootRequest(
            self.identity,
            self.stage,
            self.protocol,
            self.wanted,
            endpoints,
            self.machine,
            self.plan,
            self.boot_id,
            self.login,
            self.accepts,
            self.secure,
            self.granted,
        )


@attrs.frozen
class Step:
    """One thing that was asked on the way to a plan: `who` (``hosts rack``), and its `answer`."""

    who: str
    answer: str
    elapsed: float = 0.0


class Verdict(enum.Enum):
    """How a resolution ended; only the first has a plan. The others are never confused."""

    PLANNED = "planned"
    NO_OPINION = "no opinion"  # every policy passed
    IGNORED = "ignored"  # a policy said: stay silent
    BROKEN = "broken"  # a directory or policy failed


@attrs.frozen
class Resolution:
    """The answer to a :class:`BootRequest`: the request with machine and plan, and the way there.

    `reason` says in words why there is no plan; it is empty when there is one. One that does not
    `last` is what was offered before something changed: it is acknowledged, and not given again.
    """

    request: BootRequest
    verdict: Verdict
    steps: tuple[Step, ...] = ()
    reason: str = ""
    lasts: bool = True

    @property
    def machine(self) -> Machine | None:
        """What the directories said."""
        return self.request.machine

    @property
    def plan(self) -> BootPlan | None:
        """What the policies said; never an ignored plan, that is a verdict."""
        return self.request.plan


#: The editions of everything that a decision was made by; `None`: somebody wants to be asked each
#: time.
Edition = tuple[int, ...] | None


@attrs.frozen
class BootFile:
    """The first file for a firmware or loader: a path for TFTP, or a URL.

    `family` is the loader family it belongs to, or ``script`` or ``nbp``; `reason` for people.
    """

    name: str
    family: str
    reason: str = ""
