"""The life of an order: who may have it, and how it ends."""

from __future__ import annotations

import random

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.order import HANDED, NOTE, Order, OrderState, Taker, Terms

NOW = 1_700_000_000.0
ONCE = Terms()
FIRST, SECOND = Taker("52:54:00:00:00:01", "1111"), Taker("52:54:00:00:00:01", "2222")
PENDING = Order("ws1", "install", 7, created=NOW, expires=NOW + 86400)


def taken(order: Order | None) -> Order:
    assert order is not None
    return order


class TakingTests(SynchronousTestCase):
    def test_one_boot(self) -> None:
        order = taken(PENDING.take(FIRST, NOW, ONCE))
        self.assertEqual((order.state, order.attempts), (OrderState.TAKEN, 1))
        self.assertEqual((order.mac, order.boot_id, order.taken), (*attrs.astuple(FIRST), NOW))
        self.assertIsNone(order.take(SECOND, NOW + 1, ONCE))
        self.assertIsNone(order.take(Taker("52:54:00:00:00:02", "1111"), NOW + 1, ONCE))

    def test_the_same_boot_may_fetch_again(self) -> None:
        """But not for ever, and no more often than loaders do."""
        order = taken(PENDING.take(FIRST, NOW, ONCE))
        again = taken(order.take(FIRST, NOW + 599, ONCE))
        self.assertEqual((again.attempts, again.handed), (1, 2))
        self.assertIsNone(order.take(FIRST, NOW + 600, ONCE))
        for _ in range(HANDED - 1):
            order = taken(order.take(FIRST, NOW + 1, ONCE))
        self.assertIsNone(order.take(FIRST, NOW + 1, ONCE))

    def test_boots_without_an_id(self) -> None:
        """They cannot be told apart: half a minute is one boot."""
        nameless = attrs.evolve(FIRST, boot_id="")
        order = taken(PENDING.take(nameless, NOW, ONCE))
        self.assertIsNotNone(order.take(nameless, NOW + 29, ONCE))
        self.assertIsNone(order.take(nameless, NOW + 30, ONCE))
        self.assertFalse(order.taken_by(nameless))

    def test_several_attempts_end_with_the_time_limit(self) -> None:
        terms = Terms(attempts=3, time_limit=1000)
        order = taken(PENDING.take(FIRST, NOW, terms))
        order = taken(order.take(SECOND, NOW + 900, terms))
        self.assertEqual((order.attempts, order.boot_id), (2, "2222"))
        third = attrs.evolve(FIRST, boot_id="3333")
        self.assertIsNone(order.take(third, NOW + 1000, terms))
        order = taken(order.take(third, NOW + 950, terms))
        self.assertIsNone(order.take(attrs.evolve(FIRST, boot_id="4444"), NOW + 960, terms))

    def test_expired(self) -> None:
        self.assertIsNone(PENDING.take(FIRST, NOW + 86400, ONCE))
        self.assertIs(PENDING.overdue(NOW + 86400).state, OrderState.EXPIRED)
        never = attrs.evolve(PENDING, expires=0.0)
        self.assertIsNotNone(never.take(FIRST, NOW + 1e9, ONCE))
        self.assertIs(never.overdue(NOW + 1e9), never)

    def test_done_when_taken(self) -> None:
        terms = Terms(done_when_taken=True)
        order = taken(PENDING.take(FIRST, NOW, terms))
        self.assertIs(order.state, OrderState.DONE)
        self.assertIsNotNone(order.take(FIRST, NOW + 1, terms))
        self.assertIsNone(order.take(SECOND, NOW + 1, terms))
        self.assertIs(order.report("failed", "no disk", NOW + 9).state, OrderState.FAILED)

    def test_no_loop_whatever_happens(self) -> None:
        """Random boots, reports and times: no more boots than attempts, ever."""
        chance = random.Random(4)
        for _ in range(300):
            terms = Terms(chance.randint(1, 3), 5000, chance.random() < 0.2)
            order, now, boots = attrs.evolve(PENDING, expires=0.0), NOW, 0
            for _ in range(60):
                now += chance.choice((0.1, 20, 700))
                taker = Taker("52:54:00:00:00:01", f"{chance.randint(0, 3):04x}")
                new = not order.taken_by(taker)
                match chance.randint(0, 5):
                    case 0:
                        word = chance.choice(("progress", "done", "failed"))
                        order = order.report(word, "", now)
                    case 1:
                        order = order.overdue(now)
                    case 2:
                        order = order.abandoned(taker, now, terms)
                    case _:
                        given = order.take(taker, now, terms)
                        boots += given is not None and new
                        order = given or order
            self.assertLessEqual(boots, terms.attempts)


class EndTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.order = taken(PENDING.take(FIRST, NOW, ONCE))

    def test_the_first_final_word_counts(self) -> None:
        done = self.order.report("done", "hurra", NOW + 5)
        self.assertEqual((done.state, done.note, done.ended), (OrderState.DONE, "hurra", NOW + 5))
        for word in ("done", "failed", "progress"):
            self.assertIs(done.report(word, "no", NOW + 6), done)
        failed = self.order.report("failed", "no disk", NOW + 5)
        self.assertIs(failed.report("done", "", NOW + 6), failed)
        for order in (done, failed):
            self.assertIsNone(order.take(FIRST, NOW + 7, Terms(attempts=9)))

    def test_progress(self) -> None:
        order = self.order.report("progress", "x" * 9999, NOW + 5)
        self.assertEqual((order.state, len(order.note)), (OrderState.TAKEN, NOTE))

    def test_a_failed_install_does_not_vanish(self) -> None:
        """The machine starts anew, or is never heard of again; a late word still counts."""
        order = self.order.report("progress", "half way", NOW + 5)
        self.assertIs(order.abandoned(FIRST, NOW + 6, ONCE), order)
        again = order.abandoned(SECOND, NOW + 6, ONCE)
        late = order.overdue(NOW + ONCE.time_limit)
        for failed in (again, late):
            self.assertIs(failed.state, OrderState.FAILED)
            self.assertIn("it last said: half way", failed.note)
            self.assertIs(failed.report("done", "", NOW + 9e4).state, OrderState.DONE)
        retried = self.order.abandoned(SECOND, NOW + 6, Terms(attempts=2))
        self.assertIs(retried, self.order)

    def test_cancelled(self) -> None:
        for order in (PENDING, self.order, self.order.report("done", "", NOW + 1)):
            cancelled = order.cancelled(NOW + 2)
            self.assertIs(cancelled.state, OrderState.CANCELLED)
            self.assertIsNone(cancelled.take(FIRST, NOW + 3, Terms(attempts=9)))
            self.assertIs(cancelled.report("done", "", NOW + 3), cancelled)
            self.assertIs(cancelled.overdue(NOW + 9e9), cancelled)
