"""Threads of a plugin's own."""

from __future__ import annotations

from threading import Barrier, Event, current_thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.testing.contracts import ThreadClock
from pxetwist.threads import Errand, GivenUp, Threads


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()

    def threads(self, most: int = 1) -> Threads:
        threads = Threads(self.clock, "test", most)
        self.addCleanup(lambda: self.stop(threads))
        return threads

    def stop(self, threads: Threads) -> None:
        stopped = threads.stop()
        if stopped is not None:
            self.settle(stopped)

    def settle(self, deferred: Deferred[Any]) -> list[Any]:
        outcomes: list[Any] = []
        deferred.addBoth(outcomes.append)
        self.clock.run_until(lambda: bool(outcomes))
        return outcomes


class ThreadsTests(Case):
    def test_work_is_done_aside_and_its_value_comes_back(self) -> None:
        [name, sum_] = self.settle(
            self.threads().run(lambda a, b: (current_thread().name, a + b), 1, b=2)
        )[0]
        self.assertNotEqual(name, current_thread().name)
        self.assertEqual(sum_, 3)

    def test_an_exception_comes_back(self) -> None:
        [failure] = self.settle(self.threads().run(int, "one"))
        failure.trap(ValueError)

    def test_no_thread_keeps_a_process_alive(self) -> None:
        self.assertEqual(self.settle(self.threads().run(lambda: current_thread().daemon)), [True])

    def test_so_much_is_done_at_a_time(self) -> None:
        """Each waits for the others."""
        threads, together = self.threads(3), Barrier(3, timeout=30)
        runs = [threads.run(together.wait) for _ in range(3)]
        self.assertEqual(sorted(self.settle(run)[0] for run in runs), [0, 1, 2])

    def test_what_nobody_waits_for_is_done_before_the_end(self) -> None:
        threads, done, go = self.threads(), list[str](), Event()

        def work() -> None:
            go.wait(30)
            done.append("work")

        threads.set_off(work)
        stopped = threads.stop(last=lambda: done.append("last"))
        assert stopped is not None
        self.assertNoResult(stopped)
        go.set()
        self.settle(stopped)
        self.assertEqual(done, ["work", "last"])

    def test_without_work_there_is_nothing_to_wait_for(self) -> None:
        done = list[str]()
        self.assertIsNone(self.threads().stop(last=lambda: done.append("last")))
        self.assertEqual(done, ["last"])


class Statement:
    """What a thread waits for."""

    def __init__(self) -> None:
        self.begun, self.over = Event(), Event()

    def run(self) -> bool:
        self.begun.set()
        return self.over.wait(30)

    def interrupt(self) -> None:
        self.over.set()


class ErrandTests(Case):
    def test_work_that_nobody_waits_for_is_interrupted(self) -> None:
        errand, statement = Errand(), Statement()

        def work() -> bool:
            with errand.waiting_for(statement):
                return statement.run()

        doing = self.threads().run(work)
        statement.begun.wait(30)
        errand.give_up()
        self.assertEqual(self.settle(doing), [True])

    def test_it_does_not_begin_afterwards(self) -> None:
        errand = Errand()
        errand.give_up()
        with self.assertRaises(GivenUp), errand.waiting_for(Statement()):
            self.fail("it began")

    def test_what_comes_later_is_not_interrupted(self) -> None:
        errand, statement = Errand(), Statement()
        with self.assertRaises(ValueError), errand.waiting_for(statement):
            raise ValueError
        errand.give_up()
        self.assertFalse(statement.over.is_set())
