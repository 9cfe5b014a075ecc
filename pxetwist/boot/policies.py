"""What policies are asked beyond a plan: whether it still holds, and what machines report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from pxetwist.boot.resolver import BootResolver
from pxetwist.boot.sightings import Sightings
from pxetwist.errors import ContentNotFound, PolicyError
from pxetwist.interfaces import IBegins, IBootPolicy, IHears
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol, Verdict
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.machine import Machine
from pxetwist.model.report import MachineReport

#: How often a plan that no longer holds is replaced by the next, before we give up.
_TRIES = 3


@attrs.frozen
class Policies:
    """The policies of a site, in the order of the INI. `rehearsal`: nothing takes effect."""

    resolver: BootResolver
    sightings: Sightings
    policies: Sequence[tuple[str, IBootPolicy]]
    rehearsal: bool = False
    _begins: Mapping[str, IBootPolicy] = attrs.field(init=False)

    @_begins.default
    def _find_those_that_begin(self) -> Mapping[str, IBootPolicy]:
        return {name: each for name, each in self.policies if IBegins.providedBy(each)}

    def wants(self, plan: BootPlan) -> bool:
        """Whether the policy of a plan is to hear each time when that takes effect."""
        return plan.policy in self._begins

    async def begin(self, request: BootRequest, now: float) -> BootRequest:
        """Put the plan of a request into effect; see :meth:`IBoot.begin`."""
        for _ in range(_TRIES):
            if request.plan is None:
                raise ContentNotFound(f"no plan any more for {request.identity}")
            policy = self._begins.get(request.plan.policy)
            if policy is None or self.rehearsal:
                return request
            if await IBegins(policy).begin(request):
                sighting = self.sightings.get(request.identity.key, now)
                if sighting is not None:
                    self.sightings.amend(sighting, begun=True)
                return request
            request = await self._decided_anew(request, now)
        raise PolicyError(f"{request.identity}: the plan changes over and over")

    async def _decided_anew(self, request: BootRequest, now: float) -> BootRequest:
        undecided = attrs.evolve(request, machine=None, plan=None)
        resolution = await self.resolver.resolve(undecided)
        if resolution.verdict is Verdict.BROKEN:
            raise PolicyError(resolution.reason)
        sighting = self.sightings.get(request.identity.key, now)
        if sighting is not None:
            self.sightings.amend(sighting, machine=resolution.machine, plan=resolution.plan)
        return resolution.request

    async def hear(self, report: MachineReport, tell: Callable[[BootEvent], None]) -> str | None:
        """Pass a report on; see :meth:`IBoot.hear`. Every call-back is an event, whether or not
        a policy waits for it.
        """
        answer = None
        if report.topic == "callback":
            report = attrs.evolve(report, machine=await self._machine(report))
        for _, policy in self.policies:
            if answer is None and IHears.providedBy(policy):
                answer = await IHears(policy).hear(report)
        if report.topic != "callback":
            return answer
        refused = report.word == "order" and answer is None
        machine, text = report.machine, f": {report.text}" if report.text else ""
        tell(
            BootEvent(
                report.time,
                EventKind.CALLBACK,
                "http",
                machine.name if machine else str(report.identity),
                report.boot_id,
                "kernel",
                f"says {report.word}{text}" + (" (refused)" if refused else ""),
                {"word": report.word, "text": report.text},
            )
        )
        return None if refused else answer or ""

    async def _machine(self, report: MachineReport) -> Machine | None:
        """Return the machine that reports; its boot may be long over."""
        sighting = self.sightings.get(report.identity.key, report.time)
        if sighting is not None and sighting.machine is not None:
            return sighting.machine
        stage, endpoints = BootStage.KERNEL, report.endpoints
        request = BootRequest(report.identity, stage, Protocol.HTTP, endpoints=endpoints)
        return (await self.resolver.resolve(request)).machine
