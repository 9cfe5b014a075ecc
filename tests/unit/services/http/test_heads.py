"""Heads that many machines send are read once; others are not kept, and none means anything else
the second time.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.http import Answer
from pxetwist.services.http.heads import Heads
from pxetwist.wire.http1 import BadRequest
from tests.unit.services.http.test_service import TOKEN, ServiceCase


def head(target: str = "/a/linux", *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: h", *fields, "", "")).encode()


class HeadsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.heads = Heads()

    def is_kept(self, raw: bytes) -> bool:
        read = self.heads.read(raw)
        kept = self.heads.get(bytearray(raw))
        self.assertIn(kept, (None, read))
        return kept is not None

    def test_what_many_may_ask_for(self) -> None:
        self.assertTrue(self.is_kept(head()))
        self.assertTrue(self.is_kept(head("/a/linux", "Range: bytes=0-9")))
        self.assertTrue(self.is_kept(head(method="HEAD")))
        self.assertIsNone(self.heads.get(bytearray(head() + b"G")))
        self.assertIsNone(self.heads.get(bytearray(head()[:-1])))

    def test_what_is_one_machine_s_or_secret(self) -> None:
        for raw in (
            head(f"/boot/{TOKEN}/boot.ipxe"),
            head("/boot.ipxe?mac=52:54:00:12:34:56"),
            head(f"/answer/{TOKEN}/preseed.cfg"),
            head(f"/callback/{TOKEN}/done"),
            head(f"/install/p/{TOKEN}/ks.cfg"),
            head("/a", "Authorization: Basic YTpi"),
            head("/a", "AUTHORIZATION: Basic YTpi"),
            head("/a", "Content-Length: 3", method="POST"),
            head("/a", "Transfer-Encoding: chunked", method="POST"),
            head("/" + "a" * 600),
            head("/%zz"),
            head("/../a"),
        ):
            self.assertFalse(self.is_kept(raw), raw)

    def test_refused_each_time(self) -> None:
        for _ in range(2):
            self.assertIsInstance(self.heads.read(head("/%zz")).target, Answer)
            self.assertRaises(BadRequest, self.heads.read, head("/a", "no field"))

    def test_whole(self) -> None:
        self.assertTrue(self.heads.read(head()).whole)
        self.assertFalse(self.heads.read(head(method="HEAD")).whole)
        for field in ("RANGE: bytes=0-1", "If-None-Match: *", "If-Modified-Since: x"):
            self.assertFalse(self.heads.read(head("/a", field)).whole)

    def test_bounds(self) -> None:
        for number in range(3000):
            self.heads.read(head(f"/{number}"))
        self.assertLessEqual(len(self.heads._known), 1024)


class AgainTests(ServiceCase):
    def test_a_connection_that_ends_and_one_that_goes_on(self) -> None:
        again = head("/boot/nbp.efi").decode()
        last = head("/boot/nbp.efi", "Connection: close").decode()
        first = self.connection.ask(again)
        self.assertEqual(self.connection.ask(again), first)
        self.assertEqual(self.connection.ask(again + again), first + first)
        for _ in range(2):
            self.assertIn("\r\nConnection: close\r\n", self.connection.ask(last))
            self.assertTrue(self.connection.transport.disconnecting)
            self.connection = type(self.connection)(self.service.factory)
        self.assertEqual(self.connection.ask(again), first)

    def test_in_two_parts(self) -> None:
        again = head("/boot/nbp.efi").decode()
        first = self.connection.ask(again)
        self.assertEqual(self.connection.ask(again[:9]), "")
        self.assertEqual(self.connection.ask(again[9:]), first)
        self.assertEqual(self.connection.ask("\r\n" + again), first)

    def test_the_date_goes_on(self) -> None:
        again = head("/boot/nbp.efi").decode()
        self.assertIn("00:16:40 GMT", self.connection.ask(again))
        self.clock.advance(1)
        self.assertIn("00:16:41 GMT", self.connection.ask(again))
