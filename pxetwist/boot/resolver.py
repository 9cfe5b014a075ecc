"""From a request to a plan: ask the directories, then the policies, each in its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import TypeVar

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pxetwist.boot.guard import Guard, Unanswered
from pxetwist.boot.loaders import FAMILIES
from pxetwist.errors import DirectoryUnavailable, PolicyError
from pxetwist.interfaces import IBootPolicy, IHostDirectory
from pxetwist.model.boot import BootPlan, BootRequest, Resolution, Step, Verdict
from pxetwist.model.boots import Boot
from pxetwist.model.health import Health
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine

Q = TypeVar("Q")
T = TypeVar("T")

#: The whole answer must be ready before the ROM asks again after 4 s (PXE 2.1).
DEADLINE = 3.0
#: So much of it is left to the policies, however long the directories take.
_FOR_POLICIES = 0.5


@attrs.frozen
class Identification:
    """How directories tell who a machine is.

    `merge` asks all of them, and lets later ones add what earlier ones did not say. The MACs in
    `shared` (of docks and adapters) identify no machine.
    """

    merge: bool = False
    shared: frozenset[str] = frozenset()

    def told(self, identity: ClientIdentity) -> ClientIdentity:
        """Return what directories are told of an identity."""
        if identity.mac not in self.shared:
            return identity
        of_mac = b"\1" + bytes.fromhex(identity.mac.replace(":", ""))  # RFC 2132 §9.14
        client_id = b"" if identity.client_id == of_mac else identity.client_id
        return attrs.evolve(identity, mac="", client_id=client_id)


#: The first answer counts, and every MAC is a machine's own.
IDENTIFICATION = Identification()


@attrs.define
class _Trail:
    """The steps taken so far, and what broke on the way; `ends` is when time is over."""

    clock: Callable[[], float]
    ends: float
    steps: list[Step] = attrs.field(factory=list)
    broken: str = ""

    async def ask(
        self, guard: Guard[Q, T], question: Q, name: Callable[[T], str], reserve: float = 0.0
    ) -> T | None:
        """Await one answer and note it; what breaks is noted and is no answer."""
        began = self.clock()
        try:
            answer = await guard.ask(question, self.ends - reserve - began)
        except (DirectoryUnavailable, PolicyError, Unanswered) as error:
            self.broken = f"{guard.who} failed: {error}"
            said = f"failed: {error}"
            answer = None
        else:
            said = "no answer" if answer is None else name(answer)
        self.steps.append(Step(guard.who, said, self.clock() - began))
        return answer


class BootResolver:
    """Asks until somebody answers; keeps the deadline; never raises."""

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        hosts: Sequence[tuple[str, IHostDirectory]],
        policies: Sequence[tuple[str, IBootPolicy]],
        identification: Identification = IDENTIFICATION,
        family_of: Callable[[str], str] = lambda name: "",
    ) -> None:
        self._reactor = reactor
        self._identification = identification
        self._family_of = family_of
        self._hosts = [
            Guard(f"hosts {name}", each, each.find_machine, reactor, machine_fault)
            for name, each in hosts
        ]
        self._policies = [
            (name, Guard(f"policy {name}", each, each.plan_boot, reactor, plan_fault))
            for name, each in policies
        ]
        self.failures = 0

    def health(self) -> Mapping[str, Health]:
        """Return the health of every directory and policy (``hosts rack``)."""
        found = {guard.who: guard.health() for guard in self._hosts}
        return found | {guard.who: guard.health() for _, guard in self._policies}

    async def resolve(self, request: BootRequest) -> Resolution:
        """Return machine and plan, or the verdict that explains why there is none."""
        now = self._reactor.seconds
        trail = _Trail(now, now() + DEADLINE)
        try:
            resolution = await self._resolve(request, trail)
        except CancelledError:  # who has asked has left
            raise
        except Exception:  # a bug of ours must not take the server along
            self.log.failure("resolving {who}", who=str(request.identity))
            reason = "pxetwist has a bug, see the traceback in the log"
            resolution = Resolution(request, Verdict.BROKEN, tuple(trail.steps), reason)
        self.failures += resolution.verdict is Verdict.BROKEN
        return resolution

    async def _resolve(self, request: BootRequest, trail: _Trail) -> Resolution:
        if request.machine is None:
            machine = await self._find_machine(request.identity, trail)
            if machine is None and trail.broken:
                # It may well be known there: treating it as unknown would be a wrong answer.
                return Resolution(request, Verdict.BROKEN, tuple(trail.steps), trail.broken)
            if machine is not None:
                request = request.answered(machine, request.plan)
            trail.broken = ""
        plan = await self._plan_boot(request, trail)
        steps = tuple(trail.steps)
        if plan is None:
            if trail.broken:
                return Resolution(request, Verdict.BROKEN, steps, trail.broken)
            return Resolution(request, Verdict.NO_OPINION, steps, "no policy had an opinion")
        if plan.ignored:
            return Resolution(request, Verdict.IGNORED, steps, plan.reason or "policy: silence")
        return Resolution(request.answered(request.machine, plan), Verdict.PLANNED, steps)

    async def _find_machine(self, identity: ClientIdentity, trail: _Trail) -> Machine | None:
        told = self._identification.told(identity)
        if told is not identity:
            trail.steps.append(Step("hosts (all)", f"not told {identity.mac}, a shared MAC"))
        known = None
        for guard in self._hosts:
            found = await trail.ask(guard, told, _describe_machine, _FOR_POLICIES)
            if found is None:
                continue
            if not self._identification.merge:
                return found
            known = found if known is None else _merged(known, found)
        return known

    async def _plan_boot(self, request: BootRequest, trail: _Trail) -> BootPlan | None:
        for name, guard in self._policies:
            plan = await trail.ask(guard, request, _describe_plan)
            if plan is not None:
                return self._for_machine(plan.decided_by(name), request, trail)
            if trail.broken:
                return None  # it should have decided: another's opinion is not its decision
        return None

    def _for_machine(self, plan: BootPlan, request: BootRequest, trail: _Trail) -> BootPlan | None:
        """Let the machine's label `loader` win over the profile's: it knows its firmware. It names
        a family, or one loader of the site.
        """
        loader = request.machine.labels.get("loader", "") if request.machine else ""
        if not request.machine or not loader:
            return plan
        family = loader if loader in FAMILIES else self._family_of(loader)
        if not family:
            known = f"{', '.join(FAMILIES)}, or the NAME of a [loader:NAME]"
            trail.broken = (
                f"machine {request.machine.name}: unknown loader {loader!r} (known: {known})"
            )
            return None
        return attrs.evolve(plan, loader=family)


def _merged(first: Machine, later: Machine) -> Machine:
    """Add what a later directory says to what an earlier one has said; never contradict it."""
    return attrs.evolve(
        first,
        uuid=first.uuid or later.uuid,
        address=first.address or later.address,
        address6=first.address6 or later.address6,
        certificate=first.certificate or later.certificate,
        labels={**later.labels, **first.labels},
        groups=tuple(dict.fromkeys((*first.groups, *later.groups))),
        provenance="; ".join(filter(None, (first.provenance, later.provenance))),
    )


def machine_fault(machine: object) -> str:
    """Say what is wrong with the answer of a directory; empty: nothing."""
    if not isinstance(machine, Machine):
        return f"returns a {type(machine).__name__}, no Machine"
    if not isinstance(machine.name, str) or not machine.name:
        return "returns a Machine without a name"
    if not isinstance(machine.macs, tuple):
        return f"returns {machine.name} with macs that are no tuple"
    if machine.address is not None and not isinstance(machine.address, IPv4Address):
        return f"returns {machine.name} with an address that is no IPv4Address"
    if not isinstance(machine.labels, Mapping):
        return f"returns {machine.name} with labels that are no texts"
    for each in machine.labels.values():
        if not isinstance(each, str):
            return f"returns {machine.name} with labels that are no texts"
    return ""


def plan_fault(plan: object) -> str:
    """Say what is wrong with the answer of a policy; empty: nothing."""
    if not isinstance(plan, BootPlan):
        return f"returns a {type(plan).__name__}, no BootPlan"
    if not isinstance(plan.boot, Boot) or not isinstance(plan.profile, str):
        return "returns a BootPlan without boot or profile"
    return ""


def _describe_machine(machine: Machine) -> str:
    said = f"machine {machine.name}"
    return f"{said} ({machine.provenance})" if machine.provenance else said


def _describe_plan(plan: BootPlan) -> str:
    what = "silence" if plan.ignored else f"profile {plan.profile}"
    return f"{what} ({plan.reason})" if plan.reason else what
