"""Sessions with several servers: which is asked, what is kept open, what rests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import attrs
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap.faults import BindRefused, ServerFault
from pxetwist.hosts.ldap.pool import SessionPool
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import Uri

ONE, TWO = Uri("ldaps", "one", 636), Uri("ldaps", "two", 636)


@attrs.define(eq=False)
class FakeSession:
    """A session; `dropped` if the server has ended it."""

    uri: Uri
    dropped: bool = False
    closed: bool = False

    def close(self) -> None:
        self.closed = True


class PoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.logged: list[LogEvent] = []
        self.opened: list[FakeSession] = []
        self.tried: list[str] = []
        self.errors: dict[Uri, DirectoryUnavailable] = {}
        self.silent = False
        self.meanwhile: Callable[[], None] | None = None

    def pool(self, *servers: Uri, size: int = 2) -> SessionPool:
        return SessionPool(
            servers or (ONE, TWO),
            cast(Any, self.connect),
            size=size,
            back_off=30.0,
            clock=self.clock.seconds,
            log=Logger("ldap", observer=cast(ILogObserver, self.logged.append)),
        )

    def connect(self, uri: Uri, begun: Callable[[FakeSession], None]) -> FakeSession:
        self.tried.append(uri.host)
        session = FakeSession(uri)
        begun(session)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if uri in self.errors:
            raise self.errors[uri]
        self.opened.append(session)
        return session

    def work(self, session: Session) -> str:
        if cast(Any, session).dropped:
            raise ServerFault("the connection broke", self.silent)
        return session.uri.host

    def lose(self, uri: Uri) -> None:
        self.errors[uri] = ServerFault(f"{uri} is not there")

    def messages(self) -> list[str]:
        return [formatEvent(event) for event in self.logged]

    def test_sessions_are_kept(self) -> None:
        pool = self.pool()
        self.assertEqual([pool.ask(self.work) for _ in range(3)], ["one"] * 3)
        self.assertEqual(len(self.opened), 1)

    def test_dropped_at_rest(self) -> None:
        """A new one is made, and nobody is told."""
        pool = self.pool()
        pool.ask(self.work)
        self.opened[0].dropped = True
        self.assertEqual(pool.ask(self.work), "one")
        self.assertTrue(self.opened[0].closed)
        self.assertEqual(self.messages(), [])

    def test_too_long_at_rest(self) -> None:
        pool = self.pool()
        pool.ask(self.work)
        self.clock.advance(241)
        pool.ask(self.work)
        self.assertEqual([each.closed for each in self.opened], [True, False])

    def test_silence_at_rest(self) -> None:
        """A server that says nothing would say nothing on a new connection either."""
        pool = self.pool()
        pool.ask(self.work)
        self.opened[0].dropped = self.silent = True
        self.assertEqual(pool.ask(self.work), "two")
        self.assertEqual(self.tried, ["one", "two"])

    def test_failover_and_return(self) -> None:
        pool = self.pool()
        self.lose(ONE)
        self.assertEqual([pool.ask(self.work) for _ in range(3)], ["two"] * 3)
        self.assertEqual(self.tried, ["one", "two"])
        self.clock.advance(31)
        self.assertEqual(pool.ask(self.work), "two")
        self.assertEqual(self.tried, ["one", "two", "one"])
        del self.errors[ONE]
        self.assertEqual(pool.ask(self.work), "two")  # it rests again
        self.clock.advance(31)
        self.assertEqual(pool.ask(self.work), "one")
        self.assertEqual(
            self.messages(),
            ["ldaps://one is not there; asked again in 30 s", "ldaps://one is back"],
        )

    def test_all_fail(self) -> None:
        pool = self.pool()
        for uri in (ONE, TWO):
            self.lose(uri)
        for _ in range(2):  # also those that rest are asked if there is nobody else
            with self.assertRaises(DirectoryUnavailable) as caught:
                pool.ask(self.work)
            said = "ldaps://one is not there; ldaps://two is not there"
            self.assertEqual(str(caught.exception), said)
        self.assertEqual(self.tried, ["one", "two"] * 2)

    def test_one_tries_for_all(self) -> None:
        """While one thread waits for a server that may be back, the others do not."""
        pool = self.pool()
        self.lose(ONE)
        pool.ask(self.work)
        self.clock.advance(31)
        del self.errors[ONE]
        others: list[str] = []
        self.meanwhile = lambda: others.append(pool.ask(self.work))
        self.assertEqual(pool.ask(self.work), "one")
        self.assertEqual(others, ["two"])

    def test_a_refused_password_is_spared(self) -> None:
        pool = self.pool()
        self.errors[ONE] = BindRefused("one refuses pxe")
        for _ in range(3):
            with self.assertRaises(DirectoryUnavailable):
                pool.ask(self.work)
        self.assertEqual(self.tried, ["one"])
        self.clock.advance(31)
        del self.errors[ONE]
        self.assertEqual(pool.ask(self.work), "one")

    def test_a_refused_search_costs_no_session(self) -> None:
        pool = self.pool()

        def refused(session: Session) -> str:
            raise DirectoryUnavailable("there is no such base")

        for _ in range(2):
            with self.assertRaises(DirectoryUnavailable):
                pool.ask(refused)
        self.assertEqual(self.tried, ["one"])
        self.assertFalse(self.opened[0].closed)

    def test_a_bug_closes_its_session(self) -> None:
        pool = self.pool()
        with self.assertRaises(ZeroDivisionError):
            pool.ask(lambda _: 1 // 0)
        self.assertTrue(self.opened[0].closed)

    def test_no_more_than_its_size_at_rest(self) -> None:
        pool = self.pool(size=1)

        def nested(session: Session) -> str:
            return pool.ask(self.work)

        pool.ask(nested)
        self.assertEqual([each.closed for each in self.opened], [True, False])

    def test_close_while_a_session_is_opened(self) -> None:
        """Whoever waits for the server in there wakes up."""
        pool, began = self.pool(), list[FakeSession]()
        connect = self.connect

        def hanging(uri: Uri, begun: Callable[[FakeSession], None]) -> FakeSession:
            session = connect(uri, begun)
            began.append(session)
            pool.close()
            raise ServerFault("it was closed" if session.closed else "it waits for ever")

        self.patch(pool, "_connect", hanging)
        with self.assertRaises(DirectoryUnavailable) as caught:
            pool.ask(self.work)
        self.assertIn("being stopped", str(caught.exception))
        self.assertTrue(began[0].closed)
        self.assertEqual(pool._busy, set())

    def test_close(self) -> None:
        """It ends sessions that work, too, and no other is opened."""
        pool = self.pool()

        def closing(session: Session) -> str:
            pool.close()
            self.assertTrue(self.opened[0].closed)
            raise ServerFault("the connection broke")

        with self.assertRaises(DirectoryUnavailable):
            pool.ask(closing)
        with self.assertRaises(DirectoryUnavailable) as caught:
            pool.ask(self.work)
        self.assertIn("being stopped", str(caught.exception))
        self.assertEqual(self.tried, ["one"])
        self.assertEqual(self.messages(), [])
