"""ProxyDHCP replies to messages that real firmware sent."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4_replies import BootData, encode_reply
from pxetwist.exchange.proxydhcp import MenuItem, PxeMenu, Variant, boot_server_reply, proxy_offer
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import Files, LocalDisk, Menu, MenuEntry
from pxetwist.wire import pxe
from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.exchange.captured import first, packets

SERVER = IPv4Address("10.77.0.1")
BOOT = BootData("loaders/snponly.efi", SERVER)


class ProxyReplyTests(SynchronousTestCase):
    """ProxyDHCP: what the captures show that firmware takes."""

    def offer(self, capture: str, variant: Variant) -> Dhcp4Message:
        request = first(capture, Dhcp4Type.DISCOVER)
        identity = dhcp4.identify(request)
        menu = PxeMenu((MenuItem(0x8000, "Net boot"),), "Net boot")
        reply = proxy_offer(request, identity, BOOT, variant, menu)
        return decode(encode_reply(request, reply))

    def test_common(self) -> None:
        """No address, our address twice, option 60, the UUID echoed."""
        for variant in Variant:
            offer = self.offer("proxydhcp_ovmf_snponly_ipxe", variant)
            self.assertEqual((int(offer.yiaddr), offer.siaddr), (0, SERVER))
            self.assertEqual(offer.options[O.SERVER_ID], SERVER.packed)
            self.assertEqual(offer.options[O.VENDOR_CLASS], b"PXEClient")
            self.assertIn(O.CLIENT_MACHINE_ID, offer.options)
            self.assertNotIn(O.LEASE_TIME, offer.options)

    def test_variants(self) -> None:
        """FULL loads at once, REDIRECT has no option 43, MENU has one item."""
        capture = "proxydhcp_bios-ipxe-rom_4011"
        full = pxe.decode_vendor(self.offer(capture, Variant.FULL).options[43])
        self.assertEqual(full[pxe.DISCOVERY_CONTROL], b"\x08")
        redirect = self.offer(capture, Variant.REDIRECT)
        self.assertNotIn(43, redirect.options)
        self.assertEqual((redirect.file, redirect.siaddr), (b"", SERVER))
        menu = pxe.decode_vendor(self.offer(capture, Variant.MENU).options[43])
        self.assertEqual(menu[pxe.BOOT_SERVERS][3:], SERVER.packed)

    def test_4011_echoes_the_item(self) -> None:
        """iPXE's discovery has xid 0 and the chosen item, which must come back."""
        request = decode(packets("proxydhcp_bios-ipxe-rom_4011", 4011)[0].payload)
        self.assertEqual(request.xid, 0)
        identity = dhcp4.identify(request)
        reply = boot_server_reply(request, identity, BOOT)
        asked = pxe.decode_vendor(request.options[43])[pxe.BOOT_ITEM]
        self.assertEqual(pxe.decode_vendor(reply.options[43])[pxe.BOOT_ITEM], asked)
        self.assertEqual((reply.message_type, reply.file), (5, b"loaders/snponly.efi"))

    def test_4011_of_edk2(self) -> None:
        """EDK2 asks from port 4011 without an item; the ACK has no option 43."""
        request = decode(packets("proxydhcp_ovmf_snponly_ipxe", 4011)[0].payload)
        identity = dhcp4.identify(request)
        reply = boot_server_reply(request, identity, BOOT)
        self.assertNotIn(43, reply.options)
        self.assertEqual((reply.siaddr, reply.file), (SERVER, b"loaders/snponly.efi"))

    def test_header(self) -> None:
        """For those who misread option 67 (quirk D13): the name is in the header alone."""
        offer = self.offer("proxydhcp_bios-ipxe-rom_4011", Variant.HEADER)
        self.assertEqual(offer.file, b"loaders/snponly.efi")
        self.assertFalse({O.BOOT_FILE, O.TFTP_SERVER_NAME} & set(offer.options))
        # a URL that has no room there is in the option, after all
        long = BootData("http://10.77.0.1/" + "x" * 120, SERVER)
        request = decode(packets("proxydhcp_bios-ipxe-rom_4011", 67)[0].payload)
        offer = proxy_offer(request, dhcp4.identify(request), long, Variant.HEADER)
        self.assertEqual(offer.options[O.BOOT_FILE], long.file.encode())

    def test_raspberry_pi(self) -> None:
        """Its ROM looks for a menu of this name (quirk B22)."""
        offer = self.offer("proxydhcp_bios-ipxe-rom_4011", Variant.RASPBERRY_PI)
        menu = pxe.decode_vendor(offer.options[43])[pxe.BOOT_MENU]
        self.assertEqual(menu, b"\0\0\x11Raspberry Pi Boot")

    def test_http(self) -> None:
        """HTTP Boot gets exactly HTTPClient and the URL, and nothing of PXE (quirk H1)."""
        for variant in Variant:
            offer = self.offer("ovmf-http4_snponly", variant)
            self.assertEqual(offer.options[O.VENDOR_CLASS], b"HTTPClient")
            self.assertEqual(offer.options[O.BOOT_FILE], b"loaders/snponly.efi")
            self.assertNotIn(O.VENDOR_SPECIFIC, offer.options)


class MenuTests(SynchronousTestCase):
    """PXE menus made of plans."""

    def menu(self, *entries: MenuEntry, default: str = "", several: bool = True) -> PxeMenu:
        default = default or entries[0].name
        return PxeMenu.of(BootPlan(Menu("Choose", entries, default, 10), "m"), several)

    def test_default_comes_first(self) -> None:
        """Firmware starts the first item; the local disk is type 0."""
        disk = MenuEntry("disk", "Local disk", LocalDisk())
        debian = MenuEntry("debian", "Debian", Files("linux"))
        menu = self.menu(disk, debian, default="debian")
        self.assertEqual(
            menu.items, (MenuItem(0x8002, "Debian", "debian"), MenuItem(0, "Local disk", "disk"))
        )
        self.assertEqual((menu.prompt, menu.timeout), ("Choose", 10))

    def test_numbers_do_not_depend_on_the_default(self) -> None:
        """The same item has the same number whatever is first."""
        entries = [MenuEntry(name, name, Files(name)) for name in "abc"]
        for default in "abc":
            menu = self.menu(*entries, default=default)
            self.assertEqual({i.number: i.name for i in menu.items}[0x8002], "b")

    def test_locked_entries_stay_out(self) -> None:
        """Firmware asks for no passwords."""
        plain = MenuEntry("a", "A", Files("a"))
        locked = MenuEntry("b", "B", Files("b"), locked=True)
        self.assertEqual([item.name for item in self.menu(plain, locked).items], ["a"])

    def test_fits(self) -> None:
        """Option 43 stays below 256 bytes: firmware reads no second part of it."""
        entries = [MenuEntry(f"e{n}", f"Entry number {n} é", Files("x")) for n in range(40)]
        menu = self.menu(*entries)
        self.assertGreater(len(menu.items), 5)
        request = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.DISCOVER)
        offer = proxy_offer(request, dhcp4.identify(request), BOOT, Variant.MENU, menu)
        self.assertLess(len(offer.options[O.VENDOR_SPECIFIC]), 256)

    def test_one_item_for_those_with_broken_menus(self) -> None:
        """Their loader shows the menu (quirks D3, D10)."""
        entries = [MenuEntry(name, name, Files(name)) for name in "abc"]
        menu = self.menu(*entries, several=False)
        self.assertEqual([(item.number, item.name) for item in menu.items], [(0x8000, "")])
        self.assertEqual(menu.timeout, 0)
