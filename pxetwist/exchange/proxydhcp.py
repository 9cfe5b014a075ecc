"""ProxyDHCP replies: boot data without an address, and what firmware needs of them.

Section numbers without an RFC are those of the PXE specification 2.1.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import WireError
from pxetwist.exchange.dhcp4_replies import (
    LARGEST_NAME,
    RASPBERRY_PI_MENU,
    BootData,
    addressless_reply,
    boot_options,
)
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import LocalDisk, Menu
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.wire import pxe
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O

#: The first boot item type that is free for sites (§3.1.1); 0 is the local disk.
_FIRST_ITEM = 0x8000
#: EDK2 reads no more items than this.
_MOST_ITEMS = 24
#: The timeout of a prompt: wait for a person (§2.5).
_FOREVER = 255


@functools.total_ordering
class Variant(enum.Enum):
    """The ways to make a ProxyDHCP offer; which firmware needs which: quirks D1-D13, B22."""

    FULL = "full"  # the boot file is in the offer, to be loaded at once
    REDIRECT = "redirect"  # the client must ask port 4011
    MENU = "menu"  # a PXE menu; the client asks port 4011 for the chosen item
    HEADER = "header"  # as full, but the name in the header alone, not in option 67 as well
    RASPBERRY_PI = "raspberry-pi"  # what the ROM of these boards looks for

    def __lt__(self, other: Variant) -> bool:
        return self.value < other.value


@attrs.frozen
class MenuItem:
    """One line of a PXE menu; `name` is that of the menu's entry, empty for the plan itself."""

    number: int
    title: str
    name: str = ""


@attrs.frozen
class PxeMenu:
    """A menu that firmware shows; the first item is the default, after so many seconds."""

    items: tuple[MenuItem, ...]
    prompt: str
    timeout: int = 0

    @classmethod
    def of(cls, plan: BootPlan, several: bool) -> PxeMenu:
        """Make it from a plan: its entries if it is a menu and the firmware may show `several`,
        else one item, chosen at once. Firmware asks for no passwords: locked entries are left
        to the loader's menu.
        """
        menu = plan.boot
        one = cls((MenuItem(_FIRST_ITEM, "Net boot"),), "Net boot")
        if not several or not isinstance(menu, Menu):
            return one
        entries = [entry for entry in menu.entries if not entry.locked]
        numbered = [
            MenuItem(
                0 if isinstance(entry.boot, LocalDisk) else _FIRST_ITEM + number,
                entry.title,
                entry.name,
            )
            for number, entry in enumerate(entries, 1)
        ]
        numbered.sort(key=lambda item: item.name != menu.default)
        items = _fitting(numbered, menu.title)
        timeout = min(menu.timeout, _FOREVER - 1) or _FOREVER
        return cls(items, menu.title, timeout) if items else one

    def item(self, number: int) -> MenuItem | None:
        """Return the item of a number."""
        return next((each for each in self.items if each.number == number), None)


def _fitting(items: Sequence[MenuItem], prompt: str) -> tuple[MenuItem, ...]:
    """Return those for which option 43 has room: firmware reads its first 255 bytes only."""
    room, fitting = 255 - len(_text(prompt)) - 11, []
    for item in items[:_MOST_ITEMS]:
        room -= 3 + len(_text(item.title)) + 7
        if room < 0:
            break
        fitting.append(item)
    return tuple(fitting)


def proxy_offer(
    request: Dhcp4Message,
    identity: ClientIdentity,
    boot: BootData,
    variant: Variant,
    menu: PxeMenu | None = None,
    *,
    server: IPv4Address | None = None,
) -> Dhcp4Message:
    """Build a ProxyDHCP OFFER: boot data but no address (§2.2.3). `server` is who answers, if
    what is loaded is elsewhere.
    """
    server = server or boot.server
    options = _proxy_options(identity, server)
    if identity.firmware is Firmware.UEFI_HTTP:
        options |= boot_options(identity, boot)  # it has no use for the rest (quirk H1)
        return addressless_reply(request, Dhcp4Type.OFFER, options, boot)
    vendor = _vendor_options(server, variant, menu)
    if variant is Variant.RASPBERRY_PI:
        options[O.VENDOR_SPECIFIC] = RASPBERRY_PI_MENU
    elif vendor:
        options[O.VENDOR_SPECIFIC] = pxe.encode_vendor(vendor)
    if variant is Variant.HEADER and len(boot.file.encode()) <= LARGEST_NAME:
        return addressless_reply(request, Dhcp4Type.OFFER, options, boot)
    # EDK2 that is redirected still reads the name here if port 4011 stays silent.
    redirected = variant is Variant.REDIRECT and identity.firmware is Firmware.UEFI
    if redirected or variant not in (Variant.REDIRECT, Variant.MENU):
        options |= boot_options(identity, boot)
        return addressless_reply(request, Dhcp4Type.OFFER, options, boot)
    return addressless_reply(request, Dhcp4Type.OFFER, options, BootData("", boot.server))


def boot_server_reply(
    request: Dhcp4Message,
    identity: ClientIdentity,
    boot: BootData,
    *,
    server: IPv4Address | None = None,
) -> Dhcp4Message:
    """Build the ACK of port 4011, with the chosen boot item of the request (§2.2.5)."""
    options = _proxy_options(identity, server or boot.server) | boot_options(identity, boot)
    item = _vendor(request).get(pxe.BOOT_ITEM)
    if item is not None:
        options[O.VENDOR_SPECIFIC] = pxe.encode_vendor({pxe.BOOT_ITEM: item})
    return addressless_reply(request, Dhcp4Type.ACK, options, boot)


def boot_item(request: Dhcp4Message) -> tuple[int, int] | None:
    """Return type and layer of the boot item that is asked for; `None` if there is none."""
    try:
        return pxe.boot_item(request.options.get(O.VENDOR_SPECIFIC, b""))
    except WireError:
        return None


def _vendor(request: Dhcp4Message) -> dict[int, bytes]:
    try:
        return pxe.decode_vendor(request.options.get(O.VENDOR_SPECIFIC, b""))
    except WireError:
        return {}


def _proxy_options(identity: ClientIdentity, server: IPv4Address) -> dict[int, bytes]:
    http = identity.firmware is Firmware.UEFI_HTTP
    return {O.SERVER_ID: server.packed, O.VENDOR_CLASS: b"HTTPClient" if http else b"PXEClient"}


def _vendor_options(
    server: IPv4Address, variant: Variant, menu: PxeMenu | None
) -> dict[int, bytes]:
    """Option 43 of a ProxyDHCP offer; nothing for those who must ask port 4011 (quirk D2)."""
    if variant is Variant.REDIRECT:
        return {}
    if variant is Variant.MENU:
        assert menu is not None
        return _menu_options(server, menu)
    # Load it now: no menu, no discovery. Some BIOS ROMs insist on a prompt (quirk D7).
    return {pxe.DISCOVERY_CONTROL: b"\x08", pxe.MENU_PROMPT: b"\0PXE"}


def _menu_options(server: IPv4Address, menu: PxeMenu) -> dict[int, bytes]:
    """No broadcast or multicast discovery: all items are ours (§2.4)."""
    servers = [pxe.boot_server(item.number, server) for item in menu.items if item.number]
    items = [pxe.menu_item(item.number, _text(item.title)) for item in menu.items]
    return {
        pxe.DISCOVERY_CONTROL: b"\x03",
        pxe.BOOT_SERVERS: b"".join(servers),
        pxe.BOOT_MENU: b"".join(items),
        pxe.MENU_PROMPT: bytes([menu.timeout]) + _text(menu.prompt),
    }


def _text(title: str) -> bytes:
    """Spell a title for a text screen of firmware."""
    return title.encode("ascii", "replace")[:60]
