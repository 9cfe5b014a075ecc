"""From a request to a plan: ask the directories, then the policies, each in its order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pxetwist.boot.loaders import FAMILIES
from pxetwist.errors import DirectoryUnavailable, PolicyError
from pxetwist.interfaces import IBootPolicy, IHostDirectory
from pxetwist.model.boot import BootPlan, BootRequest, Resolution, Step, Verdict
from pxetwist.model.machine import Machine

T = TypeVar("T")

#: The whole answer must be ready before the ROM asks again after 4 s (PXE 2.1).
DEADLINE = 3.0


@attrs.define
class _Trail:
    """The steps taken so far, and what broke on the way."""

    clock: Callable[[], float]
    steps: list[Step] = attrs.field(factory=list)
    broken: str = ""

    async def ask(
        self, who: str, question: Awaitable[T | None], name: Callable[[T], str]
    ) -> T | None:
        """Await one answer and note it; what breaks is noted and is no answer."""
        began = self.clock()
        try:
            answer = await question
        except (DirectoryUnavailable, PolicyError) as error:
            self.broken = f"{who} failed: {error}"
            said = f"failed: {error}"
            answer = None
        else:
            said = "no answer" if answer is None else name(answer)
        self.steps.append(Step(who, said, self.clock() - began))
        return answer


class BootResolver:
    """Asks until somebody answers; keeps the deadline; never raises."""

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        hosts: Sequence[tuple[str, IHostDirectory]],
        policies: Sequence[tuple[str, IBootPolicy]],
    ) -> None:
        self._reactor = reactor
        self._hosts = hosts
        self._policies = policies
        self.failures = 0

    async def resolve(self, request: BootRequest) -> Resolution:
        """Return machine and plan, or the verdict that explains why there is none."""
        trail = _Trail(self._reactor.seconds)
        try:
            return await self._within_deadline(self._resolve(request, trail))
        except DeferredTimeout:
            reason = f"no answer within {DEADLINE:g} s"
        except Exception:  # a plugin's bug must not take the server along
            self.log.failure("resolving {who}", who=str(request.identity))
            reason = "a plugin raised an exception, see the traceback in the log"
        self.failures += 1
        return Resolution(request, Verdict.BROKEN, tuple(trail.steps), reason)

    async def _within_deadline(self, work: Coroutine[Any, Any, Resolution]) -> Resolution:
        waiting = Deferred.fromCoroutine(work)
        if not waiting.called:  # most answers come from memory and never touch the reactor
            waiting.addTimeout(DEADLINE, self._reactor)
        return await waiting

    async def _resolve(self, request: BootRequest, trail: _Trail) -> Resolution:
        if request.machine is None:
            machine = await self._find_machine(request, trail)
            if machine is None and trail.broken:
                # It may well be known there: treating it as unknown would be a wrong answer.
                self.failures += 1
                return Resolution(request, Verdict.BROKEN, tuple(trail.steps), trail.broken)
            if machine is not None:
                request = attrs.evolve(request, machine=machine)
            trail.broken = ""
        plan = await self._plan_boot(request, trail)
        steps = tuple(trail.steps)
        if plan is None:
            if trail.broken:
                self.failures += 1
                return Resolution(request, Verdict.BROKEN, steps, trail.broken)
            return Resolution(request, Verdict.NO_OPINION, steps, "no policy had an opinion")
        if plan.ignored:
            return Resolution(request, Verdict.IGNORED, steps, plan.reason or "policy: silence")
        return Resolution(attrs.evolve(request, plan=plan), Verdict.PLANNED, steps)

    async def _find_machine(self, request: BootRequest, trail: _Trail) -> Machine | None:
        for name, directory in self._hosts:
            question = directory.find_machine(request.identity)
            found = await trail.ask(f"hosts {name}", question, lambda m: f"machine {m.name}")
            if found is not None:
                return found
        return None

    async def _plan_boot(self, request: BootRequest, trail: _Trail) -> BootPlan | None:
        for name, policy in self._policies:
            question = policy.plan_boot(request)
            plan = await trail.ask(f"policy {name}", question, _describe_plan)
            if plan is not None:
                return _for_machine(attrs.evolve(plan, policy=name), request, trail)
            if trail.broken:
                return None  # it should have decided: another's opinion is not its decision
        return None


def _for_machine(plan: BootPlan, request: BootRequest, trail: _Trail) -> BootPlan | None:
    """Let the machine's label `loader` win over the profile's: it knows its firmware."""
    loader = request.machine.labels.get("loader", "") if request.machine else ""
    if not request.machine or not loader:
        return plan
    if loader not in FAMILIES:
        known = ", ".join(FAMILIES)
        trail.broken = (
            f"machine {request.machine.name}: unknown loader {loader!r} (known: {known})"
        )
        return None
    return attrs.evolve(plan, loader=loader)


def _describe_plan(plan: BootPlan) -> str:
    what = "silence" if plan.ignored else f"profile {plan.profile}"
    return f"{what} ({plan.reason})" if plan.reason else what
