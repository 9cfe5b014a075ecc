"""Timers and a clock that is set, with Twisted's own reactor, which does not run."""

from __future__ import annotations

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.services.clock_steps import keep_timers

BEGIN = 1_000_000.0


class ClockStepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.passed, self.step = 0.0, 0.0
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor.disconnectAll)
        keep_timers(self.reactor, lambda: BEGIN + self.passed + self.step, lambda: self.passed)
        self.called: list[int] = []

    def turn(self, passed: float, step: float = 0.0) -> list[int]:
        """Let time pass and the clock be set, and return what was called then."""
        self.passed += passed
        self.step += step
        self.reactor.runUntilCurrent()
        called = self.called[:]
        self.called.clear()
        return called

    def wait(self, *seconds: int) -> None:
        for each in seconds:
            self.reactor.callLater(each, self.called.append, each)

    def test_set_back_and_forward(self) -> None:
        """Also by more than anything waits, and with timers that were cancelled."""
        for step in (-7200.0, 7200.0, -30 * 86400.0, 365 * 86400.0, -20.0, 20.0):
            cancelled = [self.reactor.callLater(n, self.fail) for n in (3, 15, 25)]
            self.wait(10, 20, 30)
            for each in cancelled:
                each.cancel()
            self.assertEqual(self.turn(5, step), [])
            self.wait(2)
            self.assertEqual(self.turn(4), [2])
            self.assertEqual(self.turn(2), [10])
            self.assertEqual(self.turn(10), [20])
            self.assertEqual(self.turn(10), [30])
        self.assertAlmostEqual(self.reactor.seconds(), BEGIN + self.passed + self.step)

    def test_what_is_waited_for_next(self) -> None:
        self.wait(10)
        self.assertEqual(self.turn(1, -3600), [])
        self.assertAlmostEqual(self.reactor.timeout() or 0, 9)
        self.assertEqual(self.turn(1, 3600), [])
        self.assertAlmostEqual(self.reactor.timeout() or 0, 8)

    def test_a_timer_made_after_the_step(self) -> None:
        """As a datagram that wakes the reactor does, before it looks at its timers."""
        self.wait(10)
        self.passed, self.step = 5.0, -7200.0
        self.wait(1)
        self.assertEqual(self.turn(2), [1])
        self.assertEqual(self.turn(4), [10])

    def test_drift(self) -> None:
        """A clock that is adjusted slowly moves nothing by much."""
        self.wait(100)
        for _ in range(98):
            self.assertEqual(self.turn(1, -0.1), [])
        self.assertEqual(self.turn(3), [100])
