"""Connections of the HTTP service: what clients send one after the other, too slowly, too much."""

from __future__ import annotations

from twisted.internet.address import IPv4Address as TcpAddress
from twisted.internet.defer import Deferred

from pxetwist.services.http.connection import REQUEST_TIME
from pxetwist.services.http.service import HttpService, Settings
from pxetwist.testing import MemoryContent, make_site
from pxetwist.wire.http1 import HEAD
from tests.unit.services.http.test_service import Connection, ServiceCase

GET = "GET /boot/nbp.efi HTTP/1.1\r\nHost: h\r\n\r\n"


class ConnectionCase(ServiceCase):
    def slow(self) -> Deferred[None]:
        """Let there be a file that is waited for."""
        waiting: Deferred[None] = Deferred()
        self.files["slow"] = MemoryContent(b"slow", wait=lambda: waiting)
        return waiting

    @property
    def sent(self) -> str:
        return str(self.connection.transport.value(), "latin-1")


class OrderTests(ConnectionCase):
    def test_answers_come_in_the_order_of_the_requests(self) -> None:
        waiting = self.slow()
        slow = GET.replace("boot/nbp.efi", "slow")
        self.assertNotIn("0123456789", self.connection.ask(slow + GET))
        waiting.callback(None)
        self.assertLess(self.sent.index("slow"), self.sent.index("0123456789"))

    def test_byte_by_byte(self) -> None:
        for byte in "\r\n" + GET[:-1]:
            self.assertEqual(self.connection.ask(byte), "")
        self.assertIn("0123456789", self.connection.ask("\n"))

    def test_a_body_is_no_request(self) -> None:
        post = f"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: {len(GET)}\r\n\r\n"
        self.assertEqual(self.connection.ask(post + GET + GET).count("HTTP/1.1 "), 2)

    def test_close(self) -> None:
        answer = self.connection.ask(GET[:-2] + "Connection: close\r\n\r\n" + GET)
        self.assertEqual(answer.count("0123456789"), 1)
        self.assertIn("\r\nConnection: close\r\n\r\n", answer)
        self.assertTrue(self.connection.transport.disconnecting)
        self.assertEqual(self.connection.ask(GET), "")

    def test_who_sends_no_more_gets_its_answers(self) -> None:
        waiting = self.slow()
        self.connection.ask(GET.replace("boot/nbp.efi", "slow") + GET)
        self.connection.channel.readConnectionLost()
        self.assertFalse(self.connection.transport.disconnecting)
        waiting.callback(None)
        self.assertLess(self.sent.index("slow"), self.sent.index("0123456789"))
        self.assertTrue(self.connection.transport.disconnecting)

    def test_who_waits_before_its_body_is_told_to_go_on(self) -> None:
        start = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        self.assertEqual(self.connection.ask(start), "HTTP/1.1 100 Continue\r\n\r\n")
        self.assertIn(" 405 ", self.connection.ask("ab"))
        self.assertTrue(self.connection.ask(start + "ab").startswith("HTTP/1.1 405"))

    def test_what_is_no_request_ends_the_connection(self) -> None:
        for raw, status in (
            (GET + "nonsense\r\n\r\n" + GET, 400),
            (GET + f"GET / HTTP/1.1\r\nA: {'x' * HEAD}", 431),
            (GET + "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        ):
            self.connection = Connection(self.service.factory)
            answer = self.connection.ask(raw)
            self.assertEqual(answer.count("HTTP/1.1 "), 2, raw[:50])
            self.assertIn(f"HTTP/1.1 {status} ", answer)
            self.assertTrue(answer.partition(f" {status} ")[2].count("\r\nConnection: close\r\n"))
            self.assertTrue(self.connection.transport.disconnecting)
        self.assertEqual(self.service.counts()["400"], 2)


class BoundTests(ConnectionCase):
    def test_a_flood_of_requests_leaves_others_their_turn(self) -> None:
        self.assertEqual(self.connection.ask(GET * 100).count("0123456789"), 16)
        for _ in range(10):
            self.clock.advance(0)
        self.assertEqual(self.sent.count("0123456789"), 100)
        self.assertEqual(self.connection.transport.producerState, "producing")

    def test_nobody_is_listened_to_who_does_not_take_answers(self) -> None:
        self.connection.channel.pauseProducing()  # the transport's buffer is full
        self.assertEqual(self.connection.ask(GET * 20), "")
        self.assertEqual(self.connection.transport.producerState, "producing")
        self.connection.ask("x" * HEAD)
        self.assertEqual(self.connection.transport.producerState, "paused")
        self.connection.channel.resumeProducing()
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.sent.count("0123456789"), 20)

    def test_what_comes_during_an_answer_is_bounded(self) -> None:
        waiting = self.slow()
        self.connection.ask(GET.replace("boot/nbp.efi", "slow"))
        self.connection.ask(GET * (HEAD // len(GET) + 1))
        self.assertEqual(self.connection.transport.producerState, "paused")
        waiting.callback(None)
        self.assertEqual(self.connection.transport.producerState, "producing")

    def test_a_request_that_comes_too_slowly(self) -> None:
        for start in (GET[:-2], "POST /x HTTP/1.1\r\nContent-Length: 50\r\n\r\n"):
            self.connection = Connection(self.service.factory)
            self.connection.ask(GET)
            for byte in start[: int(REQUEST_TIME)]:
                self.assertFalse(self.connection.transport.disconnecting)
                self.connection.ask(byte)
                self.clock.advance(1)
            self.assertIn("HTTP/1.1 408 ", self.sent)
            self.assertTrue(self.connection.transport.disconnecting)
        self.assertEqual(self.service.counts()["408"], 2)

    def test_an_answer_may_take_its_time(self) -> None:
        waiting = self.slow()
        self.connection.ask(GET.replace("boot/nbp.efi", "slow"))
        self.clock.advance(300)
        self.assertFalse(self.connection.transport.disconnecting)
        waiting.callback(None)
        self.assertTrue(self.sent.endswith("slow"))
        self.clock.advance(59)
        self.assertFalse(self.connection.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.connection.transport.disconnecting)

    def test_who_waits_longest_makes_room(self) -> None:
        settings = Settings(connections=16)
        service = HttpService(settings, make_site(self.boot, reactor=self.clock))
        self.slow()
        theirs = TcpAddress("TCP", "10.0.0.9", 40000)
        crowd = [Connection(service.factory, theirs=theirs) for _ in range(16)]
        crowd[0].ask(GET.replace("boot/nbp.efi", "slow"))
        crowd[1].ask(GET)
        more = [Connection(service.factory) for _ in range(3)]
        gone = [each.transport.disconnected for each in crowd]
        self.assertEqual(gone, [False, False, *[True] * 3, *[False] * 11])
        self.assertIn("0123456789", more[-1].ask(GET))
        self.assertEqual(service.counts()["crowded out"], 3)
        for each in (*crowd, *more, self.connection):
            each.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_client_cannot_have_them_all(self) -> None:
        """Not even if it takes nothing of what it asks for: the others have theirs."""
        service = HttpService(Settings(connections=16), make_site(self.boot, reactor=self.clock))
        self.slow()
        slow = GET.replace("boot/nbp.efi", "slow")
        honest, greedy = (TcpAddress("TCP", f"10.0.0.{host}", 40000) for host in (8, 9))
        first = Connection(service.factory, theirs=honest)
        first.ask(slow)
        crowd = []
        for _ in range(40):
            crowd.append(Connection(service.factory, theirs=greedy))
            crowd[-1].ask(slow)
            self.assertLessEqual(len(service.factory.channels), 16)
        self.assertFalse(first.transport.disconnected)
        self.assertEqual([each.transport.disconnected for each in crowd].count(False), 15)
        second = Connection(service.factory, theirs=honest)
        self.assertIn("0123456789", second.ask(GET))
        self.assertEqual(service.counts()["crowded out"], 26)
        for each in (*crowd, first, second, self.connection):
            each.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
