"""Sealed connections: messages in pieces, several at once, broken seals."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts.ldap.sealed import SealedSocket


class Seal:
    """Turns bytes around, and puts a wax seal on them."""

    def seal(self, message: bytes) -> bytes:
        return b"wax" + message[::-1]

    def open(self, sealed: bytes) -> bytes:
        if not sealed.startswith(b"wax"):
            raise OSError("the seal is broken")
        return sealed[3:][::-1]


class Wire:
    """A socket: what was sent, and pieces to receive."""

    def __init__(self, pieces: Iterable[bytes] = ()) -> None:
        self.sent = b""
        self.closed = False
        self._pieces = list(pieces)

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, size: int) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        assert len(piece) <= size
        return piece

    def close(self) -> None:
        self.closed = True


def framed(sealed: bytes) -> bytes:
    return len(sealed).to_bytes(4, "big") + sealed


class SealedSocketTests(SynchronousTestCase):
    def received(self, *pieces: bytes) -> list[bytes]:
        socket = SealedSocket(Wire(pieces), Seal(), 100)
        return list(iter(lambda: socket.recv(4096), b""))

    def test_sends_no_more_than_the_server_takes(self) -> None:
        wire = Wire()
        SealedSocket(wire, Seal(), 4).sendall(b"abcdef")
        self.assertEqual(wire.sent, framed(b"waxdcba") + framed(b"waxfe"))

    def test_pieces(self) -> None:
        whole = framed(b"waxcba") + framed(b"wax") + framed(b"waxfed")  # the middle one is empty
        single = [whole[at : at + 1] for at in range(len(whole))]
        self.assertEqual(self.received(whole), [b"abc", b"def"])
        self.assertEqual(self.received(*single), [b"abc", b"def"])

    def test_end_within_a_message(self) -> None:
        self.assertEqual(self.received(framed(b"waxcba")[:-1]), [])
        self.assertEqual(self.received(b"\0\0"), [])

    def test_not_sealed(self) -> None:
        with self.assertRaisesRegex(OSError, "broken"):
            self.received(framed(b"plain"))

    def test_too_long(self) -> None:
        with self.assertRaisesRegex(OSError, "16777216 bytes is too long"):
            self.received(b"\1\0\0\0")

    def test_all_else_is_the_socket_s(self) -> None:
        wire = Wire()
        SealedSocket(wire, Seal(), 4).close()
        self.assertTrue(wire.closed)
