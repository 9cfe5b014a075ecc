"""What a plugin instance is given, part of the public test kit :mod:`pxetwist.testing`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.errors import ContentNotFound
from pxetwist.file_tree import IExport
from pxetwist.interfaces import IBoot, IBootObserver, IContent, IContentStore, IListsFolders, Site
from pxetwist.model.answer import Answer
from pxetwist.model.boot import (
    BootFile,
    BootPlan,
    BootRequest,
    BootStage,
    Edition,
    Login,
    Resolution,
    Verdict,
)
from pxetwist.model.boots import SanDisk
from pxetwist.model.content import ContentPath, Listed
from pxetwist.model.event import BootEvent
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Network
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile
from pxetwist.model.redemption import AnswerQuestion, AnswerRefused, Redemption, Refusal
from pxetwist.model.report import MachineReport


@implementer(IBoot)
@attrs.define(eq=False)
class FakeBoot:
    """Stands in for the boot facade: one machine and plan for everybody.

    `stores` are asked in order. `identities` are by peer address, `tokens` by token, each with a
    boot id. `events` and `reports` collect what was told; machines are given `answer`, which
    may be an exception to raise. `redemption` is what questions for answer files get, or an
    exception to raise; `redeemed` collects which were given, `settled` how each ended. `loops`
    says that its iPXE loads itself, `broken` why nothing can be decided.
    """

    stores: Sequence[IContentStore] = ()
    machine: Machine | None = None
    plan: BootPlan | None = None
    file: BootFile | None = None
    identities: dict[str, tuple[ClientIdentity, str]] = attrs.field(factory=dict)
    tokens: dict[str, tuple[ClientIdentity, str]] = attrs.field(factory=dict)
    redemption: Redemption | Exception | None = None
    redeemed: list[str] = attrs.field(factory=list)
    settled: list[bool] = attrs.field(factory=list)
    persons: dict[tuple[str, str], Collection[str]] = attrs.field(factory=dict)
    reserved: Collection[IPv4Address] = ()
    leases: Any = None
    rehearsal: bool = False
    loops: bool = False
    broken: str = ""
    answer: str | Exception | None = None
    reports: list[MachineReport] = attrs.field(factory=list)
    events: list[BootEvent] = attrs.field(factory=list)
    chosen: list[str] = attrs.field(factory=list)
    seen: list[tuple[ClientIdentity, BootStage]] = attrs.field(factory=list)
    exports: dict[str, IExport] = attrs.field(factory=dict)

    def seen_at(self, address: str, now: float) -> bool:
        """Whether there is an identity at this address."""
        return address in self.identities

    async def resolve(self, request: BootRequest) -> Resolution:
        """Fill in machine and plan."""
        if self.broken:
            failed = attrs.evolve(request, machine=self.machine)
            return Resolution(failed, Verdict.BROKEN, reason=self.broken)
        ignored = self.plan is not None and self.plan.ignored
        plan = None if ignored else self.plan
        verdict = Verdict.IGNORED if ignored else Verdict.NO_OPINION
        return Resolution(
            attrs.evolve(request, machine=self.machine, plan=plan),
            Verdict.PLANNED if plan else verdict,
            reason="" if plan else verdict.value,
        )

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Ask the stores in order."""
        for store in self.stores:
            try:
                return await store.open(path, request)
            except ContentNotFound:
                continue
        raise ContentNotFound(str(path))

    def disk(self, request: BootRequest) -> SanDisk | None:
        """Know no disks."""
        return None

    def listed(self, path: ContentPath) -> Sequence[Listed]:
        """Return what the one store shows that can."""
        stores: Iterator[Any] = filter(IListsFolders.providedBy, self.stores)
        for store in stores:
            listed: Sequence[Listed] = store.listed(path)
            return listed
        raise ContentNotFound(str(path))

    async def identify(self, address: str, now: float) -> tuple[ClientIdentity, str]:
        """Look the address up."""
        if address in self.identities:
            return self.identities[address]
        return ClientIdentity(address=ip_address(address)), ""

    def see(self, identity: ClientIdentity, stage: BootStage, now: float) -> str:
        """Note the sighting."""
        self.seen.append((identity, stage))
        return "1"

    def edition(self) -> Edition:
        """Have none: everything is asked for each time."""
        return None

    def confirm(
        self, identity: ClientIdentity, resolution: Resolution, edition: Edition, now: float
    ) -> str:
        """Let nothing stand."""
        return ""

    def lasts(self, path: ContentPath, content: IContent, request: BootRequest) -> bool:
        """Let nothing last."""
        return False

    def stands(self, request: BootRequest, edition: Edition) -> bool:
        """Let nothing stand."""
        return False

    def locate(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> None:
        """Remember who speaks from an address."""
        self.identities[str(address)] = (attrs.evolve(identity, address=address), "1")

    def script_base(self, request: BootRequest, now: float) -> str:
        """Return a URL with a token that is none."""
        return f"{request.endpoints.web}/boot/TOKEN"

    async def authenticate(self, guard: str, login: Login) -> Collection[str] | None:
        """Look the person up in `persons`."""
        groups = self.persons.get((login.username, login.password))
        return None if groups is None else groups

    def boot_file(self, request: BootRequest, now: float) -> BootFile | None:
        """Return the file that was given."""
        return self.file if request.plan is not None else None

    def looping(self, identity: ClientIdentity, now: float) -> bool:
        """Return what was given."""
        return self.loops

    def redeem(
        self, token: str, now: float, purpose: str = ""
    ) -> tuple[ClientIdentity, str] | None:
        """Look the token up; one for a purpose is ``PURPOSE:TOKEN`` there."""
        return self.tokens.get(f"{purpose}:{token}" if purpose else token)

    def token(self, request: BootRequest, purpose: str, now: float) -> str:
        """Return one that is none."""
        return "TOKEN"

    def report_url(self, request: BootRequest, topic: str, now: float) -> str:
        """Return a URL with a token that is none."""
        return f"{request.endpoints.http}/{topic}/TOKEN"

    async def answer_folder(self, request: BootRequest, answer: Answer, now: float) -> str:
        """Return a URL with a token that is none."""
        return f"{request.endpoints.http}/answer/TOKEN" if request.identity.mac else ""

    async def judge_answer(self, question: AnswerQuestion, now: float) -> Redemption:
        """Return what was given."""
        if isinstance(self.redemption, Exception):
            raise self.redemption
        if self.redemption is None:
            raise AnswerRefused(Refusal.FORGED)
        return self.redemption

    async def redeem_answer(self, redemption: Redemption, now: float) -> None:
        """Keep it."""
        self.redeemed.append(redemption.file)

    async def settle_answer(self, redemption: Redemption, *, whole: bool) -> None:
        """Keep it."""
        self.settled.append(whole)

    async def hear(self, report: MachineReport) -> str | None:
        """Keep the report."""
        self.reports.append(report)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def begin(self, request: BootRequest) -> BootRequest:
        """Keep the plan."""
        return request

    def remembers(self, mac: str) -> bool:
        """Know the one machine's."""
        return self.machine is not None and mac in self.machine.macs

    def reserved_addresses(self) -> Collection[IPv4Address]:
        """Return what was given."""
        return self.reserved

    def export(self, name: str) -> IExport | None:
        """Return the one of this name."""
        return self.exports.get(name)

    def export_names(self) -> Collection[str]:
        """Return what was given."""
        return self.exports

    def sign(self, body: bytes, purpose: str) -> bytes:
        """Return a checksum of both."""
        return hashlib.blake2b(body + purpose.encode(), digest_size=12).digest()

    def choose(self, identity: ClientIdentity, entry: str, now: float) -> None:
        """Note the choice."""
        self.chosen.append(entry)

    observed = True

    def attend(self, observer: IBootObserver) -> None:
        """Keep nobody."""

    def tell(self, event: BootEvent) -> None:
        """Keep the event."""
        self.events.append(event)


def make_site(
    boot: IBoot | None = None,
    *,
    reactor: Any = None,
    folder: Path = Path(),
    state_folder: Path = Path(),
    name: str = "test",
    profiles: Mapping[str, BootProfile] | None = None,
    networks: Mapping[str, Network] | None = None,
    log_server: bool = False,
    exports: Mapping[str, str] | None = None,
) -> Site:
    """Make what a plugin instance is given; without a reactor it gets a Clock."""
    return Site(
        name=name,
        reactor=Clock() if reactor is None else reactor,
        log=Logger(namespace=f"pxetwist.{name}"),
        folder=folder,
        state_folder=state_folder,
        boot=FakeBoot() if boot is None else boot,
        profiles=profiles or {},
        networks=networks or {},
        log_server=log_server,
        exports=exports or {},
    )
