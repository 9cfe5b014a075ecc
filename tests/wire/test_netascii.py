from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.wire.netascii import PIECE, NetasciiIndex, encode


def decoded(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")


class NetasciiTests(SynchronousTestCase):
    def test_line_ends(self) -> None:
        self.assertEqual(encode(b"a\nb\rc\r\n\r\r"), b"a\r\nb\r\0c\r\0\r\n\r\0\r\0")
        self.assertEqual(encode(b""), b"")

    def test_it_can_be_undone(self) -> None:
        @given(st.text("ab\r\n\0").map(str.encode))
        def check(text: bytes) -> None:
            text = text.replace(b"\0", b"x")  # a NUL after CR cannot be told apart
            self.assertEqual(decoded(encode(text)), text)

        check()

    def test_the_index_finds_every_byte(self) -> None:
        pieces = [b"\n" * PIECE, b"x\r" * (PIECE // 2), b"end\n"]
        index = NetasciiIndex()
        for piece in pieces:
            index.add(piece)
        whole = encode(b"".join(pieces))
        self.assertEqual(index.size, len(whole))
        for offset in (0, 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, len(whole) - 1):
            number, skip = index.locate(offset)
            self.assertEqual(encode(pieces[number])[skip], whole[offset])

    def test_an_empty_file(self) -> None:
        index = NetasciiIndex()
        self.assertEqual((index.size, index.locate(0)), (0, (0, 0)))
