"""The seams of pxetwist: what a plugin must provide, and what it is given.

Every method that may wait is ``async def``. A plugin's constructor touches nothing outside
itself; an object that needs to be started or stopped provides :class:`IService` as well.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from zope.interface import Attribute, Interface

from pxetwist.file_tree import IExport
from pxetwist.model.answer import Answer
from pxetwist.model.boot import (
    BootFile,
    BootPlan,
    BootRequest,
    BootStage,
    Edition,
    Login,
    Resolution,
    SanDisk,
)
from pxetwist.model.client_class import ClientClass
from pxetwist.model.content import ContentInfo, ContentPath, Listed
from pxetwist.model.event import BootEvent
from pxetwist.model.health import Health
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network
from pxetwist.model.machine import Machine
from pxetwist.model.network6 import Network6
from pxetwist.model.nfs_root import MOUNT_OPTIONS
from pxetwist.model.order import Order, Taker, Terms
from pxetwist.model.profile import BootProfile
from pxetwist.model.redemption import AnswerQuestion, Redemption
from pxetwist.model.report import MachineReport


class IHostDirectory(Interface):
    """Knows machines."""

    async def find_machine(identity: ClientIdentity) -> Machine | None:
        """Return the machine that this identity belongs to, or `None`: not known here.

        :raises DirectoryUnavailable: if it cannot be asked now.
        """


class IReservations(Interface):
    """May be provided by a host directory as well: the addresses it has promised to machines."""

    def reserved_addresses() -> Collection[IPv4Address | IPv6Address]:
        """Return all addresses that no pool may give to others."""


class IRemembers(Interface):
    """May be provided by a host directory and by a state: knows without asking anybody.

    When more arrives than can be answered, machines that somebody remembers come first.
    """

    def remembers(mac: str) -> bool:
        """Return whether this MAC is that of a known machine, or of one that has had a lease."""


class IListsMachines(Interface):
    """May be provided by a host directory as well, if it has all its machines at hand."""

    def machines() -> Collection[Machine]:
        """Return every machine."""


class IReloads(Interface):
    """May be provided by any plugin: reads its data again when the server gets SIGHUP."""

    def reload() -> None:
        """Read the data again; on a mistake log it and keep the last good state."""


class IHealth(Interface):
    """May be provided by any plugin: knows how well it works.

    Such a directory keeps a deadline of its own, and refuses at once what it need not ask.
    """

    def health() -> Health:
        """Return its state, since when, the last error, and counters."""


class IBootPolicy(Interface):
    """Decides what a machine boots."""

    async def plan_boot(request: BootRequest) -> BootPlan | None:
        """Return a plan, an ignored plan (stay silent), or `None`: no opinion, ask the next.

        :raises PolicyError: if it should decide but cannot.
        """


class ISteady(Interface):
    """May be provided by a directory and by a policy: it answers out of what it has read.

    Its answer depends on the identity, stage, protocol, endpoints and machine of a request alone,
    and is the same until its edition changes: then it need not be asked again.
    """

    def edition() -> int | None:
        """Return the number of the present edition; `None`: it must be asked each time."""


class IExplains(Interface):
    """May be provided by a policy as well: says how it decides."""

    def explain(request: BootRequest) -> Sequence[str]:
        """Return one line for each thing that it tried for this request, whose machine is set."""


class IAdvises(Interface):
    """May be provided by a policy as well: judges what it was told, for ``pxetwist check``.

    `machines` are all that the directories know; `None` if one of them cannot list its own.
    """

    def advice(
        machines: Collection[Machine] | None, architectures: Collection[str]
    ) -> Sequence[str]:
        """Return a sentence, with file and line, for each thing that looks wrong.

        `architectures` are the short names of those that machines or loaders here have.
        """

    def profiles_named(machines: Collection[Machine] | None) -> Collection[str] | None:
        """Return the names of all profiles that it may give; `None`: it cannot say."""


class IBegins(Interface):
    """May be provided by a policy as well: is asked once more before its plan takes effect."""

    async def begin(request: BootRequest) -> bool:
        """Return whether the plan of this request still holds, just before a loader is given the
        text for it or a machine its program. If not, everything is decided anew.

        :raises PolicyError: if it cannot tell now; nothing is given then.
        """


class IHears(Interface):
    """May be provided by a policy as well: is told what machines say of themselves."""

    async def hear(report: MachineReport) -> str | None:
        """Take note, and return a text for the machine; `None`: this is for others.

        :raises StateUnavailable: if it cannot be stored; the machine is told to try again.
        """


class IAuthenticator(Interface):
    """May be provided by a host directory as well: knows persons and their passwords."""

    async def authenticate(login: Login) -> Collection[str] | None:
        """Return the groups of the person, or `None`: unknown, or the password is wrong.

        :raises DirectoryUnavailable: if it cannot be asked now.
        """


class ILeaseStore(Interface):
    """Keeps who holds which address. Times are seconds since the epoch."""

    async def offer(
        identity: ClientIdentity,
        network: Network,
        wanted: IPv4Address | IPv6Address | None,
        reserved: IPv4Address | IPv6Address | None,
        avoid: Collection[IPv4Address | IPv6Address],
        now: float,
    ) -> Lease | None:
        """Hold an address for this client for a minute and return it; `None`: the pool is empty.

        In this order (RFC 2131 §4.3.1): `reserved` if given, the client's current or former
        address, `wanted` if free, the longest unused one. `avoid` is never given from a pool.
        """

    async def commit(lease: Lease, now: float) -> Lease:
        """Store a lease; it is durable when this returns, and only then may be acknowledged.

        :raises LeaseConflict: if somebody else holds the address by now.
        :raises StateUnavailable: if it cannot be stored.
        """

    async def release(
        address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """End the lease if this client holds it, and remember it for its return."""

    async def decline(
        address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """Keep an address out of use for a day: the client found it taken (RFC 2131 §4.3.3)."""

    async def held(identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return the offer or lease of this client in this network, if it has not ended."""

    async def holder(address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return the offer or lease of an address, if it has not ended."""

    def leases() -> Iterable[Lease]:
        """Return every record, in the order of addresses."""


class IAtHand(Interface):
    """May be provided by a lease store as well: it has leases in memory, and stores them while
    others are answered.
    """

    def present(identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what `held` does, if that is known at once; else `None`."""

    def keep(lease: Lease, now: float, then: Callable[[Exception | None], None]) -> None:
        """Store a lease, as `commit` does; call `then`, which raises nothing, once it is durable,
        or with the exception that `commit` would raise: maybe before this returns.
        """


class ILeaseReader(IService):
    """Reads leases that another process gives; what it keeps as notes (`INotes`) all know."""

    async def holder(address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return the lease of an address, if it has not ended; `None` if that cannot be told."""


class ISharesLeases(Interface):
    """May be provided by a state as well: processes beside the server can read its leases."""

    def reader() -> ILeaseReader:
        """Return what reads them; the store itself is not started there."""


class INotes(Interface):
    """May be provided by a state as well: keeps short texts that parts of the server have learned.

    :raises StateUnavailable: each method, if it cannot be asked or cannot store.
    """

    async def recall(topic: str) -> Mapping[str, str]:
        """Return all notes of a topic by their keys, the oldest first."""

    async def remember(topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        """Keep notes, in the place of former ones with the same keys; beyond `limit` of a topic
        the oldest are forgotten.
        """


class IOrderStore(Interface):
    """Keeps what machines are to boot once. Times are seconds since the epoch.

    What a method returns as changed is durable. Several servers may share one store.

    :raises StateUnavailable: each method, if the store cannot be asked or cannot store.
    """

    async def find(machines: Collection[str], now: float) -> Sequence[Order]:
        """Return the last order of each of these names and MACs, and the last one for each of
        their labels, as they were at most one second ago.
        """

    def edition() -> int | None:
        """Return a number which is another one as soon as `find` may answer otherwise; `None`:
        that cannot be told without asking it.
        """

    async def add(order: Order) -> Order:
        """Store a new order and return it with its number.

        :raises OrderConflict: if its machine has one that is not at its end.
        """

    async def take(order: Order, taker: Taker, terms: Terms, now: float) -> Order | None:
        """Hand an order to a boot; one without a number is stored first, unless its label has
        been. `None`: this boot may not have it, for instance because another one was quicker.
        """

    async def report(taker: Taker, word: str, text: str, now: float) -> Order | None:
        """Note what a boot says of the order that it took last; `None`: it took none."""

    async def abandon(order: Order, taker: Taker, terms: Terms, now: float) -> Order:
        """Note that the machine of a taken order starts anew, and return what the order is now."""

    async def sweep(now: float) -> Sequence[Order]:
        """Return the orders whose time was over, and that nobody else has ended before."""


class IRedemptions(Interface):
    """Keeps which secret answers were given, so that each is given once.

    :raises StateUnavailable: each method, if that cannot be stored.
    """

    async def claim(name: str, now: float) -> bool | None:
        """Note that something is given, durably, and return whether it is for a second time: it
        did not arrive, and that is not long ago. `None`: it must not be given. While somebody
        is being given the same, this waits for the end of that.
        """

    async def settle(name: str, *, whole: bool) -> None:
        """Note how it ended, and let those go on who wait: `whole`, if all of it has arrived."""


class IContent(Interface):
    """An open content."""

    info: ContentInfo = Attribute("size, modified, tag, media type; the size is never unknown")

    async def read(offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer only at the end."""

    def fileno() -> int | None:
        """Return a plain file's descriptor, so that services may use sendfile or a memory map.

        The content begins at `info.offset` in that file, and may end before it.
        """

    def close() -> None:
        """Let go of it; closing twice does no harm."""


class IContentStore(Interface):
    """Has files, or makes them."""

    async def open(path: ContentPath, request: BootRequest) -> IContent:
        """Open a content for this request, whose `machine` and `plan` are resolved.

        :raises ContentNotFound: if there is none here; the next store is asked.
        :raises ContentDenied: if there is, but not for this request.
        """


class IListsFolders(Interface):
    """May be provided by a content store as well: shows everybody what is in its folders."""

    def listed(path: ContentPath) -> Sequence[Listed]:
        """Return what is in a folder, in any order.

        :raises ContentNotFound: if there is no such folder here, or it is not shown.
        :raises ContentDenied: if it is not for anybody.
        """


class INamesDisks(Interface):
    """May be provided by a content store as well: knows the words of profiles for iSCSI disks."""

    def disk(request: BootRequest) -> SanDisk | None:
        """Return the disk of a resolved request; `None`: its plan has none.

        :raises PolicyError: if the profile makes no names of it.
        """


class IBootObserver(Interface):
    """Is told of every event; can delay or change nothing."""

    def notice(event: BootEvent) -> None:
        """Take note, quickly; an exception is logged and does no harm to the boot."""


class IBootService(IService):
    """A listening part of the server."""

    def listening() -> Sequence[IAddress]:
        """Return what it listens on, once started."""


class ISharesPorts(Interface):
    """May be provided by a service as well: several processes may run it, on the same ports.

    All that such a service knows of machines it asks the boot for.
    """

    def ports() -> Sequence[Port]:
        """Return what it listens on."""


class ICounts(Interface):
    """May be provided by a service: what it has counted since the start."""

    def counts() -> Mapping[str, int]:
        """Return how often each thing happened, by its name."""


class IBoot(Interface):
    """The one answer behind all protocols; every plugin can ask it through its site."""

    rehearsal: bool = Attribute("whether nothing takes effect, as in `pxetwist explain`")
    leases: ILeaseStore = Attribute("the state's leases; there from the start of the services on")

    async def resolve(request: BootRequest) -> Resolution:
        """Find machine and plan. Never raises: what broke is a silence with its reason."""

    def edition() -> Edition:
        """Return by which editions of directories and policies it decides now (`ISteady`)."""

    def confirm(
        identity: ClientIdentity, resolution: Resolution, edition: Edition, now: float
    ) -> str:
        """Let a machine be given the same decision once more: note that it was seen, as for a new
        request, and return its boot id. Empty: the decision does not stand, it must be resolved.
        """

    async def open(path: ContentPath, request: BootRequest) -> IContent:
        """Open a content from the first store that has it, for a resolved request.

        :raises ContentNotFound: if no store has it.
        :raises ContentDenied: if it is not for this request.
        """

    def listed(path: ContentPath) -> Sequence[Listed]:
        """Return what stores show of a folder, by name.

        :raises ContentNotFound: if none shows it.
        """

    async def identify(address: str, now: float) -> tuple[ClientIdentity, str]:
        """Return who speaks from this address, as far as we know, and the id of its boot.

        Known from what was answered lately, else from leases, else from the kernel's neighbour
        table; an identity with nothing but the address if from none of them.
        """

    def see(identity: ClientIdentity, stage: BootStage, now: float) -> str:
        """Note that this machine is at this stage; return the id of its boot."""

    def locate(address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float) -> None:
        """Note that this machine speaks from this address."""

    def seen_at(address: str, now: float) -> bool:
        """Return whether a machine was seen at this address lately, without asking anybody."""

    def boot_file(request: BootRequest, now: float) -> BootFile | None:
        """Choose the first file for a resolved request of firmware or loader.

        `None`: this client starts nothing, or there is no loader for it.
        """

    def looping(identity: ClientIdentity, now: float) -> bool:
        """Whether this machine's iPXE was stopped for loading iPXE over and over."""

    def script_base(request: BootRequest, now: float) -> str:
        """Return the URL below which this machine's scripts are; nobody else knows it."""

    async def authenticate(guard: str, login: Login) -> Collection[str] | None:
        """Let a directory check a person's password: the person's groups, or `None`.

        :raises DirectoryUnavailable: if it cannot be asked, or checks no passwords.
        """

    def redeem(token: str, now: float, purpose: str = "") -> tuple[ClientIdentity, str] | None:
        """Return the identity and boot id that a URL was made for: a script's, or that of a
        `purpose`. `None`: it is not ours, was made for something else, or is too old.
        """

    def token(request: BootRequest, purpose: str, now: float) -> str:
        """Return the part of a URL by which :meth:`redeem` knows this machine, in this boot, for a
        purpose; good for a day. Empty for a machine without a MAC.
        """

    def report_url(request: BootRequest, topic: str, now: float) -> str:
        """Return the URL at which this machine, in this boot, may report on a topic; empty for a
        machine without a MAC.
        """

    async def answer_folder(request: BootRequest, answer: Answer, now: float) -> str:
        """Return the URL below which this machine, in this boot and at its present address, finds
        the files of an answer; empty for a machine without a MAC.
        """

    async def redeem_answer(question: AnswerQuestion, now: float) -> Redemption:
        """Judge who asks for a file of an answer; observers are told.

        :raises AnswerRefused: if it is not to be given.
        :raises StateUnavailable: if it is given once, and that cannot be stored.
        """

    async def settle_answer(redemption: Redemption, *, whole: bool) -> None:
        """Note how the answer to a redemption ended; must be called after each."""

    async def hear(report: MachineReport) -> str | None:
        """Pass a report to the policies; return the answer to the machine, `None`: not wanted.

        :raises StateUnavailable: if it cannot be stored.
        """

    async def begin(request: BootRequest) -> BootRequest:
        """Put the plan of a resolved request into effect; return the request with the plan that
        holds, which may be another one by now.

        :raises ContentNotFound: if there is no plan any more.
        :raises PolicyError: if that cannot be known now.
        """

    def reserved_addresses() -> Collection[IPv4Address | IPv6Address]:
        """Return what directories have promised to machines."""

    def remembers(mac: str) -> bool:
        """Return whether a directory or the leases know this MAC, without asking anybody."""

    def disk(request: BootRequest) -> SanDisk | None:
        """Return the iSCSI disk of a resolved request; `None`: there is none, or no store that
        knows its name.

        :raises PolicyError: if the profile makes no names of it.
        """

    def export(name: str) -> IExport | None:
        """Return the export of this name, if the INI has one; ask once the services start."""

    def export_names() -> Collection[str]:
        """Return the names of all exports."""

    def sign(body: bytes, purpose: str) -> bytes:
        """Return 12 bytes that nobody else can make, always the same for a body and a purpose."""

    def choose(identity: ClientIdentity, entry: str, now: float) -> None:
        """Note which entry of its menu a machine's firmware shows as chosen: it holds for this
        boot. An empty one takes that back.
        """

    observed: bool = Attribute("whether anybody hears of events (`tell`)")

    def attend(observer: IBootObserver) -> None:
        """Let a part of the server hear every event as well."""

    def tell(event: BootEvent) -> None:
        """Pass an event to every observer."""


@attrs.frozen
class Port:
    """A port to listen on: `protocol` is ``udp`` or ``tcp``, `interface` limits it to one."""

    protocol: str
    address: str
    number: int
    interface: str = ""


@attrs.frozen
class Site:
    """What a plugin instance is given; nothing in pxetwist is global.

    `name` is the instance's (``rack`` of ``[hosts:rack]``), `folder` that of the INI (relative
    paths start there), `state_folder` where it may write. `reactor` is the real one, and is
    also the clock. `profiles`, `networks` and `networks6` are those of the INI, by name,
    `classes` its classes of clients in their order. `https` says that there are URLs of HTTPS,
    `log_server` that machines may send us what they log. `nfs_options` are those with which they
    mount our `exports`, which are the plugins of these by their names. `worker` is the number of
    the process, from 1 on, if it is one of several that serve contents; it has `inherited` the
    sockets of its ports.
    """

    name: str
    reactor: Any
    log: Logger
    folder: Path
    state_folder: Path
    boot: Any  # IBoot; mypy-zope cannot see through an attribute
    profiles: Mapping[str, BootProfile] = attrs.field(factory=dict)
    networks: Mapping[str, Network] = attrs.field(factory=dict)
    networks6: Mapping[str, Network6] = attrs.field(factory=dict)
    classes: Sequence[ClientClass] = ()
    http_port: int = 80
    https: bool = False
    log_server: bool = False
    nfs_options: str = MOUNT_OPTIONS
    worker: int = 0
    inherited: Mapping[Port, socket.socket] = attrs.field(factory=dict)
    exports: Mapping[str, str] = attrs.field(factory=dict)


class IPluginFactory(Interface):
    """What a dropin, a file in the site folder or an entry point provides."""

    kind: str = Attribute("hosts, policy, state, content, export, observer or service")
    name: str = Attribute("its name in the INI")
    summary: str = Attribute("one line about it")

    def settings() -> type:
        """Return the frozen attrs class of `option()` fields that its section is bound to."""

    def build(settings: Any, site: Site) -> object:
        """Make the instance; one that provides IService is started and stopped.

        It may read files that a person wrote, so that their mistakes show at once; all other IO
        belongs to the start.
        """
