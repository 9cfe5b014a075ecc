"""Copies of databases in memory: who waits for them, and who does not."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import StateUnavailable
from pxetwist.state.pooled import Refreshed


class RefreshedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.loading: list[Deferred[None]] = []
        self.copy = Refreshed(
            self.load, self.clock, Logger(observer=cast(ILogObserver, lambda event: None))
        )

    async def load(self) -> None:
        self.loading.append(Deferred())
        await self.loading[-1]

    def ask(self) -> Deferred[None]:
        self.clock.advance(2)
        return Deferred.fromCoroutine(self.copy.fresh())

    def test_a_database_that_hangs(self) -> None:
        """The first ones wait until that is known. Then the old copy has to do, at once: policies
        have two seconds, and all machines would wait.
        """
        first = self.ask()
        self.loading.pop().callback(None)
        self.successResultOf(first)
        second = self.ask()
        self.assertNoResult(second)
        self.loading.pop().errback(StateUnavailable("no answer within 2.5 s"))
        self.successResultOf(second)
        self.successResultOf(self.ask())
        self.assertEqual(len(self.loading), 1)
        self.successResultOf(self.ask())
        self.loading.pop().callback(None)
        fresh = self.ask()
        self.assertNoResult(fresh)
        self.loading.pop().callback(None)
        self.successResultOf(fresh)
