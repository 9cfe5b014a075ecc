"""rtnetlink: messages as this kernel sends them, and garbage."""

from __future__ import annotations

import contextlib
import struct
from ipaddress import IPv4Interface, IPv6Interface
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from pxetwist.errors import WireError
from pxetwist.wire.rtnetlink import Address, Done, Link, ask_addresses, ask_links, decode


def message(kind: int, body: bytes, sequence: int = 1) -> bytes:
    data = struct.pack("=IHHII", 16 + len(body), kind, 2, sequence, 99) + body
    return data + bytes(-len(data) % 4)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


LINK = (
    struct.pack("=BxHiII", 0, 1, 7, 0x1043, 0)
    + attribute(3, b"eth7\0")
    + attribute(4, struct.pack("=I", 1500))
    + attribute(1, bytes.fromhex("020000000007"))
)
FOUR = struct.pack("=BBBBI", 2, 24, 0x80, 0, 7)
SIX = struct.pack("=BBBBI", 10, 64, 0x80, 253, 7)
FE80 = bytes.fromhex("fe80") + bytes(13) + b"\1"


class RtnetlinkTests(TestCase):
    def test_links(self) -> None:
        data = message(16, LINK) + message(17, LINK)
        link = Link(7, "eth7", 0x1043, bytes.fromhex("020000000007"))
        gone = Link(7, "eth7", 0x1043, bytes.fromhex("020000000007"), gone=True)
        self.assertEqual(list(decode(data)), [link, gone])

    def test_addresses(self) -> None:
        """The local end counts; an IPv6 address is tentative by the flags of 32 bits."""
        local = attribute(1, bytes([10, 0, 0, 9])) + attribute(2, bytes([10, 0, 0, 1]))
        tentative = attribute(1, FE80) + attribute(8, struct.pack("=I", 0x2C0))
        data = (
            message(20, FOUR + local)
            + message(21, FOUR + local)
            + message(20, SIX + tentative)
            + message(20, SIX + attribute(1, FE80))
        )
        four, six = IPv4Interface("10.0.0.1/24"), IPv6Interface("fe80::1/64")
        expected = [
            Address(7, four),
            Address(7, four, gone=True),
            Address(7, six, tentative=True),
            Address(7, six),
        ]
        self.assertEqual(list(decode(data)), expected)

    def test_ends(self) -> None:
        """An answer ends, or is refused; other families and kinds are passed over."""
        other = struct.pack("=BBBBI", 28, 0, 0, 0, 7)
        data = (
            message(24, bytes(12))
            + message(20, other + attribute(1, bytes(8)))
            + message(3, bytes(4), 5)
            + message(2, struct.pack("=i", -1) + bytes(16), 6)
        )
        self.assertEqual(list(decode(data)), [Done(5), Done(6, 1)])

    def test_requests(self) -> None:
        """Dumps of everything: the kernel wants the whole header."""
        for request, kind, size in ((ask_links(3), 18, 32), (ask_addresses(3), 22, 24)):
            length, found, flags, sequence, _ = struct.unpack_from("=IHHII", request)
            self.assertEqual((length, found, flags, sequence), (size, kind, 0x301, 3))
            self.assertEqual(len(request), size)

    def test_lengths_out_of_bounds(self) -> None:
        for data in (
            struct.pack("=IHHII", 17, 16, 0, 1, 0),
            struct.pack("=IHHII", 3, 16, 0, 1, 0),
            message(16, bytes(3)),
            message(16, LINK[:16] + struct.pack("=HH", 99, 3)),
            message(20, FOUR[:5]),
            message(20, struct.pack("=BBBBI", 2, 200, 0, 0, 7) + attribute(2, bytes(4))),
        ):
            with self.assertRaises(WireError):
                list(decode(data))

    @given(st.binary(max_size=400), st.sampled_from((2, 16, 17, 20, 21)))
    def test_garbage(self, garbage: bytes, kind: int) -> None:
        """Nothing but WireError."""
        for data in (garbage, message(kind, garbage), message(kind, LINK[:16] + garbage)):
            with contextlib.suppress(WireError):
                list(decode(data))
