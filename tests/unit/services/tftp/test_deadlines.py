"""Deadlines that are put off, and one that a busy process nearly missed."""

from __future__ import annotations

import math

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.services.tftp.deadlines import Deadlines


@attrs.define(eq=False)
class Watched:
    """Wants to be told once, at `due`."""

    due: float
    watched: float = math.inf
    told: list[float] = attrs.field(factory=list)

    def next_timeout(self) -> float:
        return math.inf if self.told else self.due

    def timed_out(self, now: float) -> None:
        self.told.append(now)


@attrs.define(eq=False)
class PutOff:
    """Is put off all the time, until it falls silent; counts how often it is looked at."""

    clock: Clock
    falls_silent: float
    watched: float = math.inf
    looks: int = 0
    told: list[float] = attrs.field(factory=list)

    def next_timeout(self) -> float:
        self.looks += 1
        heard: float = min(self.clock.seconds(), self.falls_silent)
        return math.inf if self.told else heard + 0.025

    def timed_out(self, now: float) -> None:
        self.told.append(now)


class DeadlinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)

    def watched(self, due: float) -> Watched:
        made = Watched(due)
        self.deadlines.watch(made)
        return made

    def test_those_of_one_moment_are_told_together(self) -> None:
        early, late = (self.watched(due) for due in (1.001, 1.003))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1.0, 0.005])
        self.assertEqual((early.told, late.told), ([1.005], [1.005]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_put_off_and_brought_forward(self) -> None:
        first, second = self.watched(1.0), self.watched(5.0)
        first.due, second.due = 3.0, 2.0
        self.deadlines.watch(second)
        self.clock.pump([0.25] * 20)
        self.assertEqual((first.told, second.told), ([3.0], [2.0]))

    def test_many_that_are_put_off_are_looked_at_less_often(self) -> None:
        looks = []
        for count in (1, 200):
            all_watched = [PutOff(self.clock, self.clock.seconds() + 1) for _ in range(count)]
            for watched in all_watched:
                self.deadlines.watch(watched)
            self.clock.pump([0.004] * 400)
            looks.append(max(watched.looks for watched in all_watched))
            for watched in all_watched:  # all are told, no more than a quarter of a second late
                (told,) = watched.told
                self.assertTrue(0 <= told - watched.falls_silent <= 0.3)
        self.assertLess(looks[1], looks[0] / 2)

    def test_a_late_process_reads_answers_first(self) -> None:
        watched = self.watched(1.0)

        def answer() -> None:
            watched.due = 9.0

        self.clock.callLater(4, answer)
        self.clock.advance(5)
        self.assertEqual(watched.told, [])
        self.clock.pump([4.0])
        self.assertEqual(watched.told, [9.0])
