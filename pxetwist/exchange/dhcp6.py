"""The rules of DHCPv6 for what comes in: who asks, what for, and where the answer goes.

Pure functions of decoded messages. Section numbers are those of RFC 8415.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import TypeVar

from pxetwist.exchange.dhcp4 import Silence, tolerant
from pxetwist.model.identity import (
    RASPBERRY_PI,
    ClientIdentity,
    Firmware,
    Relay,
    address_mac,
    machine_uuid,
)
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire import pxe
from pxetwist.wire.dhcp6 import Dhcp6Message, RelayMessage
from pxetwist.wire.iana import Architecture, Dhcp6Type
from pxetwist.wire.iana import Dhcp6Option as O
from pxetwist.wire.shapes import read_text

T = TypeVar("T")

SERVER_PORT = 547
CLIENT_PORT = 546
#: All servers and relay agents of a link, and all servers of a site (§7.1).
ALL_AGENTS_AND_SERVERS = IPv6Address("ff02::1:2")
ALL_SERVERS = IPv6Address("ff05::1:3")


class Asks(enum.Enum):
    """What a message asks for; the value is for people."""

    SOLICIT = "solicit"
    REQUEST = "request after an advertisement"
    CONFIRM = "confirmation of a former address"
    RENEW = "renewal"
    REBIND = "rebinding"
    RELEASE = "release"
    DECLINE = "decline"
    INFORMATION = "information request"
    BY_UNICAST = "a request by unicast"  # to be told to use multicast


_KINDS = {
    Dhcp6Type.SOLICIT: Asks.SOLICIT,
    Dhcp6Type.REQUEST: Asks.REQUEST,
    Dhcp6Type.CONFIRM: Asks.CONFIRM,
    Dhcp6Type.RENEW: Asks.RENEW,
    Dhcp6Type.REBIND: Asks.REBIND,
    Dhcp6Type.RELEASE: Asks.RELEASE,
    Dhcp6Type.DECLINE: Asks.DECLINE,
    Dhcp6Type.INFORMATION_REQUEST: Asks.INFORMATION,
}
#: Messages to one server, which they must name (§16).
_NAMES_SERVER = frozenset({Asks.REQUEST, Asks.RENEW, Asks.RELEASE, Asks.DECLINE})


def classify(message: Dhcp6Message, server: bytes, *, unicast: bool = False) -> Asks | Silence:
    """Say what a message asks for, or why it is dropped (§16, §18.4).

    `server` is our DUID; `unicast` tells that it came to an address of ours, and not through a
    relay agent.
    """
    asks = _KINDS.get(message.type)
    if asks is None:
        return Silence(f"a message of type {message.type.name}")
    if O.CLIENT_ID not in message.options and asks is not Asks.INFORMATION:
        return Silence(f"a {message.type.name} without a client identifier")
    named = message.options.get(O.SERVER_ID)
    if asks in _NAMES_SERVER:
        if named is None:
            return Silence(f"a {message.type.name} without a server identifier")
        if named != server:
            return Silence("the client chose another server")
        return Asks.BY_UNICAST if unicast else asks
    if unicast:
        return Silence(f"a {message.type.name} by unicast")
    if asks is Asks.INFORMATION:
        return _information(message, named, server)
    return asks if named is None else Silence(f"a {message.type.name} with a server identifier")


def _information(message: Dhcp6Message, named: bytes | None, server: bytes) -> Asks | Silence:
    if named not in (None, server):
        return Silence("the client asks another server")
    if any(code in message.options for code in (O.IA_NA, O.IA_TA, O.IA_PD)):
        return Silence("an INFORMATION_REQUEST with an identity association")
    return Asks.INFORMATION


def identify(
    message: Dhcp6Message,
    relays: Sequence[RelayMessage] = (),
    peer: IPv6Address | None = None,
    interface: str = "",
) -> ClientIdentity:
    """Read all that a message proves about its sender. Malformed details are left out.

    `relays` are the agents on the way, the outermost first; `peer` is where it came from.
    """
    options = message.options
    duid = options.get(O.CLIENT_ID) or b""
    source = relays[-1].peer if relays else peer
    mac = _mac(relays, source, duid)
    vendor_class = _vendor_class(options.all(O.VENDOR_CLASS))
    users = _texts(options.get(O.USER_CLASS))
    architecture = _architecture(options.get(O.CLIENT_ARCHITECTURE), vendor_class)
    uuid = values.duid_uuid(duid)
    return ClientIdentity(
        mac=mac,
        uuid=machine_uuid(uuid) if uuid else None,
        client_id=duid,
        architecture=architecture,
        firmware=_firmware(mac, vendor_class, users, architecture),
        vendor_class=vendor_class,
        user_class=",".join(users),
        hostname=tolerant(values.read_fqdn, options.get(O.CLIENT_FQDN)) or "",
        relay=_relay(relays),
        interface=interface,
    )


def _mac(relays: Sequence[RelayMessage], source: IPv6Address | None, duid: bytes) -> str:
    """Find the MAC of the card that asks: a relay agent's word (RFC 6939), then the link-local
    address, then the DUID, which may be about another card of the machine (§11.2).
    """
    told = relays[-1].options.get(O.CLIENT_LINK_LAYER) if relays else None
    return (
        values.link_layer_mac(told or b"")
        or (address_mac(source) if source is not None and source.is_link_local else "")
        or values.duid_mac(duid)
    )


def _vendor_class(classes: Sequence[bytes]) -> str:
    for raw in classes:
        found = tolerant(values.read_vendor_class, raw)
        if found and found[1]:
            return read_text(found[1][0])
    return ""


def _texts(raw: bytes | None) -> tuple[str, ...]:
    """Read user classes; iPXE's of old lack the length before the text."""
    if not raw:
        return ()
    found = tolerant(values.read_texts, raw)
    return tuple(filter(None, map(read_text, (raw,) if found is None else found)))


def _architecture(raw: bytes | None, vendor_class: str) -> Architecture | None:
    """Option 61, else what the vendor class says: some firmware leaves 61 out (quirk V2)."""
    listed = tolerant(pxe.architectures, raw) or ()
    known = (each for each in listed if not each.short.startswith("arch"))
    found = next(known, listed[0] if listed else None)
    return found if found is not None else pxe.vendor_architecture(vendor_class)


def _firmware(
    mac: str, vendor_class: str, users: tuple[str, ...], architecture: Architecture | None
) -> Firmware:
    """Classify as over IPv4: iPXE first, it says PXEClient as well."""
    if any(user in ("iPXE", "gPXE") for user in users):
        return Firmware.IPXE
    if vendor_class.startswith("HTTPClient"):
        return Firmware.UEFI_HTTP
    if vendor_class.startswith("U-Boot"):
        return Firmware.UBOOT
    if not vendor_class.startswith("PXEClient") and architecture is None:
        return Firmware.SYSTEM
    if architecture is None or architecture.short == "bios":
        return Firmware.RASPBERRY_PI if mac.startswith(RASPBERRY_PI) else Firmware.BIOS
    if architecture is Architecture.RPIBOOT:
        return Firmware.RASPBERRY_PI
    return Firmware.UEFI_HTTP if architecture.is_http else Firmware.UEFI


def _relay(relays: Sequence[RelayMessage]) -> Relay | None:
    if not relays:
        return None
    nearest = relays[-1].options
    return Relay(
        address=link_address(relays),
        circuit_id=nearest.get(O.INTERFACE_ID) or b"",
        remote_id=nearest.get(O.REMOTE_ID) or b"",
    )


def link_address(relays: Sequence[RelayMessage]) -> IPv6Address | None:
    """Return the address that says which link the client is on: that of the agent nearest to it
    which has one (§9, RFC 6221 §6.1); `None`: the client is on a link of ours.
    """
    for relay in reversed(relays):
        if int(relay.link) and not relay.link.is_link_local:
            return relay.link
    return None


def reply_port(relays: Sequence[RelayMessage], source_port: int) -> int:
    """Return the port that a reply goes to: clients have theirs, and so have relay agents, but
    for those that ask otherwise (RFC 8357 §5.3).
    """
    if not relays:
        return CLIENT_PORT
    return source_port if O.RELAY_SOURCE_PORT in relays[0].options else SERVER_PORT
