"""Deadlines that are put off, and one that a busy process nearly missed."""

from __future__ import annotations

import math

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.services.deadlines import Deadlines


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

    def test_a_late_process_reads_answers_first(self) -> None:
        watched = self.watched(1.0)

        def answer() -> None:
            watched.due = 9.0

        self.clock.callLater(4, answer)
        self.clock.advance(5)
        self.assertEqual(watched.told, [])
        self.clock.pump([4.0])
        self.assertEqual(watched.told, [9.0])
