"""The reader never leaves its bounds and raises nothing but WireError; the writer mirrors it."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.cursor import Reader, Writer


class ReaderTests(SynchronousTestCase):
    def test_numbers_and_addresses_are_big_endian(self) -> None:
        reader = Reader(bytes.fromhex("01 0203 04050607 0a000001 ffff"))
        self.assertEqual(reader.uint8(), 1)
        self.assertEqual(reader.uint16(), 0x0203)
        self.assertEqual(reader.uint32(), 0x04050607)
        self.assertEqual(reader.address(), IPv4Address("10.0.0.1"))
        self.assertEqual(reader.rest(), b"\xff\xff")
        self.assertEqual(reader.remaining, 0)

    def test_reading_beyond_the_end_names_the_place(self) -> None:
        reader = Reader(b"abc")
        reader.octets(2)
        error = self.assertRaises(WireError, reader.uint16)
        self.assertEqual(error.offset, 2)
        self.assertEqual(reader.octets(1), b"c", "a failed read consumes nothing")
        self.assertRaises(WireError, reader.octets, -1)

    def test_text_ends_at_its_nul(self) -> None:
        reader = Reader(b"one\0\0two")
        self.assertEqual(reader.until_nul(), b"one")
        self.assertEqual(reader.until_nul(), b"")
        self.assertEqual(self.assertRaises(WireError, reader.until_nul).offset, 5)

    def test_restricted_hides_what_follows(self) -> None:
        reader = Reader(b"abcdef")
        with reader.restricted(3) as inner:
            self.assertRaises(WireError, inner.octets, 4)
            self.assertRaises(WireError, inner.until_nul)
            self.assertEqual(inner.rest(), b"abc")
        self.assertEqual(reader.rest(), b"def")

    def test_restricted_must_be_consumed_and_must_fit(self) -> None:
        with self.assertRaises(WireError), Reader(b"abcdef").restricted(3) as inner:
            inner.uint8()
        with self.assertRaises(WireError), Reader(b"abc").restricted(4):
            pass

    @given(st.binary(max_size=40), st.lists(st.integers(-2, 9), max_size=12))
    def test_any_reads_stay_inside(self, data: bytes, counts: list[int]) -> None:
        reader = Reader(data)
        taken = b""
        for count in counts:
            try:
                taken += reader.octets(count)
            except WireError:
                self.assertTrue(count < 0 or count > len(data) - len(taken))
        self.assertEqual(taken, data[: len(taken)])
        self.assertEqual(reader.remaining, len(data) - len(taken))


class WriterTests(SynchronousTestCase):
    def test_what_is_written_is_read_back(self) -> None:
        writer = Writer().uint8(1).uint16(0x0203).uint32(0x04050607).padded(b"ab", 4).octets(b"c")
        self.assertEqual(writer.getvalue(), bytes.fromhex("01 0203 04050607 61620000 63"))
        self.assertEqual(len(writer), 12)
