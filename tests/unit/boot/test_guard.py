"""Plugins that hang, raise and leak: the others go on, and the machine is answered in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.boot.guard import Guard, Unanswered
from pxetwist.boot.resolver import BootResolver
from pxetwist.errors import DirectoryUnavailable
from pxetwist.interfaces import IBootPolicy, IHealth, IHostDirectory
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol, Resolution, Verdict
from pxetwist.model.boots import Files
from pxetwist.model.health import Health, HealthState
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import FakeHosts, FakePolicy, result_of

MAC = "52:54:00:12:34:56"
WHO = ClientIdentity(mac=MAC)
REQUEST = BootRequest(WHO, BootStage.FIRMWARE, Protocol.DHCP)
PLAN = BootPlan(Files("linux"), "debian")


class CountingClock(Clock):
    """A clock that knows how many timers were set."""

    timers = 0

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> Any:
        self.timers += 1
        return super().callLater(delay, callable, *args, **kw)


@implementer(IHostDirectory, IBootPolicy)
class Plugin:
    """Does what its `way` does, as a directory and as a policy."""

    def __init__(self, way: Callable[[], Awaitable[Any]]) -> None:
        self.way = way
        self.asked = 0

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        self.asked += 1
        return await self.way()  # type: ignore[no-any-return]  # a fake

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        self.asked += 1
        return await self.way()  # type: ignore[no-any-return]  # a fake


async def hang() -> None:
    await Deferred()


async def hang_for_ever() -> None:
    """Swallow the cancellation, as a bare ``except Exception`` does."""
    while True:
        try:
            await Deferred()
        except Exception:
            continue


async def stumble() -> None:
    raise ZeroDivisionError("bug")


async def give(answer: Any) -> Any:
    return answer


class World:
    """A resolver with one plugin before a directory that knows the machine."""

    def __init__(self, way: Callable[[], Awaitable[Any]]) -> None:
        self.clock = CountingClock()
        self.clock.advance(1e9)
        self.plugin = Plugin(way)
        self.hosts = FakeHosts({MAC: Machine("ws1", (MAC,))})
        self.resolver = BootResolver(
            self.clock, [("bad", self.plugin), ("rack", self.hosts)], [("main", FakePolicy(PLAN))]
        )

    def ask(self) -> list[Resolution]:
        found: list[Resolution] = []
        Deferred.fromCoroutine(self.resolver.resolve(REQUEST)).addCallback(found.append)
        return found

    @property
    def health(self) -> Health:
        return self.resolver.health()["hosts bad"]


class Hanging(SynchronousTestCase):
    def test_others_answer(self) -> None:
        """Also when the plugin does not heed its cancellation."""
        for way in (hang, hang_for_ever):
            world = World(way)
            found = world.ask()
            world.clock.advance(1.9)
            self.assertEqual(found, [])
            world.clock.advance(0.2)
            self.assertEqual(found[0].verdict, Verdict.PLANNED)
            self.assertEqual(found[0].steps[0].answer, "failed: no answer within 2 s")
            self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_left_in_peace(self) -> None:
        """After three times it is asked no more, but for a trial now and then."""
        world = World(hang)
        for _ in range(3):
            found = world.ask()
            world.clock.advance(2)
            self.assertEqual(len(found), 1)
        self.assertIs(world.health.state, HealthState.DOWN)
        for _ in range(100):
            [at_once] = world.ask()
            self.assertEqual(at_once.verdict, Verdict.PLANNED)
            self.assertIn("left in peace: no answer within 2 s", at_once.steps[0].answer)
        self.assertEqual(world.plugin.asked, 3)
        world.clock.advance(1)
        trial, meanwhile = world.ask(), world.ask()
        self.assertEqual((len(trial), len(meanwhile)), (0, 1))
        world.clock.advance(2)
        self.assertEqual(len(trial), 1)
        world.clock.advance(1.5)  # twice the first back-off is not over
        self.assertEqual(len(world.ask()), 1)
        self.assertEqual(world.plugin.asked, 4)

    def test_back_again(self) -> None:
        async def nothing() -> None:
            return None

        world = World(hang)
        for _ in range(3):
            world.ask()
            world.clock.advance(2)
        world.plugin.way = nothing
        world.clock.advance(1)
        world.ask()
        self.assertIs(world.health.state, HealthState.UP)
        self.assertEqual(world.health.counters["late"], 3)
        self.assertEqual(world.ask()[0].steps[0].answer, "no answer")

    def test_two_of_them(self) -> None:
        """Time is left for the policies; the machine is not taken for a stranger."""
        world = World(hang)
        again = Plugin(hang)
        world.resolver = BootResolver(
            world.clock, [("bad", world.plugin), ("worse", again)], [("main", FakePolicy(PLAN))]
        )
        found = world.ask()
        world.clock.pump([0.1] * 26)
        self.assertEqual(found[0].verdict, Verdict.BROKEN)
        health = world.resolver.health()
        self.assertIs(health["hosts bad"].state, HealthState.DEGRADED)
        self.assertIs(health["hosts worse"].state, HealthState.UP)  # it had half a second

    def test_policy(self) -> None:
        """What it would have decided is nobody else's to decide."""
        world = World(hang)
        policies = [("bad", world.plugin), ("main", FakePolicy(PLAN))]
        world.resolver = BootResolver(world.clock, [("rack", world.hosts)], policies)
        found = world.ask()
        world.clock.advance(2)
        self.assertEqual(found[0].verdict, Verdict.BROKEN)
        self.assertEqual(found[0].reason, "policy bad failed: no answer within 2 s")

    def test_who_asks_leaves(self) -> None:
        ended: list[bool] = []

        async def wait() -> None:
            try:
                await Deferred()
            finally:
                ended.append(True)

        world = World(wait)
        asking = Deferred.fromCoroutine(world.resolver.resolve(REQUEST))
        asking.cancel()
        self.failureResultOf(asking)
        self.assertEqual(ended, [True])
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_own_deadline_and_breaker(self) -> None:
        """A plugin that knows its health may use the time that is left, and is always asked."""
        clock = Clock()

        @implementer(IHealth)
        class Careful:
            def health(self) -> Health:
                return Health(HealthState.DEGRADED, 7.0, "slow")

            async def ask(self, question: str) -> str:
                waiting: Deferred[str] = Deferred()
                clock.callLater(2.2, waiting.callback, question)
                return await waiting

        careful = Careful()
        guard = Guard("hosts ldap", careful, careful.ask, clock)
        found: list[str | None] = []
        Deferred.fromCoroutine(guard.ask("who", 2.5)).addCallback(found.append)
        clock.advance(2.3)
        self.assertEqual(found, ["who"])
        self.assertEqual(guard.health(), Health(HealthState.DEGRADED, 7.0, "slow"))


class Misfits(SynchronousTestCase):
    """Answers that are none: the plugin is named, and others are asked."""

    def test_directories(self) -> None:
        good: Any = Machine("ws2", (MAC,))
        evolve: Any = attrs.evolve
        for answer, fault in (
            ("ws1", "returns a str, no Machine"),
            (evolve(good, name=None), "returns a Machine without a name"),
            (evolve(good, macs=MAC), "returns ws2 with macs that are no tuple"),
            (evolve(good, address="10.0.0.1"), "an address that is no IPv4Address"),
            (evolve(good, labels={"room": 12}), "returns ws2 with labels that are no texts"),
            (evolve(good, labels=None), "returns ws2 with labels that are no texts"),
        ):
            world = World(partial(give, answer))
            [found] = world.ask()
            self.assertEqual(found.verdict, Verdict.PLANNED)
            self.assertIn("failed: find_machine returns ", found.steps[0].answer)
            self.assertIn(fault, found.steps[0].answer)
            self.assertEqual(world.health.counters["bugs"], 1)

    def test_policies(self) -> None:
        for answer in ("debian", False, BootPlan(None, "debian")):  # type: ignore[arg-type]
            plugin = Plugin(partial(give, answer))
            resolver = BootResolver(Clock(), [], [("bad", plugin)])
            found = result_of(resolver.resolve(REQUEST))
            self.assertEqual(found.verdict, Verdict.BROKEN)
            self.assertIn("policy bad failed: plan_boot returns a ", found.reason)

    def test_a_method_that_is_not_async(self) -> None:
        plugin = Plugin(stumble)
        guard: Guard[Any, Any] = Guard("hosts x", plugin, lambda _: None, Clock())  # type: ignore[arg-type,return-value]
        with self.assertRaisesRegex(Unanswered, "must be async def"):
            result_of(guard.ask(WHO, 1))

    def test_who_keeps_all_waiting_is_told_of(self) -> None:
        """Nothing can be done against it, but it has a name."""
        world = World(hang)

        async def block() -> None:
            world.clock.rightNow += 1.0

        world.plugin.way = block
        with capturedLogs() as logs:
            world.ask()
        [text] = [formatEvent(each) for each in logs]
        self.assertEqual(text, "hosts bad kept the whole server waiting for 1 s: it must await")


class Raising(SynchronousTestCase):
    def test_others_answer(self) -> None:
        world = World(stumble)
        [found] = world.ask()
        self.assertEqual(found.verdict, Verdict.PLANNED)
        self.assertIn("ZeroDivisionError", found.steps[0].answer)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_traceback_for_many(self) -> None:
        world = World(stumble)
        for _ in range(50):
            world.ask()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(world.health.counters["bugs"], 50)
        world.clock.advance(61)
        world.ask()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_machine_takes_it_from_nobody(self) -> None:
        """What fails at once is asked again: the next machine may be no trouble."""
        world = World(stumble)
        for _ in range(50):
            world.ask()
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(world.plugin.asked, 50)

    def test_how_it_is(self) -> None:
        """Not up, while it answers nobody; since when, and why not."""

        async def fail() -> None:
            if world.clock.seconds() < 1e9 + 9:
                raise DirectoryUnavailable("file is not a database")

        world = World(fail)
        for _ in range(2):
            world.ask()
            world.clock.advance(5)
        seen = world.health
        self.assertEqual(seen.state, HealthState.DEGRADED)
        self.assertEqual((seen.since, seen.error), (1e9, "file is not a database"))
        world.ask()
        self.assertEqual(world.health.state, HealthState.UP)

    def test_nobody_else_knows_it(self) -> None:
        world = World(stumble)
        world.hosts.machines = {}
        self.assertEqual(world.ask()[0].verdict, Verdict.BROKEN)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_after_a_pause(self) -> None:
        """An exception that comes late is contained as well, with its traceback."""
        waiting: Deferred[None] = Deferred()

        async def late() -> None:
            await waiting
            await stumble()

        world = World(late)
        found = world.ask()
        waiting.callback(None)
        self.assertEqual(found[0].verdict, Verdict.PLANNED)
        [failure] = self.flushLoggedErrors(ZeroDivisionError)
        self.assertIn("stumble", failure.getTraceback())


class Fast(SynchronousTestCase):
    def test_no_timer_for_what_is_known(self) -> None:
        async def nothing() -> None:
            return None

        world = World(nothing)
        [found] = world.ask()
        self.assertEqual(found.verdict, Verdict.PLANNED)
        self.assertEqual(world.clock.timers, 0)

    def test_several_pauses(self) -> None:
        """A coroutine goes on as in Twisted: values, exceptions, and what has fired already."""
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()
        fired: Deferred[int] = Deferred()
        fired.callback(3)

        class Patient:
            async def ask(self, question: int) -> int:
                total = question + await first
                try:
                    await second
                except DirectoryUnavailable:
                    total += await fired
                return total

        found: list[int | None] = []
        guard = Guard("hosts x", Patient(), Patient().ask, Clock())
        Deferred.fromCoroutine(guard.ask(1, 1)).addCallback(found.append)
        first.callback(10)
        second.errback(DirectoryUnavailable("away"))
        self.assertEqual(found, [14])

    def test_a_deferred_will_do(self) -> None:
        class Old:
            def ask(self, question: int) -> Deferred[int]:
                waiting: Deferred[int] = Deferred()
                waiting.callback(question)
                return waiting

        self.assertEqual(result_of(Guard("hosts old", Old(), Old().ask, Clock()).ask(7, 1)), 7)

    def test_unanswered_is_expected(self) -> None:
        plugin = Plugin(stumble)
        guard = Guard("hosts bad", plugin, plugin.find_machine, Clock())
        with self.assertRaisesRegex(Unanswered, "ZeroDivisionError"):
            result_of(guard.ask(WHO, 1))
        self.flushLoggedErrors(ZeroDivisionError)
