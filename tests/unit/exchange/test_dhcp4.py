"""The DHCPv4 rules on messages that real clients sent, and on the tables of RFC 2131."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.exchange import dhcp4, dhcp4_replies
from pxetwist.exchange.dhcp4 import Asks, Destination, Silence
from pxetwist.exchange.dhcp4_options import network_layers, told
from pxetwist.exchange.dhcp4_replies import BootData, Told
from pxetwist.model.boot import BootStage
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.lease import Lease, Network
from pxetwist.wire.dhcp4 import Dhcp4Message, decode, encode
from pxetwist.wire.iana import Architecture, Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.exchange.captured import first

SERVER = IPv4Address("10.77.0.1")
NETWORK = Network(
    "lab",
    IPv4Network("10.77.0.0/24"),
    routers=(SERVER,),
    name_servers=(SERVER,),
    domain="lab.example",
    lease_time=600,
)
LEASE = Lease(IPv4Address("10.77.0.100"), "52:54:00:12:34:56", 0.0)
TOLD = Told(told(network_layers(NETWORK)))
BOOT = BootData("loaders/snponly.efi", SERVER)


def message(**fields: object) -> Dhcp4Message:
    """Make a request of an Ethernet client."""
    base = Dhcp4Message(
        op=Dhcp4Op.REQUEST,
        htype=1,
        hlen=6,
        xid=1,
        chaddr=bytes.fromhex("525400123456").ljust(16, b"\0"),
        options={},
        is_dhcp=True,
    )
    return attrs.evolve(base, **fields)  # type: ignore[arg-type]  # fields of any test


def asking(kind: Dhcp4Type, **options: bytes) -> dict[int, bytes]:
    """Make options: the type, and others by their names in RFC 2132."""
    return {O.MESSAGE_TYPE: bytes([kind]), **{O[name.upper()]: v for name, v in options.items()}}


class IdentifyTests(SynchronousTestCase):
    """Who real firmware is, from its own packets."""

    def check(self, capture: str, firmware: Firmware, architecture: Architecture) -> None:
        found = dhcp4.identify(first(capture, Dhcp4Type.DISCOVER), "eth1")
        self.assertEqual((found.firmware, found.architecture), (firmware, architecture))
        self.assertEqual(found.interface, "eth1")
        self.assertRegex(found.mac, "^52:54:00:")

    def test_firmware(self) -> None:
        """The ROMs and firmwares of the captures are told apart."""
        self.check("bios-ipxe-rom_pxelinux_tftp", Firmware.IPXE, Architecture.X86_BIOS)
        self.check("ovmf-pxe4_shim_grub", Firmware.UEFI, Architecture.X64_UEFI)
        self.check("ovmf-http4_snponly", Firmware.UEFI_HTTP, Architecture.X64_UEFI_HTTP)
        self.check("aavmf-pxe4_shim_grub", Firmware.UEFI, Architecture.ARM64_UEFI)

    def test_bios_rom(self) -> None:
        """A PXE ROM that is no iPXE is a BIOS; without option 93 its vendor class tells."""
        found = dhcp4.identify(
            message(
                options=asking(
                    Dhcp4Type.DISCOVER, vendor_class=b"PXEClient:Arch:00000:UNDI:002001"
                )
            )
        )
        self.assertEqual((found.firmware, found.architecture), (Firmware.BIOS, 0))

    def test_raspberry_pi(self) -> None:
        """The board calls itself a BIOS; its OUI tells. Newer ones have an architecture."""
        chaddr = bytes.fromhex("b827eb123456").ljust(16, b"\0")
        new = bytes.fromhex("0200c0ffee01").ljust(16, b"\0")
        for number, mac in ((0, chaddr), (41, new)):
            vendor = f"PXEClient:Arch:{number:05}:UNDI:002001".encode()
            board = message(chaddr=mac, options=asking(Dhcp4Type.DISCOVER, vendor_class=vendor))
            self.assertEqual(dhcp4.identify(board).firmware, Firmware.RASPBERRY_PI)

    def test_system(self) -> None:
        """The DHCP client of a system is no boot client, and is past the firmware."""
        found = dhcp4.identify(first("udhcpc_dhclient_tftp-clients", Dhcp4Type.DISCOVER))
        self.assertEqual(found.firmware, Firmware.SYSTEM)
        self.assertEqual(dhcp4.stage_of(found), BootStage.KERNEL)

    def test_uuid_byte_order(self) -> None:
        """Option 97 is little-endian in its first fields; the identity has both orders."""
        raw = bytes.fromhex("33221100554477668899aabbccddeeff")
        found = dhcp4.identify(
            message(options=asking(Dhcp4Type.DISCOVER, client_machine_id=b"\0" + raw))
        )
        self.assertEqual(
            [str(each) for each in found.uuids],
            ["00112233-4455-6677-8899-aabbccddeeff", "33221100-5544-7766-8899-aabbccddeeff"],
        )

    def test_unknown_architecture_is_kept(self) -> None:
        """An architecture that we do not know is no BIOS (quirk C6)."""
        found = dhcp4.identify(
            message(
                options=asking(
                    Dhcp4Type.DISCOVER,
                    vendor_class=b"PXEClient:Arch:00099:UNDI:003000",
                    client_architecture=b"\0\x63",
                )
            )
        )
        self.assertEqual((found.firmware, found.architecture), (Firmware.UEFI, 99))

    @given(st.binary(max_size=400))
    def test_any_bytes(self, tail: bytes) -> None:
        """Whatever follows a header: a message is classified and identified, or refused."""
        try:
            found = decode(encode(message())[:240] + tail)
        except WireError:
            return
        dhcp4.classify(found)
        dhcp4.classify(found, port=4011)
        dhcp4.identify(found)


class ClassifyTests(SynchronousTestCase):
    """RFC 2131 §4.3.2, table 4."""

    def asks(self, port: int = 67, **fields: object) -> Asks | None:
        found = dhcp4.classify(message(**fields), port=port)
        return None if isinstance(found, Silence) else found

    def test_request_states(self) -> None:
        """SELECTING names a server, INIT-REBOOT an address, RENEWING and REBINDING have one."""
        address = IPv4Address("10.77.0.100")
        request = Dhcp4Type.REQUEST
        wanted = {"requested_address": address.packed}
        self.assertEqual(
            self.asks(options=asking(request, server_id=SERVER.packed, **wanted)), Asks.SELECTING
        )
        self.assertEqual(self.asks(options=asking(request, **wanted)), Asks.INIT_REBOOT)
        self.assertEqual(self.asks(options=asking(request), ciaddr=address), Asks.RENEWING)
        self.assertEqual(
            self.asks(options=asking(request), ciaddr=address, flags=0x8000), Asks.REBINDING
        )
        self.assertIsNone(self.asks(options=asking(request)))

    def test_replies_are_not_requests(self) -> None:
        """A server's message on our port gets silence."""
        self.assertIsNone(self.asks(op=Dhcp4Op.REPLY, options=asking(Dhcp4Type.DISCOVER)))

    def test_port_4011(self) -> None:
        """There only boot server requests are answered."""
        self.assertEqual(self.asks(4011, options=asking(Dhcp4Type.REQUEST)), Asks.BOOT_SERVER)
        self.assertIsNone(self.asks(4011, options=asking(Dhcp4Type.DISCOVER)))

    def test_bootp(self) -> None:
        """No option 53: BOOTP."""
        self.assertEqual(self.asks(is_dhcp=False), Asks.BOOTP)


class DestinationTests(SynchronousTestCase):
    """RFC 2131 §4.1: where a reply goes."""

    def reply(self, kind: Dhcp4Type, yiaddr: str = "10.77.0.100") -> Dhcp4Message:
        return message(op=Dhcp4Op.REPLY, yiaddr=IPv4Address(yiaddr), options=asking(kind))

    def test_table(self) -> None:
        """Relay, NAK, renewal, broadcast flag, and a client that cannot answer ARP."""
        everybody = Destination(IPv4Address("255.255.255.255"), 68)
        offer, nak = self.reply(Dhcp4Type.OFFER), self.reply(Dhcp4Type.NAK)
        discover = message(options=asking(Dhcp4Type.DISCOVER))
        relayed = attrs.evolve(discover, giaddr=IPv4Address("10.78.0.1"))
        relay = Destination(IPv4Address("10.78.0.1"), 67)
        renewal = message(options=asking(Dhcp4Type.REQUEST), ciaddr=IPv4Address("10.77.0.100"))
        cases = [
            (relayed, offer, relay),
            (relayed, nak, relay),
            (discover, nak, everybody),
            (renewal, self.reply(Dhcp4Type.ACK), Destination(renewal.ciaddr, 68)),
            (attrs.evolve(discover, flags=0x8000), offer, everybody),
            (discover, self.reply(Dhcp4Type.OFFER, "0.0.0.0"), everybody),
            (attrs.evolve(discover, htype=32, hlen=0), offer, everybody),
            (
                discover,
                offer,
                Destination(IPv4Address("10.77.0.100"), 68, bytes.fromhex("525400123456")),
            ),
        ]
        for request, reply, expected in cases:
            self.assertEqual(dhcp4.reply_destination(request, reply), expected)

    def test_subnet(self) -> None:
        """Link selection before giaddr before the interface; a wrong ciaddr is not believed."""
        link = IPv4Address("10.9.0.1")
        relayed = message(giaddr=IPv4Address("10.78.0.1"), options=asking(Dhcp4Type.DISCOVER))
        self.assertEqual(dhcp4.subnet_address(relayed, SERVER), relayed.giaddr)
        options = asking(Dhcp4Type.DISCOVER, relay_agent=b"\x05\x04" + link.packed)
        selecting = attrs.evolve(relayed, options=options)
        self.assertEqual(dhcp4.subnet_address(selecting, SERVER), link)
        buggy = message(ciaddr=link, options=asking(Dhcp4Type.DISCOVER))
        self.assertEqual(dhcp4.subnet_address(buggy, SERVER, Asks.DISCOVER), SERVER)


class ReplyTests(SynchronousTestCase):
    """What real clients get."""

    def offer(self, request: Dhcp4Message, boot: BootData | None = BOOT) -> Dhcp4Message:
        return dhcp4_replies.address_reply(
            request,
            dhcp4.identify(request),
            Dhcp4Type.OFFER,
            lease=LEASE,
            seconds=600,
            server=SERVER,
            told=TOLD,
            boot=boot,
        )

    def test_uefi(self) -> None:
        """Boot data in header and options alike, no option 60 and 43 (EDK2 would ask 4011)."""
        request = first("ovmf-pxe4_shim_grub", Dhcp4Type.DISCOVER)
        offer = decode(dhcp4_replies.encode_reply(request, self.offer(request)))
        self.assertEqual(offer.yiaddr, LEASE.address)
        self.assertEqual((offer.siaddr, offer.file), (SERVER, b"loaders/snponly.efi"))
        self.assertEqual(offer.options[O.BOOT_FILE], b"loaders/snponly.efi\0")
        self.assertEqual(offer.options[O.SERVER_ID], SERVER.packed)
        self.assertEqual(offer.options[O.CLIENT_MACHINE_ID], request.options[O.CLIENT_MACHINE_ID])
        self.assertNotIn(O.VENDOR_CLASS, offer.options)
        self.assertNotIn(O.VENDOR_SPECIFIC, offer.options)
        self.assertEqual((offer.xid, offer.chaddr), (request.xid, request.chaddr))

    def test_uefi_http(self) -> None:
        """HTTP boot takes only an offer with option 60 HTTPClient and a URL (quirk H1)."""
        request = first("ovmf-http4_snponly", Dhcp4Type.DISCOVER)
        offer = self.offer(request, BootData("http://10.77.0.1/loaders/snponly.efi", SERVER))
        self.assertEqual(offer.options[O.VENDOR_CLASS], b"HTTPClient")
        self.assertEqual(offer.options[O.BOOT_FILE], b"http://10.77.0.1/loaders/snponly.efi")

    def test_raspberry_pi(self) -> None:
        """It believes a reply with this menu and option 60 (quirk B22)."""
        request = message(
            chaddr=bytes.fromhex("b827eb123456").ljust(16, b"\0"),
            options=asking(Dhcp4Type.DISCOVER, vendor_class=b"PXEClient:Arch:00000:UNDI:002001"),
        )
        offer = decode(dhcp4_replies.encode_reply(request, self.offer(request)))
        self.assertEqual(offer.options[O.VENDOR_CLASS], b"PXEClient")
        menu = bytes.fromhex("060108 0914000011") + b"Raspberry Pi Boot"
        self.assertEqual(offer.options[O.VENDOR_SPECIFIC], menu + b"\x0a\x04\0PXE\xff")
        self.assertEqual(offer.siaddr, SERVER)
        self.assertNotIn(O.VENDOR_SPECIFIC, self.offer(request, None).options)

    def test_ipxe(self) -> None:
        """iPXE need not wait for a ProxyDHCP offer."""
        request = first("bios-ipxe-rom_pxelinux_tftp", Dhcp4Type.DISCOVER)
        self.assertEqual(self.offer(request).options[O.IPXE], bytes.fromhex("b00101"))

    def test_windows(self) -> None:
        """It wants a NUL behind its texts, also if it only asks (quirk D14)."""
        asked = bytes([O.HOST_NAME, O.DOMAIN_NAME, O.PROXY_AUTODISCOVERY, O.ROUTERS])
        said = Told({O.DOMAIN_NAME: b"lab", O.HOST_NAME: b"ws1", O.ROUTERS: SERVER.packed})
        for vendor, end in ((b"MSFT 5.0", b"\0"), (b"systemd", b"")):
            request = message(
                options=asking(
                    Dhcp4Type.DISCOVER, vendor_class=vendor, parameter_request_list=asked
                )
            )
            identity = dhcp4.identify(request)
            ways = (
                dhcp4_replies.address_reply(
                    request,
                    identity,
                    Dhcp4Type.OFFER,
                    lease=LEASE,
                    seconds=600,
                    server=SERVER,
                    told=said,
                    boot=None,
                ),
                dhcp4_replies.inform_reply(request, identity, SERVER, said, None),
            )
            for reply in ways:
                texts = reply.options[O.DOMAIN_NAME], reply.options[O.HOST_NAME]
                self.assertEqual(texts, (b"lab" + end, b"ws1" + end))
                self.assertEqual(reply.options[O.ROUTERS], SERVER.packed)

    def test_only_what_was_asked(self) -> None:
        """A client that lists its parameters gets no others, but those it must have."""
        options = asking(Dhcp4Type.DISCOVER, parameter_request_list=bytes([O.ROUTERS]))
        offer = self.offer(message(options=options), None)
        self.assertEqual(
            set(offer.options), {53, 54, 51, 1, O.ROUTERS, O.RENEWAL_TIME, O.REBINDING_TIME}
        )

    def test_relay_option_is_echoed_last(self) -> None:
        """Option 82 comes back whole, behind all others (RFC 3046 §2.2)."""
        agent = b"\x01\x04eth0"
        request = message(
            giaddr=IPv4Address("10.78.0.1"),
            options=asking(Dhcp4Type.DISCOVER, relay_agent=agent),
        )
        wire = dhcp4_replies.encode_reply(request, self.offer(request))
        self.assertTrue(wire.rstrip(b"\0").endswith(bytes([82, len(agent)]) + agent + b"\xff"))

    def test_swapped_maximum_size(self) -> None:
        """EDK2 claims 65280; no reply grows beyond an Ethernet frame."""
        request = first("ovmf-pxe4_shim_grub", Dhcp4Type.REQUEST)
        self.assertEqual(request.options[O.MAX_MESSAGE_SIZE], b"\xff\0")
        big = attrs.evolve(NETWORK, options={O.DOMAIN_SEARCH: bytes(2000)})
        reply = dhcp4_replies.address_reply(
            attrs.evolve(request, options={**request.options, 55: bytes([O.DOMAIN_SEARCH])}),
            dhcp4.identify(request),
            Dhcp4Type.ACK,
            lease=LEASE,
            seconds=600,
            server=SERVER,
            told=Told(told(network_layers(big))),
            boot=BOOT,
        )
        wire = dhcp4_replies.encode_reply(request, reply)
        self.assertLessEqual(len(wire), 1472)
        self.assertEqual(decode(wire).options[O.BOOT_FILE], b"loaders/snponly.efi\0")

    def test_long_url(self) -> None:
        """A URL that does not fit the header is in option 67 alone."""
        url = "http://10.77.0.1/" + "x" * 150
        offer = self.offer(message(options=asking(Dhcp4Type.DISCOVER)), BootData(url, SERVER))
        self.assertEqual((offer.file, offer.options[O.BOOT_FILE]), (b"", url.encode()))

    def test_nak(self) -> None:
        """A NAK names us, says why, and reaches a relayed client by broadcast."""
        request = message(
            giaddr=IPv4Address("10.78.0.1"),
            ciaddr=IPv4Address("10.77.0.9"),
            options=asking(Dhcp4Type.REQUEST),
        )
        nak = dhcp4_replies.nak(request, SERVER, "no")
        self.assertEqual((nak.message_type, nak.broadcast, int(nak.ciaddr)), (6, True, 0))
        self.assertEqual(nak.options[O.MESSAGE], b"no")

    def test_inform(self) -> None:
        """An INFORM gets no address and no lease times (RFC 2131 §4.3.5)."""
        request = message(ciaddr=IPv4Address("10.77.0.9"), options=asking(Dhcp4Type.INFORM))
        ack = dhcp4_replies.inform_reply(request, ClientIdentity(), SERVER, TOLD, None)
        self.assertEqual((int(ack.yiaddr), ack.message_type), (0, Dhcp4Type.ACK))
        self.assertFalse({51, 58, 59} & set(ack.options))
