"""ProxyDHCP replies: boot data without an address, and what firmware needs of them.

Section numbers without an RFC are those of the PXE specification 2.1.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address

from pxetwist.errors import WireError
from pxetwist.exchange.dhcp4_replies import BootData, addressless_reply, boot_options
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.wire import pxe
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O


class ProxyOffer(enum.Enum):
    """The ways to make a ProxyDHCP offer; which firmware needs which: quirks D1-D7."""

    FULL = "full"  # the boot file is in the offer, to be loaded at once
    REDIRECT = "redirect"  # the client must ask port 4011
    MENU = "menu"  # a PXE menu of one item, chosen at once; the client asks port 4011 for it


def proxy_offer(
    request: Dhcp4Message,
    identity: ClientIdentity,
    server: IPv4Address,
    boot: BootData,
    style: ProxyOffer,
) -> Dhcp4Message:
    """Build a ProxyDHCP OFFER: boot data but no address (PXE 2.1 §2.2.3)."""
    options = _proxy_options(identity, server)
    vendor = _proxy_vendor_options(identity, server, style)
    if vendor:
        options[O.VENDOR_SPECIFIC] = pxe.encode_vendor(vendor)
    if style is ProxyOffer.FULL or identity.firmware is Firmware.UEFI:
        # EDK2 that is redirected still reads the name here if port 4011 stays silent.
        options |= boot_options(identity, boot)
        return addressless_reply(request, Dhcp4Type.OFFER, options, boot)
    return addressless_reply(request, Dhcp4Type.OFFER, options, BootData("", boot.server))


def boot_server_reply(
    request: Dhcp4Message, identity: ClientIdentity, server: IPv4Address, boot: BootData
) -> Dhcp4Message:
    """Build the ACK of port 4011, with the chosen boot item of the request (PXE 2.1 §2.2.5)."""
    options = _proxy_options(identity, server) | boot_options(identity, boot)
    try:
        sub_options = pxe.decode_vendor(request.options.get(O.VENDOR_SPECIFIC, b""))
    except WireError:
        sub_options = {}
    if pxe.BOOT_ITEM in sub_options:
        item = {pxe.BOOT_ITEM: sub_options[pxe.BOOT_ITEM]}
        options[O.VENDOR_SPECIFIC] = pxe.encode_vendor(item)
    return addressless_reply(request, Dhcp4Type.ACK, options, boot)


def _proxy_options(identity: ClientIdentity, server: IPv4Address) -> dict[int, bytes]:
    http = identity.firmware is Firmware.UEFI_HTTP
    return {O.SERVER_ID: server.packed, O.VENDOR_CLASS: b"HTTPClient" if http else b"PXEClient"}


def _proxy_vendor_options(
    identity: ClientIdentity, server: IPv4Address, style: ProxyOffer
) -> dict[int, bytes]:
    """Option 43 of a ProxyDHCP offer; nothing for those who must ask port 4011 (quirk D2)."""
    if identity.firmware is Firmware.UEFI_HTTP:
        return {}
    if style is ProxyOffer.MENU:
        servers = b"\x80\0\x01" + server.packed
        menu = b"\x80\0\x08Net boot"
        return {
            pxe.DISCOVERY_CONTROL: b"\x03",
            pxe.BOOT_SERVERS: servers,
            pxe.BOOT_MENU: menu,
            pxe.MENU_PROMPT: b"\0Net boot",
        }
    if style is ProxyOffer.FULL:
        # Some BIOS ROMs insist on a prompt (quirk D7).
        return {pxe.DISCOVERY_CONTROL: b"\x08", pxe.MENU_PROMPT: b"\0PXE"}
    return {}
