"""ARP and ICMP echo: what is sent, what comes back, and garbage."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from pxetwist.errors import WireError
from pxetwist.wire import arp, icmp4

MAC = bytes.fromhex("020000000001")
WANTED = IPv4Address("10.0.0.10")


class ArpTests(TestCase):
    def test_probe(self) -> None:
        """RFC 5227 §2.1.1: the sender's address is zero, so that nobody learns it."""
        data = arp.encode_probe(MAC, WANTED)
        self.assertEqual(data.hex(), "0001080006040001020000000001000000000000000000000a00000a")
        self.assertEqual(arp.decode(data), arp.Arp(IPv4Address(0), MAC, WANTED))

    def test_reply_with_padding(self) -> None:
        reply = bytes.fromhex("00010800060400020200000000660a00000a0200000000010a000001")
        found = arp.decode(reply + bytes(18))
        self.assertEqual((found.sender, found.hardware.hex()), (WANTED, "020000000066"))

    def test_other_kinds(self) -> None:
        data = arp.encode_probe(MAC, WANTED)
        for bad in (data[:27], b"\0\6" + data[2:], data[:4] + b"\x08" + data[5:]):
            with self.assertRaises(WireError):
                arp.decode(bad)


class EchoTests(TestCase):
    def test_request(self) -> None:
        self.assertEqual(icmp4.encode_echo(0x1234, 1).hex(), "0800e5ca12340001")

    def test_reply(self) -> None:
        head = b"\x45" + bytes(19)
        self.assertEqual(icmp4.decode_reply(head + bytes.fromhex("0000edca12340001")), 0x1234)
        self.assertIsNone(icmp4.decode_reply(head + icmp4.encode_echo(0x1234, 1)))
        options = b"\x46" + bytes(23)
        self.assertEqual(icmp4.decode_reply(options + bytes.fromhex("0000edca12340001")), 0x1234)

    @given(st.binary(max_size=80))
    def test_garbage(self, data: bytes) -> None:
        for decode in (arp.decode, icmp4.decode_reply):
            with contextlib.suppress(WireError):
                decode(data)
