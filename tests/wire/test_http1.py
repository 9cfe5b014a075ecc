"""Requests of HTTP/1.1 as bytes."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.wire.http1 import (
    BODY,
    FIELDS,
    HEAD,
    KEPT,
    LINE,
    BadRequest,
    Body,
    Head,
    find_head,
    read_head,
)


def head(*lines: str) -> Head:
    return read_head("\r\n".join((*lines, "", "")).encode("latin-1"))


class HeadTests(SynchronousTestCase):
    def refused(self, *lines: str) -> int:
        return int(self.assertRaises(BadRequest, head, *lines).status)

    def test_what_firmware_sends(self) -> None:
        """UEFI HTTP Boot, iPXE, GRUB, and a client that sends the line alone."""
        found = head(
            "HEAD /EFI/x.efi HTTP/1.1",
            "Host: 10.0.0.1",
            "Accept: */*",
            "User-Agent: UefiHttpBoot/1.0",
        )
        self.assertEqual((found.method, found.target), ("HEAD", b"/EFI/x.efi"))
        self.assertEqual(found.fields["user-agent"], "UefiHttpBoot/1.0")
        self.assertTrue(found.keeps)
        self.assertEqual((found.length, found.fields.get("range")), (0, None))
        ipxe = head("GET /a?b=${c} HTTP/1.1", "Connection: keep-alive", "Host:10.0.0.1:8080")
        self.assertTrue(ipxe.keeps)
        self.assertEqual(ipxe.fields["host"], "10.0.0.1:8080")
        self.assertFalse(head("GET / HTTP/1.0").keeps)

    def test_connections_that_end(self) -> None:
        for value in ("close", "Close", "keep-alive, close", "TE,close"):
            self.assertFalse(head("GET / HTTP/1.1", f"Connection: {value}").keeps, value)
        self.assertFalse(head("GET / HTTP/1.1", "Connection: TE", "Connection: close").keeps)

    def test_fields(self) -> None:
        found = head("GET / HTTP/1.1", "A: 1", "a:\t2 \t", "B:", "C: ä: b\t c")
        self.assertEqual(dict(found.fields), {"a": "1, 2", "b": "", "c": "ä: b\t c"})

    def test_what_is_no_request(self) -> None:
        for line in (
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET /\x00 HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1",
            "\x16\x03\x01",
            "",
        ):
            self.assertEqual(self.refused(line), 400, line)
        self.assertEqual(self.refused("PRI * HTTP/2.0"), 505)
        self.assertEqual(self.refused(f"GET /{'x' * LINE} HTTP/1.1"), 414)

    def test_fields_that_two_readers_would_read_differently(self) -> None:
        for lines in (
            (" folded: 1",),
            ("A: 1", "\tmore"),
            ("A : 1",),
            (": 1",),
            ("A",),
            ("A: 1\n",),
            ("A: \r1",),
            ("A: \x00",),
            ("Host: a", "Host: b"),
            ("Content-Length: 1", "Content-Length: 1"),
            ("Content-Length: +1",),
            ("Content-Length: 1, 1",),
            ("Content-Length: ²",),
            ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ):
            self.assertEqual(self.refused("POST / HTTP/1.1", *lines), 400, lines)
        self.assertEqual(self.refused("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400)
        self.assertEqual(self.refused("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked"), 501)
        many = [f"a{number}: 1" for number in range(FIELDS + 1)]
        self.assertEqual(self.refused("GET / HTTP/1.1", *many), 431)

    def test_bodies(self) -> None:
        self.assertEqual(head("POST / HTTP/1.1", "Content-Length: 20").length, 20)
        self.assertEqual(head("POST / HTTP/1.1", "Transfer-Encoding: Chunked").length, -1)
        for length in (str(BODY + 1), "9" * 5000):
            self.assertEqual(self.refused("POST / HTTP/1.1", f"Content-Length: {length}"), 413)
        expecting = ("Expect: 100-continue", "Content-Length: 3")
        self.assertTrue(head("POST / HTTP/1.1", *expecting).expects)
        self.assertFalse(head("POST / HTTP/1.0", *expecting).expects)
        self.assertFalse(head("GET / HTTP/1.1", expecting[0]).expects)


class FindTests(SynchronousTestCase):
    def test_piece_by_piece(self) -> None:
        whole = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        data, seen = bytearray(), 0
        ends = []
        for byte in whole:
            data.append(byte)
            ends.append(find_head(data, seen))
            seen = len(data)
        self.assertEqual(ends, [0] * (len(whole) - 1) + [len(whole) - 2])

    def test_limits(self) -> None:
        def status(data: bytes) -> int:
            return int(self.assertRaises(BadRequest, find_head, bytearray(data), 0).status)

        self.assertEqual(status(b"GET /" + b"x" * LINE), 414)
        self.assertEqual(status(b"GET /" + b"x" * HEAD), 414)
        self.assertEqual(status(b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD), 431)
        self.assertEqual(status(b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD + b"\r\n\r\n"), 431)
        self.assertEqual(find_head(bytearray(b"GET / HTTP/1.1\r\nA: " + b"x" * 9000), 0), 0)


class BodyTests(SynchronousTestCase):
    def read(self, length: int, data: bytes, step: int = 0) -> tuple[bytes, bytes]:
        """Return what is kept, and what is left for the next request."""
        body, waiting = Body(length), bytearray()
        step = step or len(data)
        for at in range(0, len(data), step):
            waiting += data[at : at + step]
            if body.take(waiting):
                return body.kept, bytes(waiting) + data[at + step :]
        raise AssertionError("no end")

    def test_of_a_length(self) -> None:
        for step in (0, 1, 2, 3):
            self.assertEqual(self.read(5, b"helloGET", step), (b"hello", b"GET"))
        kept, rest = self.read(100_000, b"x" * 100_000 + b"GET", 1000)
        self.assertEqual((len(kept), rest), (KEPT, b"GET"))

    def test_in_chunks(self) -> None:
        data = b"2\r\nha\r\n3;x=y\r\nllo\r\n0\r\nTrailer: 1\r\n\r\nGET"
        for step in (0, 1, 2, 3, 7):
            self.assertEqual(self.read(-1, data, step), (b"hallo", b"GET"))

    def test_chunks_that_are_none(self) -> None:
        for data, status in (
            (b"x\r\n", 400),
            (b"-1\r\n", 400),
            (b"2\r\nhallo\r\n", 400),
            (b"123456789\r\n", 400),
            (b"1" * 2000, 400),
            (b"ffffffff\r\n", 413),
            ((b"100\r\n" + b"x" * 256 + b"\r\n") * (BODY // 256 + 1), 413),
            (b"0\r\n" + (b"a: " + b"b" * 95 + b"\r\n") * (BODY // 100 + 1), 413),
        ):
            error = self.assertRaises(BadRequest, Body(-1).take, bytearray(data))
            self.assertEqual(error.status, status, data[:20])


class AnyBytesTests(SynchronousTestCase):
    @given(some.binary(max_size=200))
    def test_a_head_is_read_or_refused(self, data: bytes) -> None:
        try:
            found = read_head(data + b"\r\n\r\n")
        except BadRequest:
            return
        self.assertNotIn(b" ", found.target)

    @given(some.lists(some.binary(min_size=1, max_size=50), max_size=8), some.integers(1, 60))
    def test_chunks_come_out_as_they_went_in(self, chunks: list[bytes], step: int) -> None:
        coded = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
        body, waiting = Body(-1), bytearray()
        ended = []
        for at in range(0, len(coded), step):
            waiting += coded[at : at + step]
            ended.append(body.take(waiting))
        self.assertEqual((body.kept, ended[-1], sum(ended)), (b"".join(chunks), True, 1))

    def test_damaged_requests(self) -> None:
        chance = random.Random(1)
        whole = b"POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
        for _ in range(2000):
            data = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                end = find_head(data, 0)
                found = read_head(bytes(data[:end])) if end else None
                if found is not None and found.length:
                    Body(found.length).take(data[end:])
            except BadRequest:
                continue
