"""Orders in a real PostgreSQL, shared by several servers."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from bootlab.postgres import Postgres
from pxetwist.errors import StateUnavailable
from pxetwist.model.order import Order
from pxetwist.state.database import Database, PostgresDatabase
from pxetwist.state.orders import Orders
from tests.contract.order_store import ONCE, ContractCase, taker


class PostgresTests(ContractCase):
    __test__ = True
    server: Postgres

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Postgres()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close()

    def make_database(self) -> Database:
        self.server.sql("drop schema public cascade; create schema public;")
        url = self.server.url
        return PostgresDatabase(url, "postgresql://db", self.server.password)

    def take(self, store: Orders, order: Order) -> Order | None:
        return self.result(store.take(order, taker(), ONCE, self.now))

    def test_broken_connections_are_made_anew(self) -> None:
        store, order = self.make(), self.add()
        self.found(store)
        self.server.stop()
        self.clock.advance(1)
        self.assertEqual(self.found(store), [order])  # as it was read before
        with self.assertRaises(StateUnavailable):
            self.take(store, order)
        self.server.start()
        self.assertIsNotNone(self.take(store, order))
        self.server.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name ="
            " 'pxetwist'"
        )
        self.assertIsNotNone(self.result(store.report(taker(), "done", "", self.now)))

    def test_a_server_that_hangs(self) -> None:
        """Nobody waits for it longer than a ROM does; afterwards all goes on."""
        store, order = self.make(), self.add()
        self.found(store)
        self.server.freeze()
        try:
            taking = Deferred.fromCoroutine(store.take(order, taker(), ONCE, self.now))
            self.clock.advance(2.5)
            self.failureResultOf(taking, StateUnavailable)
        finally:
            self.server.thaw()
        self.assertIsNotNone(self.take(self.make(), order))
        self.assertIsNotNone(self.take(store, order))
