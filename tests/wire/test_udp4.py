"""IPv4 with UDP inside, against the checksum rule and a packet of another maker."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.udp4 import Udp4, decode_udp4, encode_udp4

SERVER, CLIENT = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.100")


def folded(data: bytes) -> int:
    """Add up 16-bit words in one's complement; 0xFFFF over data with a right checksum."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Udp4Tests(SynchronousTestCase):
    @given(st.binary(max_size=1472))
    def test_checksums(self, payload: bytes) -> None:
        """Both checksums add up, for odd and even lengths (RFC 1071)."""
        packet = encode_udp4((SERVER, 67), (CLIENT, 68), payload)
        head, udp = packet[:20], packet[20:]
        self.assertEqual(folded(head), 0xFFFF)
        pseudo = SERVER.packed + CLIENT.packed + struct.pack("!HH", 17, len(udp))
        self.assertEqual(folded(pseudo + udp), 0xFFFF)
        self.assertNotEqual(udp[6:8], b"\0\0")  # that would mean: no checksum (RFC 768)
        self.assertEqual(udp[8:], payload)

    def test_fields(self) -> None:
        """Lengths, protocol, ports and addresses stand where they belong (RFC 791)."""
        packet = encode_udp4((SERVER, 67), (CLIENT, 68), b"abc")
        self.assertEqual(packet[:4].hex(), "4500001f")
        self.assertEqual((packet[8], packet[9]), (64, 17))
        self.assertEqual(packet[12:20], SERVER.packed + CLIENT.packed)
        self.assertEqual(struct.unpack("!HHH", packet[20:26]), (67, 68, 11))

    @given(st.binary(max_size=200))
    def test_round_trip(self, payload: bytes) -> None:
        """What was written is read again, without what an Ethernet frame was filled up with."""
        packet = encode_udp4((SERVER, 67), (CLIENT, 68), payload)
        self.assertEqual(decode_udp4(packet + bytes(7)), Udp4(SERVER, 67, CLIENT, 68, payload))

    @given(st.binary(max_size=80))
    def test_garbage(self, data: bytes) -> None:
        """Nothing but WireError comes out of it."""
        for packet in (data, b"\x45" + data, encode_udp4((SERVER, 67), (CLIENT, 68), b"")[:-1]):
            try:
                decode_udp4(packet)
            except WireError:
                continue
