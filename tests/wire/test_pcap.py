"""Capture files of both byte orders, of several links, whole and broken."""

from __future__ import annotations

import contextlib
import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.pcap import Packet, read_packets

MAC = bytes.fromhex("525400123401")


def capture(*frames: bytes, link: int = 1, order: str = "<", nano: bool = False) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)]
    for frame in frames:
        fraction = 500_000_000 if nano else 500_000
        parts += [struct.pack(order + "IIII", 1000, fraction, len(frame), len(frame)), frame]
    return b"".join(parts)


def ethernet(payload: bytes, kind: int = 0x0800, vlan: bytes = b"") -> bytes:
    return b"\xff" * 6 + MAC + vlan + struct.pack("!H", kind) + payload


def ipv4(payload: bytes, protocol: int = 17, fragment: int = 0, total: int | None = None) -> bytes:
    total = 20 + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, fragment, 64, protocol, 0)
    return head + ip_address("10.0.0.1").packed + ip_address("10.0.0.2").packed + payload


def ipv6(payload: bytes, following: int = 17) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, 64)
    return head + ip_address("fd77::1").packed + ip_address("fd77::2").packed + payload


def udp(payload: bytes, length: int | None = None) -> bytes:
    length = 8 + len(payload) if length is None else length
    return struct.pack("!HHHH", 68, 67, length, 0) + payload


def tcp(payload: bytes, options: bytes = b"") -> bytes:
    offset = (20 + len(options)) // 4 << 4
    return struct.pack("!HHIIBBHHH", 80, 40000, 1, 1, offset, 0x18, 0, 0, 0) + options + payload


class LinkTests(SynchronousTestCase):
    expected = Packet(
        1000.5, "10.0.0.1", 68, "10.0.0.2", 67, "udp", b"hello", False, "52:54:00:12:34:01"
    )

    def test_byte_orders_and_resolutions(self) -> None:
        frame = ethernet(ipv4(udp(b"hello")))
        for order in "<>":
            for nano in (False, True):
                data = capture(frame, frame, order=order, nano=nano)
                self.assertEqual(list(read_packets(data)), [self.expected] * 2)

    def test_vlan_tags(self) -> None:
        tags = bytes.fromhex("88a8 0001 8100 0002")
        frame = ethernet(ipv4(udp(b"hello")), vlan=tags)
        self.assertEqual(list(read_packets(capture(frame))), [self.expected])

    def test_any_interface(self) -> None:
        inner = ipv4(udp(b"hello"))
        old = struct.pack("!HHH", 0, 1, 6) + MAC + b"\0\0" + b"\x08\0" + inner
        new = struct.pack("!HHIHBB", 0x0800, 0, 2, 1, 0, 6) + MAC + b"\0\0" + inner
        self.assertEqual(list(read_packets(capture(old, link=113))), [self.expected])
        self.assertEqual(list(read_packets(capture(new, link=276))), [self.expected])

    def test_a_link_without_addresses(self) -> None:
        loop = struct.pack("!HHH", 0, 772, 0) + bytes(8) + b"\x08\0" + ipv4(udp(b"x"))
        (packet,) = read_packets(capture(loop, link=113))
        self.assertEqual(packet.source_mac, "")


class PayloadTests(SynchronousTestCase):
    def only(self, frame: bytes) -> Packet:
        (packet,) = read_packets(capture(frame))
        return packet

    def test_padding_of_ethernet_is_no_payload(self) -> None:
        packet = self.only(ethernet(ipv4(udp(b"hello")) + bytes(13)))
        self.assertEqual((packet.payload, packet.truncated), (b"hello", False))

    def test_cut_by_the_snap_length(self) -> None:
        packet = self.only(ethernet(ipv4(udp(b"hello", length=100), total=120)))
        self.assertEqual((packet.payload, packet.truncated), (b"hello", True))
        packet = self.only(ethernet(ipv4(tcp(b"hello"), protocol=6, total=900)))
        self.assertEqual((packet.payload, packet.truncated), (b"hello", True))

    def test_first_fragment_is_truncated_and_later_ones_are_left_out(self) -> None:
        first = ethernet(ipv4(udp(b"hello", length=2000), fragment=0x2000))
        later = ethernet(ipv4(b"rest of a datagram", fragment=3))
        (packet,) = read_packets(capture(first, later))
        self.assertEqual((packet.payload, packet.truncated), (b"hello", True))

    def test_tcp_with_options(self) -> None:
        packet = self.only(ethernet(ipv4(tcp(b"GET /", bytes(12)), protocol=6)))
        self.assertEqual((packet.protocol, packet.source_port), ("tcp", 80))
        self.assertEqual((packet.payload, packet.truncated), (b"GET /", False))

    def test_length_zero_of_segmentation_offload(self) -> None:
        packet = self.only(ethernet(ipv4(tcp(b"long"), protocol=6, total=0)))
        self.assertEqual((packet.payload, packet.truncated), (b"long", False))

    def test_ipv6_with_extensions(self) -> None:
        hop = bytes((44, 0)) + bytes(6)
        fragment = bytes((17, 0)) + bytes(6)
        packet = self.only(ethernet(ipv6(hop + fragment + udp(b"six"), 0), kind=0x86DD))
        self.assertEqual((packet.source, packet.destination), ("fd77::1", "fd77::2"))
        self.assertEqual((packet.payload, packet.truncated), (b"six", False))
        later = bytes((17, 0, 0, 8)) + bytes(4)
        frame = ethernet(ipv6(later + udp(b"six"), 44), kind=0x86DD)
        self.assertEqual(list(read_packets(capture(frame))), [])

    def test_what_is_not_for_us(self) -> None:
        frames = (
            ethernet(b"who has", kind=0x0806),
            ethernet(ipv4(b"\x08\0", protocol=1)),
            ethernet(b"\x45"),
            ethernet(b"\x65" + ipv4(udp(b""))[1:]),
            ethernet(b"\x41" + ipv4(udp(b""))[1:]),
            ethernet(ipv4(udp(b"", length=7))),
            ethernet(ipv4(tcp(b"")[:12] + b"\x10" + bytes(7), protocol=6)),
            b"",
        )
        self.assertEqual(list(read_packets(capture(*frames))), [])


class BrokenFileTests(SynchronousTestCase):
    def test_reasons(self) -> None:
        whole = capture(ethernet(ipv4(udp(b"hello"))))
        for data, reason in (
            (b"", "4 bytes expected"),
            (b"not a capture file at all", "not a capture"),
            (b"\x0a\x0d\x0d\x0a" + bytes(40), "editcap"),
            (capture(link=105), "link type 105"),
            (whole[:20], "expected"),
            (whole[:30], "expected"),
            (whole[:-1], "expected"),
        ):
            error = self.assertRaises(WireError, list, read_packets(data))
            self.assertIn(reason, str(error))

    def test_what_came_before_the_cut_is_read(self) -> None:
        frame = ethernet(ipv4(udp(b"hello")))
        packets = read_packets(capture(frame, frame)[:-1])
        self.assertEqual(next(packets).payload, b"hello")
        self.assertRaises(WireError, next, packets)

    @given(st.binary(max_size=200), st.sampled_from([1, 113, 276]))
    def test_any_frame_is_read_or_passed_over(self, frame: bytes, link: int) -> None:
        self.assertTrue(len(list(read_packets(capture(frame, link=link)))) <= 1)

    @given(st.binary(max_size=120), st.sampled_from([0x0800, 0x86DD]), st.integers(0, 255))
    def test_any_packet_is_read_or_passed_over(self, raw: bytes, kind: int, first: int) -> None:
        version = 0x40 if kind == 0x0800 else 0x60
        frame = ethernet(bytes((version | first & 15,)) + raw, kind)
        self.assertTrue(len(list(read_packets(capture(frame)))) <= 1)

    @given(st.binary(max_size=120))
    def test_any_file(self, data: bytes) -> None:
        for tried in (data, capture() + data):
            with contextlib.suppress(WireError):
                list(read_packets(tried))
