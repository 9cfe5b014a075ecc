"""TFTP packets: vectors by hand, round trips, garbage, and what real clients sent."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.pcap import read_packets
from pxetwist.wire.tftp import (
    Ack,
    Data,
    Error,
    ErrorCode,
    OptionAck,
    Packet,
    ReadRequest,
    WriteRequest,
    acknowledged,
    data_header,
    decode,
    encode,
)

KINDS = {"ReadRequest", "WriteRequest", "Data", "Ack", "Error", "OptionAck"}
CAPTURES = Path(__file__).parent.parent / "captures"

NAME = st.binary(max_size=40).filter(lambda name: b"\0" not in name)
WORD = st.text(st.characters(min_codepoint=1, max_codepoint=255), min_size=1, max_size=12)
MODE = st.sampled_from(["octet", "netascii", "mail"])
OPTIONS = st.lists(st.tuples(WORD, WORD), max_size=5).map(tuple)
BLOCK = st.integers(0, 65535)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
PACKETS: st.SearchStrategy[Packet] = st.one_of(
    st.builds(ReadRequest, NAME, MODE, OPTIONS),
    st.builds(WriteRequest, NAME, MODE, OPTIONS),
    st.builds(Data, BLOCK, st.binary(max_size=50)),
    st.builds(Ack, BLOCK),
    st.builds(Error, st.integers(0, 9).map(ErrorCode), TEXT),
    st.builds(OptionAck, OPTIONS),
)


class TftpTests(SynchronousTestCase):
    def test_requests_keep_the_spelling_of_options(self) -> None:
        raw = b"\0\1pxelinux.0\0OcTeT\0TSize\0000\0blkSIZE\0001408\0"
        options = (("TSize", "0"), ("blkSIZE", "1408"))
        self.assertEqual(decode(raw), ReadRequest(b"pxelinux.0", "octet", options))

    def test_vectors(self) -> None:
        vectors: list[tuple[Packet, bytes]] = [
            (ReadRequest(b"a\xff", "octet"), b"\0\1a\xff\0octet\0"),
            (WriteRequest(b"a", "netascii"), b"\0\2a\0netascii\0"),
            (Data(65535, b"xyz"), b"\0\3\xff\xffxyz"),
            (Ack(258), b"\0\4\1\2"),
            (Error(ErrorCode.NOT_FOUND, "né"), b"\0\5\0\1n\xc3\xa9\0"),
            (OptionAck((("tsize", "7"),)), b"\0\6tsize\x007\0"),
        ]
        for packet, raw in vectors:
            self.assertEqual(encode(packet), raw)
            self.assertEqual(decode(raw), packet)

    def test_zeros_after_a_request_are_passed_over(self) -> None:
        raw = b"\0\1a\0octet\0tsize\0000\0" + bytes(40)
        self.assertEqual(decode(raw), ReadRequest(b"a", "octet", (("tsize", "0"),)))

    def test_long_requests_and_others_are_read_alike(self) -> None:
        for name in (b"a", b"a" * 1000):
            for kind in (ReadRequest, WriteRequest):
                packet = kind(name, "octet", (("tsize", "0"),))
                self.assertEqual([decode(encode(packet)) for _ in range(2)], [packet] * 2)

    def test_an_error_needs_no_nul(self) -> None:
        self.assertEqual(decode(b"\0\5\0\x08bye"), Error(ErrorCode.OPTIONS_REFUSED, "bye"))
        self.assertEqual(decode(b"\0\5\0\0"), Error(ErrorCode.UNDEFINED, ""))

    def test_block_numbers_roll_over_to_zero(self) -> None:
        self.assertEqual(data_header(65535), b"\0\3\xff\xff")
        self.assertEqual(data_header(65536), b"\0\3\0\0")
        self.assertEqual(data_header(65537), b"\0\3\0\1")

    def test_the_short_way_for_acks(self) -> None:
        self.assertEqual(acknowledged(b"\0\4\1\2"), 258)
        self.assertEqual(acknowledged(b"\0\4\1\2padding"), 258)
        for other in (b"", b"\0\4\1", b"\0\5\0\0"):
            self.assertIsNone(acknowledged(other))

    def test_malformed(self) -> None:
        for raw in (b"", b"\0", b"\0\1", b"\0\1name", b"\0\1name\0", b"\0\1n\0octet\0blksize\0"):
            self.assertRaises(WireError, decode, raw)
        for raw in (b"\0\3\0", b"\0\4\0", b"\0\5\0", b"\0\7abc", b"\xff\xff"):
            self.assertRaises(WireError, decode, raw)

    def test_round_trips(self) -> None:
        @given(PACKETS)
        def check(packet: Packet) -> None:
            self.assertEqual(decode(encode(packet)), packet)

        check()

    def test_garbage_raises_nothing_but_wire_error(self) -> None:
        @given(st.integers(0, 7), st.binary(max_size=80))
        def check(opcode: int, rest: bytes) -> None:
            with contextlib.suppress(WireError):
                decode(bytes([0, opcode]) + rest)

        check()


class CaptureTests(SynchronousTestCase):
    def test_what_real_clients_and_servers_sent_encodes_to_the_same_bytes(self) -> None:
        kinds: Counter[str] = Counter()
        for path in sorted(CAPTURES.glob("*.pcap")):
            transfers: set[int] = set()
            for packet in read_packets(path.read_bytes()):
                if packet.protocol != "udp":
                    continue
                if packet.destination_port == 69:
                    transfers.add(packet.source_port)
                elif not transfers & {packet.source_port, packet.destination_port}:
                    continue
                if {packet.source_port, packet.destination_port} & {67, 68, 4011, 53, 546, 547}:
                    continue
                decoded = decode(packet.payload)
                kinds[type(decoded).__name__] += 1
                if not isinstance(decoded, Error):  # some send no NUL at the end of the text
                    self.assertEqual(encode(decoded), packet.payload, path.name)
        self.assertEqual(set(kinds), KINDS)
