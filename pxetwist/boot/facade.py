"""The one answer behind every mouth: what the services and plugins ask through their site."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.boot.answers import Answers
from pxetwist.boot.contents import Contents
from pxetwist.boot.https import Https
from pxetwist.boot.loader_trials import LoaderTrials
from pxetwist.boot.loaders import Loader, Loaders
from pxetwist.boot.neighbours import Neighbours, peer_address, peer_link
from pxetwist.boot.offered import Offers
from pxetwist.boot.policies import Policies
from pxetwist.boot.resolver import IDENTIFICATION, BootResolver, Identification
from pxetwist.boot.sightings import LOOP_LIMIT, Sightings
from pxetwist.boot.tokens import Tokens
from pxetwist.errors import ContentDenied, DirectoryUnavailable
from pxetwist.file_tree import IExport
from pxetwist.interfaces import (
    IAuthenticator,
    IBoot,
    IBootObserver,
    IBootPolicy,
    IContent,
    IContentStore,
    IExplains,
    IHostDirectory,
    IRemembers,
    IReservations,
    ISteady,
)
from pxetwist.model.answer import Answer
from pxetwist.model.boot import (
    BootFile,
    BootPlan,
    BootRequest,
    BootStage,
    Edition,
    Login,
    Menu,
    Nbp,
    Protocol,
    Resolution,
    SanDisk,
    Script,
    Step,
    Verdict,
    native_program,
)
from pxetwist.model.content import ContentPath, Listed
from pxetwist.model.event import BootEvent
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.lease import Network
from pxetwist.model.machine import Machine
from pxetwist.model.redemption import AnswerQuestion, Redemption
from pxetwist.model.report import MachineReport

#: The name under which a loader finds its script; iPXE itself asks for autoexec.ipxe.
SCRIPT_NAME = "boot.ipxe"
#: iPXE puts its settings into the names that it is given; these two no DHCP message has.
_MARKS = "?serial.hex=${serial:hexraw}&asset.hex=${asset:hexraw}"
_NO_HTTPS = Https()
_STARTS_NOTHING = (Firmware.SYSTEM, Firmware.UNKNOWN)
#: What is asked after DHCP has announced a plan.
_LATER = (Protocol.TFTP, Protocol.HTTP, Protocol.FTP, Protocol.NFS)


@attrs.frozen
class _Joined(Collection[IPv4Address | IPv6Address]):
    """What several directories have promised, looked up where it is: they may be large."""

    _parts: tuple[Collection[IPv4Address | IPv6Address], ...]

    def __contains__(self, address: object) -> bool:
        return any(address in part for part in self._parts)

    def __iter__(self) -> Iterator[IPv4Address | IPv6Address]:
        return chain.from_iterable(self._parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))


@implementer(IBoot)
class BootFacade:
    """Joins resolver, sightings, loaders, content and observers. Built first, attached later,
    since the plugins that it asks are given the facade themselves.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        loaders: Sequence[Loader] = (),
        networks: Mapping[str, Network],
        state_folder: Path,
        http_port: int = 80,
        https: Https = _NO_HTTPS,
        address: IPv4Address | None = None,
        identification: Identification = IDENTIFICATION,
        sightings: Sightings | None = None,
    ) -> None:
        self._reactor = reactor
        self.networks = networks
        self.http_port = http_port
        self.https = https
        self._address = str(address) if address else ""  # in the place of those that are asked
        self._identification = identification
        self.loaders = Loaders(tuple(loaders))
        self._trials = LoaderTrials()
        self.sightings = Sightings() if sightings is None else sightings
        self._offers = Offers()
        self._decisions = Offers()  # about who asks for contents, and has no plan from DHCP
        self._neighbours = Neighbours()
        self.tokens = Tokens(state_folder)
        self._attending: list[IBootObserver] = []
        self.attach(hosts=(), policies=(), content=(), observers=(), leases=None)

    def attach(
        self,
        *,
        hosts: Sequence[tuple[str, IHostDirectory]],
        policies: Sequence[tuple[str, IBootPolicy]],
        content: Sequence[tuple[str, IContentStore]],
        observers: Sequence[tuple[str, IBootObserver]],
        leases: Any,
        redemptions: Any = None,
        exports: Mapping[str, IExport] = MappingProxyType({}),
    ) -> None:
        """Give it the plugins, in the order of the INI; without `redemptions` nothing can be
        given but once.
        """
        self.resolver = BootResolver(
            *(self._reactor, hosts, policies, self._identification, self.loaders.family_of)
        )
        self.leases: Any = leases  # ILeaseStore; `None` only before the plugins are there
        self._reservations = [each for _, each in hosts if IReservations.providedBy(each)]
        memories = (*(each for _, each in hosts), leases)
        self._memories = [each for each in memories if IRemembers.providedBy(each)]
        asked: list[Any] = [each for _, each in (*hosts, *policies)]
        self._steady = asked if all(map(ISteady.providedBy, asked)) else None
        self._guards = {name: each for name, each in hosts if IAuthenticator.providedBy(each)}
        self.policies = Policies(self.resolver, self.sightings, policies)
        self._contents = Contents(tuple(store for _, store in content), self.loaders)
        self._observers = observers
        self.redemptions = redemptions
        self._exports = exports

    def reload(self) -> None:
        """Decide every machine anew: directories were read again."""
        self.sightings.forget_plans()
        self._offers.forget()
        self._decisions.forget()

    @property
    def rehearsal(self) -> bool:
        """Whether nothing takes effect."""
        return self.policies.rehearsal

    def now(self) -> float:
        """Return the time by which it judges, in seconds since the epoch."""
        return self._reactor.seconds()

    def policies_that_explain(self) -> Sequence[IExplains]:
        """Return the policies that can say how they decide."""
        return [policy for _, policy in self.policies.policies if IExplains.providedBy(policy)]

    # Who is it?

    def see(self, identity: ClientIdentity, stage: BootStage, now: float) -> str:
        """Note a machine at a stage; return its boot id."""
        return self.sightings.see(identity, stage, now).boot_id if identity.key else ""

    def locate(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> None:
        """Note the address that a machine speaks from."""
        if identity.key and int(address):
            self.sightings.locate(address, identity.key)

    async def identify(self, address: str, now: float) -> tuple[ClientIdentity, str]:
        """Turn a peer address into the machine behind it, as well as we know."""
        peer = peer_address(address)
        if peer is None:
            return ClientIdentity(), ""
        sighting = self.sightings.at(peer, now)
        if sighting is None:
            mac = await self._mac_at(peer, peer_link(address), now)
            if not mac:
                return ClientIdentity(address=peer), ""
            sighting = self.sightings.get(mac, now)
            if sighting is None:
                return ClientIdentity(mac=mac, address=peer), ""
        identity = sighting.identity
        if identity.address != peer:
            identity = attrs.evolve(identity, address=peer)
        return identity, sighting.boot_id

    def seen_at(self, address: str, now: float) -> bool:
        """Whether a machine was seen at this address lately, without asking anybody."""
        peer = peer_address(address)
        return peer is not None and self.sightings.at(peer, now) is not None

    async def _mac_at(self, peer: IPv4Address | IPv6Address, link: int, now: float) -> str:
        lease = await self.leases.holder(peer, now) if self.leases else None
        if lease is not None and lease.key.count(":") == 5:
            return str(lease.key)
        return self._neighbours.mac(peer, link, now)

    def redeem(
        self, token: str, now: float, purpose: str = ""
    ) -> tuple[ClientIdentity, str] | None:
        """Turn the token of a URL into the machine it was made for."""
        redeemed = self.tokens.redeem(token, now, purpose)
        if redeemed is None:
            return None
        identity, boot_id = redeemed
        sighting = self.sightings.get(identity.key, now)
        if sighting and sighting.boot_id == boot_id:
            identity = attrs.evolve(
                sighting.identity, architecture=identity.architecture, firmware=Firmware.IPXE
            )
        return identity, boot_id

    def reserved_addresses(self) -> Collection[IPv4Address | IPv6Address]:
        """Collect what the directories have promised."""
        parts = [each.reserved_addresses() for each in self._reservations]
        filled = tuple(part for part in parts if part)
        return filled[0] if len(filled) == 1 else _Joined(filled) if filled else ()

    def remembers(self, mac: str) -> bool:
        """Look where it costs nothing: at what was found out, then at what is at hand."""
        sighting = self.sightings.get(mac, self._reactor.seconds())
        if sighting is not None and sighting.machine is not None:
            return True
        return any(each.remembers(mac) for each in self._memories)

    # What does it get?

    async def resolve(self, request: BootRequest) -> Resolution:
        """Resolve a request, and choose address and scheme of this client's URLs."""
        resolution = await self._resolve(request)
        endpoints = self.https.endpoints(resolution.request)
        if self._address and ":" not in endpoints.address:
            endpoints = attrs.evolve(endpoints, address=self._address)
        before = resolution.request.endpoints
        if endpoints is before or endpoints == before:
            return resolution
        return attrs.evolve(
            resolution, request=attrs.evolve(resolution.request, endpoints=endpoints)
        )

    async def _resolve(self, request: BootRequest) -> Resolution:
        """Within one boot TFTP, HTTP and NFS keep the plan that DHCP announced, unless it was that
        of a stranger, who tells now by what directories may know it, or of somebody without the
        certificate that is shown now. Who takes up an offer gets what was offered.
        """
        now = self._reactor.seconds()
        sighting = self.sightings.get(request.identity.key, now)
        dhcp = sighting is not None and request.protocol is Protocol.DHCP
        if sighting is not None:
            learned = sighting.learned(request.identity)
            news = learned is not sighting.identity and sighting.machine is None
            if learned is not sighting.identity:
                self.sightings.amend(sighting, identity=learned)
            recalled = sighting.recall(request.identity)
            if recalled is not request.identity:
                request = attrs.evolve(request, identity=recalled)
            same = sighting.decided_for(request.identity)
            if sighting.plan and request.protocol in _LATER and not news and same:
                return _as_announced(request, sighting.machine, sighting.plan)
        resolution, edition = None, self.edition()
        memory = self._memory(request, edition, dhcp=dhcp)
        if memory is not None:
            resolution = memory.recall(request, now, edition)
        if resolution is None:
            resolution = await self.resolver.resolve(request)
            if edition != self.edition():
                edition = None
            memory = self._memory(request, edition, dhcp=dhcp)
            if (
                memory is not None
                and resolution.verdict is not Verdict.BROKEN
                and (edition is not None or not request.accepts)
            ):
                memory.note(resolution, now, edition)
        certificate = request.identity.certificate
        if sighting is not None and (certificate or not sighting.certificate):
            if sighting.choice:
                resolution = _as_chosen(resolution, sighting.choice)
            self.sightings.amend(
                sighting,
                machine=resolution.machine,
                plan=resolution.plan,
                certificate=certificate,
            )
        return resolution

    def _memory(self, request: BootRequest, edition: Edition, *, dhcp: bool) -> Offers | None:
        """Return what remembers decisions like that about a request, if anything may."""
        if dhcp:
            return self._offers
        if edition is None or request.protocol not in _LATER or not request.identity.key:
            return None
        return self._decisions if request.machine is None else None

    def confirm(
        self, identity: ClientIdentity, resolution: Resolution, edition: Edition, now: float
    ) -> str:
        """Give the same decision once more, in the present boot."""
        if edition is None or edition != self.edition():
            return ""
        request = resolution.request
        sighting = self.sightings.see(identity, request.stage, now)
        seen = sighting.identity
        if sighting.choice or sighting.certificate:
            return ""
        if seen is not request.identity and seen != request.identity:
            return ""
        if identity.address:
            self.sightings.locate(identity.address, identity.key)
        self.sightings.amend(sighting, machine=request.machine, plan=request.plan)
        self._offers.again(request, sighting.boot_id, now)
        return sighting.boot_id

    def edition(self) -> Edition:
        """Return what all that is asked answers from; `None`: not everything can tell."""
        if self._steady is None:
            return None
        editions = tuple([each.edition() for each in self._steady])
        return None if None in editions else (self._trials.edition, *editions)

    def script_base(self, request: BootRequest, now: float) -> str:
        """Return the URL below which this machine's scripts are."""
        if not request.identity.mac:
            return request.endpoints.web
        token = self.tokens.issue(request.identity, request.boot_id, now)
        return f"{request.endpoints.web}/boot/{token}"

    def token(self, request: BootRequest, purpose: str, now: float) -> str:
        """Return what tells the machine of a request in a URL for a purpose."""
        if not request.identity.mac:
            return ""
        return self.tokens.issue(request.identity, request.boot_id, now, purpose)

    def report_url(self, request: BootRequest, topic: str, now: float) -> str:
        """Return where this machine may report on a topic."""
        token = self.token(request, topic, now)
        if not token:
            return ""
        # Loaders report what they discover; what calls back may be any system.
        base = request.endpoints.web if topic == "discover" else request.endpoints.http
        return f"{base}/{topic}/{token}"

    @property
    def _answers(self) -> Answers:
        return Answers(
            self.tokens,
            self.sightings,
            self.https,
            self.resolve,
            self.tell,
            leases=self.leases,
            store=self.redemptions,
        )

    async def answer_folder(self, request: BootRequest, answer: Answer, now: float) -> str:
        """Return where this machine finds an answer."""
        return await self._answers.folder(request, answer, now)

    async def redeem_answer(self, question: AnswerQuestion, now: float) -> Redemption:
        """Judge who asks for an answer."""
        return await self._answers.redeem(question, now)

    async def settle_answer(self, redemption: Redemption, *, whole: bool) -> None:
        """Note how it ended."""
        await self._answers.settle(redemption, whole=whole)

    async def hear(self, report: MachineReport) -> str | None:
        """Pass a report to the policies."""
        return await self.policies.hear(report, self.tell)

    async def begin(self, request: BootRequest) -> BootRequest:
        """Put a plan into effect."""
        return await self.policies.begin(request, self._reactor.seconds())

    async def authenticate(self, guard: str, login: Login) -> Collection[str] | None:
        """Let the directory of this name check a person's password."""
        directory = self._guards.get(guard)
        if directory is None:
            raise DirectoryUnavailable(f"[hosts:{guard}] checks no passwords")
        groups: Collection[str] | None = await directory.authenticate(login)
        return groups

    def boot_file(self, request: BootRequest, now: float) -> BootFile | None:
        """Choose the first file of a resolved request."""
        plan, identity, base = request.plan, request.identity, request.endpoints
        if plan is None or identity.firmware in _STARTS_NOTHING:
            return None
        script = f"{base.web}/{SCRIPT_NAME}"
        if identity.firmware is Firmware.IPXE:  # nobody else is given a script
            script = f"{self.script_base(request, now)}/{SCRIPT_NAME}{_MARKS}"
            self._trials.spoke(identity.key)
            if self._loops(identity, plan, now):
                return BootFile(script, "script", "iPXE loads iPXE over and over: stopped")
        by_tftp = script if base.secure else f"{base.tftp}/{SCRIPT_NAME}"
        chosen = self.loaders.choose(
            *(identity, plan, base.web, script, by_tftp),
            name=request.machine.labels.get("loader", "") if request.machine else "",
            pick=partial(self._trials.pick, identity.key),
        )
        scheme = self.https.reason(request)
        if chosen is None or not scheme or not chosen.name.startswith("http"):
            return chosen
        return attrs.evolve(chosen, reason=f"{chosen.reason}, {scheme}")

    def _loops(self, identity: ClientIdentity, plan: BootPlan, now: float) -> bool:
        """Count the programs given to an iPXE: one may be iPXE under another name."""
        sighting = self.sightings.get(identity.key, now)
        if sighting is None or not isinstance(plan.boot, Nbp | Script):
            return False
        self.sightings.amend(sighting, handed=sighting.handed + 1)
        return sighting.handed > LOOP_LIMIT

    def looping(self, identity: ClientIdentity, now: float) -> bool:
        """Whether this machine's iPXE was stopped for loading itself."""
        sighting = self.sightings.get(identity.key, now)
        return sighting is not None and sighting.handed > LOOP_LIMIT

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a content from the first store that has it."""
        if self._trials:
            self._trials.asked(request.identity.key, request.boot_id, str(path))
        plan = request.plan
        if plan and str(path) == native_program(plan.boot):
            request = await self.begin(request)
            if request.plan and request.plan.boot != plan.boot:
                raise ContentDenied(f"{path} is not the plan of {request.identity} any more")
        return await self._contents.open(path, request)

    def disk(self, request: BootRequest) -> SanDisk | None:
        """Return the iSCSI disk of a resolved request."""
        return self._contents.disk(request)

    def export(self, name: str) -> IExport | None:
        """Return the export of this name."""
        return self._exports.get(name)

    def listed(self, path: ContentPath) -> Sequence[Listed]:
        """Join what the stores show; the first that has a name is the one that serves it."""
        return self._contents.listed(path)

    def export_names(self) -> Collection[str]:
        """Return the names of all exports."""
        return self._exports.keys()

    def sign(self, body: bytes, purpose: str) -> bytes:
        """Sign with the key of the tokens."""
        return self.tokens.sign(body, purpose)

    def choose(self, identity: ClientIdentity, entry: str, now: float) -> None:
        """Let an entry of a machine's menu be its plan for this boot."""
        sighting = self.sightings.get(identity.key, now)
        if sighting is not None and sighting.choice != entry:
            self.sightings.amend(sighting, choice=entry)

    def attend(self, observer: IBootObserver) -> None:
        """Let a part of the server hear every event as well."""
        self._attending.append(observer)

    @property
    def observed(self) -> bool:
        """Whether anybody hears of events."""
        return bool(self._attending or self._observers)

    def tell(self, event: BootEvent) -> None:
        """Pass an event to every observer; one that breaks hinders nobody."""
        for attending in self._attending:
            attending.notice(event)
        for name, observer in self._observers:
            try:
                observer.notice(event)
            except Exception:
                self.log.failure("observer {name}", name=name)


def _as_chosen(resolution: Resolution, choice: str) -> Resolution:
    """Replace a menu by the entry that was chosen from it."""
    plan = resolution.plan
    entries = plan.boot.entries if plan and isinstance(plan.boot, Menu) else ()
    for entry in entries:
        if plan and entry.name == choice and not entry.locked:
            reason = f"chosen from menu {plan.profile}"
            plan = attrs.evolve(plan, boot=entry.boot, profile=entry.name, reason=reason)
            request = attrs.evolve(resolution.request, plan=plan)
            step = Step("this boot", f"profile {entry.name} ({reason})")
            return attrs.evolve(resolution, request=request, steps=(*resolution.steps, step))
    return resolution


def _as_announced(request: BootRequest, machine: Machine | None, plan: BootPlan) -> Resolution:
    step = Step("this boot", f"profile {plan.profile}, as announced by DHCP")
    return Resolution(request.answered(machine, plan), Verdict.PLANNED, (step,))
