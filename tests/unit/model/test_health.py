"""The breaker: who is left in peace, and until when."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.health import Breaker, HealthState

NOW = 1_800_000_000.0


class BreakerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.breaker = Breaker(since=NOW)
        for _ in range(self.breaker.limit):
            self.assertTrue(self.breaker.admits(NOW))
            self.breaker.failed("away", NOW)

    def test_back_off(self) -> None:
        self.assertIs(self.breaker.state, HealthState.DOWN)
        self.assertTrue(self.breaker.refuses(NOW))
        self.assertFalse(self.breaker.admits(NOW + 0.9))
        self.assertFalse(self.breaker.refuses(NOW + 1))
        self.assertTrue(self.breaker.admits(NOW + 1))
        self.assertFalse(self.breaker.admits(NOW + 1))
        self.breaker.failed("away", NOW + 1)
        self.assertFalse(self.breaker.admits(NOW + 2.9))
        self.assertTrue(self.breaker.admits(NOW + 3))

    def test_a_clock_that_is_set_back(self) -> None:
        """The back-off does not last until the old time has come again."""
        self.assertFalse(self.breaker.refuses(NOW - 7200))
        self.assertTrue(self.breaker.admits(NOW - 7200))
