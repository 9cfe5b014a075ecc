"""ProxyDHCP replies to messages that real firmware sent."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4_replies import BootData, encode_reply
from pxetwist.exchange.proxydhcp import ProxyOffer, boot_server_reply, proxy_offer
from pxetwist.wire import pxe
from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.exchange.captured import first, packets

SERVER = IPv4Address("10.77.0.1")
BOOT = BootData("loaders/snponly.efi", SERVER)


class ProxyReplyTests(SynchronousTestCase):
    """ProxyDHCP: what the captures show that firmware takes."""

    def offer(self, capture: str, style: ProxyOffer) -> Dhcp4Message:
        request = first(capture, Dhcp4Type.DISCOVER)
        identity = dhcp4.identify(request)
        reply = proxy_offer(request, identity, SERVER, BOOT, style)
        return decode(encode_reply(request, reply))

    def test_common(self) -> None:
        """No address, our address twice, option 60, the UUID echoed."""
        for style in ProxyOffer:
            offer = self.offer("proxydhcp_ovmf_snponly_ipxe", style)
            self.assertEqual((int(offer.yiaddr), offer.siaddr), (0, SERVER))
            self.assertEqual(offer.options[O.SERVER_ID], SERVER.packed)
            self.assertEqual(offer.options[O.VENDOR_CLASS], b"PXEClient")
            self.assertIn(O.CLIENT_MACHINE_ID, offer.options)
            self.assertNotIn(O.LEASE_TIME, offer.options)

    def test_styles(self) -> None:
        """FULL loads at once, REDIRECT has no option 43, MENU has one item."""
        capture = "proxydhcp_bios-ipxe-rom_4011"
        full = pxe.decode_vendor(self.offer(capture, ProxyOffer.FULL).options[43])
        self.assertEqual(full[pxe.DISCOVERY_CONTROL], b"\x08")
        redirect = self.offer(capture, ProxyOffer.REDIRECT)
        self.assertNotIn(43, redirect.options)
        self.assertEqual((redirect.file, redirect.siaddr), (b"", SERVER))
        menu = pxe.decode_vendor(self.offer(capture, ProxyOffer.MENU).options[43])
        self.assertEqual(menu[pxe.BOOT_SERVERS][3:], SERVER.packed)

    def test_4011_echoes_the_item(self) -> None:
        """iPXE's discovery has xid 0 and the chosen item, which must come back."""
        request = decode(packets("proxydhcp_bios-ipxe-rom_4011", 4011)[0].payload)
        self.assertEqual(request.xid, 0)
        identity = dhcp4.identify(request)
        reply = boot_server_reply(request, identity, SERVER, BOOT)
        asked = pxe.decode_vendor(request.options[43])[pxe.BOOT_ITEM]
        self.assertEqual(pxe.decode_vendor(reply.options[43])[pxe.BOOT_ITEM], asked)
        self.assertEqual((reply.message_type, reply.file), (5, b"loaders/snponly.efi"))

    def test_4011_of_edk2(self) -> None:
        """EDK2 asks from port 4011 without an item; the ACK has no option 43."""
        request = decode(packets("proxydhcp_ovmf_snponly_ipxe", 4011)[0].payload)
        identity = dhcp4.identify(request)
        reply = boot_server_reply(request, identity, SERVER, BOOT)
        self.assertNotIn(43, reply.options)
        self.assertEqual((reply.siaddr, reply.file), (SERVER, b"loaders/snponly.efi"))
