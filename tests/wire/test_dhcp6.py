"""DHCPv6: round trips, garbage, and what a real firmware and server said to each other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire.dhcp6 import (
    HOP_LIMIT,
    Dhcp6Message,
    Options6,
    RelayMessage,
    decode,
    encode,
    unwrap,
)
from pxetwist.wire.dhcp6_text import describe
from pxetwist.wire.iana import Dhcp6Option, Dhcp6Status, Dhcp6Type
from pxetwist.wire.pcap import read_packets

FOLDER = Path(__file__).parent.parent / "captures"
CAPTURE = FOLDER / "ovmf-pxe6_dhcpv6_shim_grub.pcap"

addresses = st.binary(min_size=16, max_size=16).map(IPv6Address)
labels = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20)
names_of_hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
options = st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=40)), max_size=6).map(
    lambda items: Options6(tuple(items))
)
messages = st.builds(
    Dhcp6Message,
    st.sampled_from([kind for kind in Dhcp6Type if kind < Dhcp6Type.RELAY_FORW]),
    st.integers(0, (1 << 24) - 1),
    options,
)
relayed = st.builds(
    RelayMessage,
    st.sampled_from([Dhcp6Type.RELAY_FORW, Dhcp6Type.RELAY_REPL]),
    st.integers(0, 255),
    addresses,
    addresses,
    options,
)
numbers = st.integers(0, 0xFFFFFFFF)
texts = st.lists(st.binary(max_size=20), max_size=4).map(tuple)


def nested(depth: int) -> bytes:
    data = encode(Dhcp6Message(Dhcp6Type.SOLICIT, 7))
    for hops in range(depth):
        inside = Options6(((Dhcp6Option.RELAY_MESSAGE, data),))
        data = encode(
            RelayMessage(Dhcp6Type.RELAY_FORW, hops, IPv6Address(hops), IPv6Address(1), inside)
        )
    return data


def captured() -> Iterator[tuple[str, Dhcp6Message, bytes]]:
    for packet in read_packets(CAPTURE.read_bytes()):
        if packet.protocol == "udp" and {packet.source_port, packet.destination_port} & {546, 547}:
            message = decode(packet.payload)
            assert isinstance(message, Dhcp6Message)
            yield f"{packet.source} > {packet.destination}", message, packet.payload


class MessageTests(SynchronousTestCase):
    @given(messages | relayed)
    def test_round_trip(self, message: Dhcp6Message | RelayMessage) -> None:
        self.assertEqual(decode(encode(message)), message)

    @given(st.binary(max_size=200) | st.binary(max_size=200).map(b"\x0c\0".__add__))
    def test_garbage(self, data: bytes) -> None:
        with contextlib.suppress(WireError):
            unwrap(data)

    @given(st.sampled_from(list(Dhcp6Option)) | st.integers(0, 300), st.binary(max_size=80))
    def test_every_option_can_be_printed(self, code: int, raw: bytes) -> None:
        self.assertIn(f"({int(code)}): ", describe(code, raw))

    @given(messages, st.integers(0, 100))
    def test_cut_short(self, message: Dhcp6Message, size: int) -> None:
        data = encode(message)
        with contextlib.suppress(WireError):
            self.assertLessEqual(len(encode(decode(data[:size]))), len(data))

    def test_relay_agents_are_unwrapped_in_order(self) -> None:
        message, relays = unwrap(nested(3))
        self.assertEqual((message.type, message.xid), (Dhcp6Type.SOLICIT, 7))
        self.assertEqual([relay.hops for relay in relays], [2, 1, 0])

    def test_too_many_relay_agents(self) -> None:
        self.assertEqual(len(unwrap(nested(HOP_LIMIT))[1]), HOP_LIMIT)
        self.assertRaises(WireError, unwrap, nested(HOP_LIMIT + 1))

    def test_a_relay_agent_with_nothing(self) -> None:
        empty = RelayMessage(Dhcp6Type.RELAY_FORW, 0, IPv6Address(0), IPv6Address(0))
        self.assertRaises(WireError, unwrap, encode(empty))

    def test_an_option_that_is_too_long(self) -> None:
        message = Dhcp6Message(Dhcp6Type.REPLY, 1, Options6(((59, bytes(70000)),)))
        self.assertRaises(WireError, encode, message)

    def test_option_request(self) -> None:
        asked = Options6(((Dhcp6Option.OPTION_REQUEST, bytes.fromhex("003b003c0017")),))
        self.assertEqual(Dhcp6Message(Dhcp6Type.SOLICIT, 1, asked).asked, (59, 60, 23))
        broken = Options6(((Dhcp6Option.OPTION_REQUEST, b"\0\x3b\0"),))
        self.assertEqual(Dhcp6Message(Dhcp6Type.SOLICIT, 1, broken).asked, ())


class ValueTests(SynchronousTestCase):
    @given(numbers, numbers, numbers, st.lists(st.builds(values.IaAddress, addresses, numbers)))
    def test_ia_na(self, iaid: int, t1: int, t2: int, held: list[values.IaAddress]) -> None:
        inside = tuple((int(Dhcp6Option.IA_ADDRESS), values.write_ia_address(a)) for a in held)
        ia = values.IaNa(iaid, t1, t2, Options6(inside))
        again = values.read_ia_na(values.write_ia_na(ia))
        self.assertEqual(again, ia)
        self.assertEqual(list(again.addresses), held)

    @given(numbers, texts)
    def test_vendor_class(self, enterprise: int, data: tuple[bytes, ...]) -> None:
        raw = values.write_vendor_class(enterprise, data)
        self.assertEqual(values.read_vendor_class(raw), (enterprise, data))

    @given(st.lists(names_of_hosts))
    def test_names(self, names: list[str]) -> None:
        self.assertEqual(list(values.read_names(values.write_names(names))), names)

    @given(st.binary(max_size=60))
    def test_garbage(self, raw: bytes) -> None:
        for read in (
            values.read_ia_na,
            values.read_ia_address,
            values.read_status,
            values.read_addresses,
            values.read_texts,
            values.read_vendor_class,
            values.read_names,
            values.read_fqdn,
        ):
            with contextlib.suppress(WireError):
                read(raw)
        values.duid_mac(raw)
        values.duid_uuid(raw)
        values.link_layer_mac(raw)

    def test_labels_that_cannot_be_written(self) -> None:
        for name in ("a..b", "x" * 64 + ".example"):
            self.assertRaises(WireError, values.write_names, [name])

    def test_status(self) -> None:
        raw = values.write_status(Dhcp6Status.NO_BINDING, "not here")
        self.assertEqual(values.read_status(raw), (Dhcp6Status.NO_BINDING, "not here"))

    def test_macs(self) -> None:
        mac = "52:54:00:12:34:01"
        llt = bytes.fromhex("0001000131dbf94e525400123401")
        self.assertEqual(values.duid_mac(llt), mac)
        self.assertEqual(values.duid_mac(bytes.fromhex("00030001525400123401")), mac)
        self.assertEqual(values.duid_mac(bytes.fromhex("00030020525400123401")), "")
        self.assertEqual(values.duid_mac(b"\0\4" + bytes(16)), "")
        self.assertEqual(values.link_layer_mac(bytes.fromhex("0001525400123401")), mac)

    def test_uuid(self) -> None:
        self.assertEqual(values.duid_uuid(b"\0\4" + bytes(range(16))), bytes(range(16)))
        self.assertEqual(values.duid_uuid(b"\0\3" + bytes(range(16))), b"")


class CaptureTests(SynchronousTestCase):
    """OVMF's PXEv6 against dnsmasq."""

    def test_the_same_bytes(self) -> None:
        self.assertEqual(len(list(captured())), 12)
        for _, message, payload in captured():
            self.assertEqual(encode(message), payload)

    def test_golden_text(self) -> None:
        lines = []
        for who, message, _ in captured():
            lines.append(f"{who} {message.type.name} xid {message.xid:06x}")
            lines += ["    " + describe(code, raw) for code, raw in message.options]
        seen = "".join(line + "\n" for line in lines)
        golden = CAPTURE.with_suffix(".golden6")
        if os.environ.get("PXETWIST_GOLDEN") == "write":
            golden.write_text(seen)
        self.assertEqual(seen, golden.read_text())
