"""Who asks over DHCPv6, what for, and where the answer goes."""

from __future__ import annotations

from ipaddress import IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange import dhcp6
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.exchange.dhcp6 import Asks
from pxetwist.exchange.dhcp6_replies import encode_reply
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire.dhcp6 import Dhcp6Message, Option, Options6, RelayMessage, decode, encode
from pxetwist.wire.iana import Architecture, Dhcp6Type
from pxetwist.wire.iana import Dhcp6Option as O

OURS, OTHERS = b"\0\4" + bytes(16), b"\0\4" + bytes(15) + b"\1"
DUID = bytes.fromhex("00030001525400000001")
MAC = "52:54:00:00:00:01"
LINK_LOCAL = IPv6Address("fe80::5054:ff:fe00:1")
CLIENT: Option = (O.CLIENT_ID, DUID)
PXE: Option = (
    O.VENDOR_CLASS,
    values.write_vendor_class(343, [b"PXEClient:Arch:00007:UNDI:003000"]),
)
HTTP: Option = (O.VENDOR_CLASS, values.write_vendor_class(343, [b"HTTPClient:Arch:00016:UNDI"]))
IPXE: Option = (O.USER_CLASS, values.write_texts([b"iPXE"]))


def message(kind: Dhcp6Type, *options: Option) -> Dhcp6Message:
    return Dhcp6Message(kind, 7, Options6(options))


def relay(link: str = "fd78::1", peer: IPv6Address = LINK_LOCAL, *options: Option) -> RelayMessage:
    return RelayMessage(Dhcp6Type.RELAY_FORW, 0, IPv6Address(link), peer, Options6(options))


class ClassifyTests(SynchronousTestCase):
    def asks(self, kind: Dhcp6Type, *options: Option, unicast: bool = False) -> object:
        found = dhcp6.classify(message(kind, *options), OURS, unicast=unicast)
        return "silence" if isinstance(found, Silence) else found

    def test_without_server(self) -> None:
        for kind, asks in (
            (Dhcp6Type.SOLICIT, Asks.SOLICIT),
            (Dhcp6Type.CONFIRM, Asks.CONFIRM),
            (Dhcp6Type.REBIND, Asks.REBIND),
        ):
            self.assertIs(self.asks(kind, CLIENT), asks)
            self.assertEqual(self.asks(kind), "silence")
            self.assertEqual(self.asks(kind, CLIENT, (O.SERVER_ID, OURS)), "silence")
            self.assertEqual(self.asks(kind, CLIENT, unicast=True), "silence")

    def test_with_server(self) -> None:
        for kind, asks in (
            (Dhcp6Type.REQUEST, Asks.REQUEST),
            (Dhcp6Type.RENEW, Asks.RENEW),
            (Dhcp6Type.RELEASE, Asks.RELEASE),
            (Dhcp6Type.DECLINE, Asks.DECLINE),
        ):
            self.assertIs(self.asks(kind, CLIENT, (O.SERVER_ID, OURS)), asks)
            self.assertEqual(self.asks(kind, (O.SERVER_ID, OURS)), "silence")
            self.assertEqual(self.asks(kind, CLIENT), "silence")
            self.assertEqual(self.asks(kind, CLIENT, (O.SERVER_ID, OTHERS)), "silence")
            by_unicast = self.asks(kind, CLIENT, (O.SERVER_ID, OURS), unicast=True)
            self.assertIs(by_unicast, Asks.BY_UNICAST)
            foreign = self.asks(kind, CLIENT, (O.SERVER_ID, OTHERS), unicast=True)
            self.assertEqual(foreign, "silence")

    def test_information(self) -> None:
        kind = Dhcp6Type.INFORMATION_REQUEST
        self.assertIs(self.asks(kind), Asks.INFORMATION)
        self.assertIs(self.asks(kind, CLIENT, (O.SERVER_ID, OURS)), Asks.INFORMATION)
        self.assertEqual(self.asks(kind, (O.SERVER_ID, OTHERS)), "silence")
        self.assertEqual(self.asks(kind, (O.IA_NA, bytes(12))), "silence")

    def test_what_servers_say(self) -> None:
        for kind in (Dhcp6Type.ADVERTISE, Dhcp6Type.REPLY, Dhcp6Type.RECONFIGURE, Dhcp6Type(99)):
            self.assertEqual(self.asks(kind, CLIENT), "silence")


class IdentifyTests(SynchronousTestCase):
    def identity(self, *options: Option) -> ClientIdentity:
        return dhcp6.identify(message(Dhcp6Type.SOLICIT, CLIENT, *options))

    def test_ovmf(self) -> None:
        found = self.identity(PXE, (O.CLIENT_ARCHITECTURE, b"\0\7"))
        self.assertEqual((found.mac, found.client_id), (MAC, DUID))
        self.assertEqual((found.firmware, found.architecture), (Firmware.UEFI, 7))

    def test_architecture_of_the_vendor_class(self) -> None:
        """Quirk V2: firmware that leaves option 61 out."""
        self.assertEqual(self.identity(PXE).architecture, Architecture.X64_UEFI)
        http = self.identity(HTTP)
        self.assertEqual((http.firmware, http.architecture), (Firmware.UEFI_HTTP, 16))

    def test_architecture_alone(self) -> None:
        boots = self.identity((O.CLIENT_ARCHITECTURE, b"\0\x10"))
        self.assertIs(boots.firmware, Firmware.UEFI_HTTP)

    def test_ipxe(self) -> None:
        """It says PXEClient as well."""
        self.assertIs(self.identity(PXE, IPXE).firmware, Firmware.IPXE)
        self.assertIs(self.identity((O.USER_CLASS, b"iPXE")).firmware, Firmware.IPXE)

    def test_system(self) -> None:
        name = (O.CLIENT_FQDN, b"\0\3ws1\3lab\0")
        found = self.identity(name)
        self.assertIs(found.firmware, Firmware.SYSTEM)
        self.assertEqual(found.hostname, "ws1.lab")

    def test_malformed_details(self) -> None:
        found = self.identity(
            (O.VENDOR_CLASS, b"\0"), (O.CLIENT_ARCHITECTURE, b"\0"), (O.CLIENT_FQDN, b"")
        )
        self.assertEqual((found.architecture, found.vendor_class, found.mac), (None, "", MAC))

    def test_uuid(self) -> None:
        duid = (O.CLIENT_ID, b"\0\4" + bytes(range(16)))
        found = dhcp6.identify(message(Dhcp6Type.SOLICIT, duid), peer=LINK_LOCAL)
        self.assertEqual(found.mac, MAC)
        self.assertEqual(found.uuid and found.uuid.bytes_le, bytes(range(16)))

    def test_the_card_that_asks_comes_before_the_duid(self) -> None:
        """A DUID has the MAC of any card of the machine, a link-local address that of this one."""
        other = IPv6Address("fe80::5054:ff:fe00:2")
        found = dhcp6.identify(message(Dhcp6Type.SOLICIT, CLIENT), peer=other)
        self.assertEqual(found.mac, "52:54:00:00:00:02")
        private = IPv6Address("fe80::1234:5678:9abc:def0")
        found = dhcp6.identify(message(Dhcp6Type.SOLICIT, CLIENT), peer=private)
        self.assertEqual(found.mac, MAC)

    def test_relay(self) -> None:
        told = (O.CLIENT_LINK_LAYER, bytes.fromhex("0001525400000003"))
        near = relay(
            "fd78::1", LINK_LOCAL, told, (O.INTERFACE_ID, b"port 7"), (O.REMOTE_ID, b"sw")
        )
        far = relay("fd77::2", IPv6Address("fd78::1"))
        found = dhcp6.identify(message(Dhcp6Type.SOLICIT, CLIENT), (far, near))
        self.assertEqual(found.mac, "52:54:00:00:00:03")
        assert found.relay is not None
        self.assertEqual(found.relay.address, IPv6Address("fd78::1"))
        self.assertEqual((found.relay.circuit_id, found.relay.remote_id), (b"port 7", b"sw"))

    def test_link_of_a_switch_without_addresses(self) -> None:
        """RFC 6221: an agent without a link-address leaves it to the next one."""
        agents = (relay("fd78::1"), relay("::"))
        self.assertEqual(dhcp6.link_address(agents), IPv6Address("fd78::1"))
        self.assertIsNone(dhcp6.link_address((relay("::"),)))


class ReplyTests(SynchronousTestCase):
    def test_relayed(self) -> None:
        near = relay("fd78::1", LINK_LOCAL, (O.INTERFACE_ID, b"p7"), (O.REMOTE_ID, b"sw"))
        far = relay("fd77::2", IPv6Address("fd78::1"), (O.RELAY_SOURCE_PORT, b"\0\0"))
        inner = message(Dhcp6Type.REPLY, CLIENT)
        outer = decode(encode_reply(inner, (far, near)))
        assert isinstance(outer, RelayMessage)
        self.assertEqual((outer.type, outer.peer), (Dhcp6Type.RELAY_REPL, far.peer))
        self.assertIn(O.RELAY_SOURCE_PORT, outer.options)
        middle = decode(outer.inner)
        assert isinstance(middle, RelayMessage)
        self.assertEqual((middle.link, middle.peer), (near.link, LINK_LOCAL))
        self.assertEqual(middle.options.get(O.INTERFACE_ID), b"p7")
        self.assertNotIn(O.REMOTE_ID, middle.options)
        self.assertEqual(middle.inner, encode(inner))

    def test_ports(self) -> None:
        self.assertEqual(dhcp6.reply_port((), 1024), 546)
        self.assertEqual(dhcp6.reply_port((relay(),), 1024), 547)
        own = relay("fd77::2", LINK_LOCAL, (O.RELAY_SOURCE_PORT, b"\0\0"))
        self.assertEqual(dhcp6.reply_port((own,), 1024), 1024)
