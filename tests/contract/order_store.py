"""What every store of orders must do, whatever the database is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.errors import OrderConflict
from pxetwist.interfaces import IOrderStore
from pxetwist.model.order import Order, OrderState, Taker, Terms
from pxetwist.state import orders
from pxetwist.state.database import Database, Session
from pxetwist.state.orders import Orders
from pxetwist.testing import make_site
from pxetwist.testing.contracts import Contract, ThreadClock

ONCE = Terms()


def taker(number: int = 1, boot: int = 1) -> Taker:
    return Taker(f"52:54:00:00:00:{number:02x}", f"{boot:04x}")


class OrderStoreContract(Contract):
    """`make_database` returns the same database each time."""

    @abstractmethod
    def make_database(self) -> Database:
        """Return the database."""

    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.clock.advance(1_700_000_000)
        self.database = self.make_database()

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def make(self) -> Orders:
        """Start another server."""
        store = Orders(self.database, make_site(reactor=self.clock))
        self.addCleanup(self.stop, store)
        return store

    def stop(self, store: Orders) -> None:
        stopped = store.stop()
        if stopped is not None:
            self.settle(lambda: stopped.called)

    @property
    def now(self) -> float:
        return float(self.clock.seconds())

    def command(self, work: Callable[[Session], Any]) -> Any:
        """Do what a command does, in a connection of its own."""
        session = self.database.connect(orders.SCHEMA, change=True)
        assert session is not None
        try:
            return session.run(work, change=True)
        finally:
            session.close()

    def add(self, machine: str = "ws1", **values: Any) -> Order:
        order = Order(machine, "install", created=self.now, **values)
        added: Order = self.command(lambda session: orders.add(order, session))
        return added

    def found(self, store: Orders, *machines: str) -> Sequence[Order]:
        return self.result(store.find(machines or ("ws1",), self.now))

    def everything(self) -> Sequence[Order]:
        found: Sequence[Order] = self.command(orders.everything)
        return found

    def test_provides_the_interface(self) -> None:
        verifyObject(IOrderStore, self.make())

    def test_an_order_is_seen_within_a_second(self) -> None:
        store = self.make()
        self.assertEqual(self.found(store), [])
        order = self.add(then="local", expires=self.now + 60)
        self.assertGreater(order.number, 0)
        self.clock.advance(1)
        self.assertEqual(self.found(store), [order])
        self.assertEqual(self.found(store, "ws2", "52:54:00:00:00:01"), [])
        self.assertEqual(self.everything(), [order])

    def test_a_second_order_waits_for_the_first(self) -> None:
        order = self.add()
        self.assertRaises(OrderConflict, self.add)
        self.result(self.make().take(order, taker(), ONCE, self.now))
        self.assertRaises(OrderConflict, self.add)
        self.result(self.make().report(taker(), "done", "", self.now))
        again = self.add()
        self.assertGreater(again.number, order.number)
        self.assertEqual(self.found(self.make()), [again])

    def test_a_machine_with_several_names(self) -> None:
        mac = "52:54:00:00:00:01"
        self.add(mac)
        wanted = Order("ws1", "install", created=self.now)
        with self.assertRaises(OrderConflict):
            self.result(self.make().add(wanted, (mac,)))
        self.assertEqual(self.result(self.make().add(wanted)).machine, "ws1")

    def test_from_order_to_call_back(self) -> None:
        store, other = self.make(), self.make()
        order = self.add()
        self.found(store)
        taken = self.result(store.take(order, taker(), ONCE, self.now))
        assert taken is not None
        self.assertIs(taken.state, OrderState.TAKEN)
        self.assertEqual(self.found(store), [taken])  # at once
        self.assertEqual(self.everything(), [taken])
        done = self.result(other.report(taker(), "done", "hurra", self.now + 5))
        assert done is not None
        self.assertEqual((done.state, done.note), (OrderState.DONE, "hurra"))
        self.clock.advance(1)
        self.assertEqual(self.found(store), [done])

    def test_reports_of_nobody(self) -> None:
        store = self.make()
        self.add()
        self.assertIsNone(self.result(store.report(taker(), "done", "", self.now)))

    def test_many_boots_want_one_order(self) -> None:
        """Two servers, twenty boots at once: one has it."""
        stores, order = (self.make(), self.make()), self.add()
        asking = [
            Deferred.fromCoroutine(stores[n % 2].take(order, taker(n, n), ONCE, self.now))
            for n in range(1, 21)
        ]
        self.settle(lambda: all(each.called for each in asking))
        results = [each.result for each in asking]
        [taken] = [each for each in results if each is not None]
        self.assertIsInstance(taken, Order)
        self.assertEqual(self.everything(), [taken])

    def test_a_label_is_stored_when_it_is_taken(self) -> None:
        """And is one order, whichever server sees it first."""
        stores = self.make(), self.make()
        order = Order("ws1", "install", label="install#42")
        asking = [
            Deferred.fromCoroutine(stores[n % 2].take(order, taker(n, n), ONCE, self.now))
            for n in range(1, 9)
        ]
        self.settle(lambda: all(each.called for each in asking))
        [taken] = [each.result for each in asking if each.result is not None]
        assert isinstance(taken, Order)
        self.assertEqual((taken.label, taken.created), ("install#42", self.now))
        self.assertEqual(self.everything(), [taken])
        explicit = self.add()
        self.clock.advance(1)
        for store in stores:
            self.assertEqual(set(self.found(store)), {taken, explicit})
        self.assertIsNone(self.result(stores[0].take(order, taker(77), ONCE, self.now)))

    def test_abandoned(self) -> None:
        store, order = self.make(), self.add()
        taken = self.result(store.take(order, taker(), ONCE, self.now))
        assert taken is not None
        failed = self.result(store.abandon(taken, taker(1, 2), ONCE, self.now))
        self.assertIs(failed.state, OrderState.FAILED)
        self.assertEqual(self.everything(), [failed])

    def test_swept_by_one_server(self) -> None:
        self.add("ws1", expires=self.now + 5)
        self.add("ws2", expires=self.now + 500)
        stores = self.make(), self.make()
        self.assertEqual(self.result(stores[0].sweep(self.now + 4)), [])
        told = [order for store in stores for order in self.result(store.sweep(self.now + 6))]
        self.assertEqual([(o.machine, o.state) for o in told], [("ws1", OrderState.EXPIRED)])

    def test_cancelled(self) -> None:
        order = self.add()
        self.command(lambda session: orders.cancel(order.number, self.now, session))
        self.assertIsNone(self.result(self.make().take(order, taker(), ONCE, self.now)))
        with self.assertRaises(OrderConflict):
            self.command(lambda session: orders.cancel(4711, self.now, session))

    def test_any_text(self) -> None:
        """Notes and labels are data; nothing of them reaches a statement."""
        worst = "'; drop table pxetwist_order; -- %s :now $1 \\ \u2603"
        order = self.add("ws1", label=worst, then=worst)
        self.result(self.make().take(order, taker(), ONCE, self.now))
        self.result(self.make().report(taker(), "progress", worst, self.now))
        [found] = self.everything()
        self.assertEqual((found.label, found.then, found.note), (worst, worst, worst))

    def test_an_exchanged_database(self) -> None:
        """A copy was put back: what came after it is forgotten."""
        store, order = self.make(), self.add()
        for number in range(3):
            self.add(f"other{number}")
        self.assertEqual(len(self.found(store, "ws1", "other2")), 2)

        def older(session: Session) -> None:
            session.rows("delete from pxetwist_order where number > :number", number=order.number)
            session.rows("update pxetwist_change set number = :number", number=order.number)

        self.command(older)
        self.clock.advance(1)
        self.assertEqual(self.found(store, "ws1", "other2"), [order])


class ContractCase(OrderStoreContract, SynchronousTestCase):
    """To be subclassed outside of this module."""

    __test__ = False
