"""The rules of DHCPv4 for what comes in: who asks, what for, and where the answer goes.

Pure functions of a decoded message; time and addresses are arguments.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address
from typing import TypeVar

import attrs

from pxetwist.errors import WireError
from pxetwist.model.boot import BootStage, Resolution, Verdict
from pxetwist.model.identity import RASPBERRY_PI, ClientIdentity, Firmware, Relay, machine_uuid
from pxetwist.wire import pxe, relay
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Architecture, Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode

T = TypeVar("T")

NOWHERE = IPv4Address(0)
BROADCAST = IPv4Address("255.255.255.255")
SERVER_PORT = 67
CLIENT_PORT = 68
BINL_PORT = 4011


class Asks(enum.Enum):
    """What a message asks for; the states of RFC 2131 §4.3.2 are told apart."""

    DISCOVER = "discover"
    SELECTING = "request after an offer"
    INIT_REBOOT = "request of a former address"
    RENEWING = "renewal"
    REBINDING = "rebinding"
    RELEASE = "release"
    DECLINE = "decline"
    INFORM = "inform"
    BOOTP = "bootp request"
    BOOT_SERVER = "boot server request"  # port 4011, or option 43.71


@attrs.frozen
class Silence:
    """Nothing is sent, and why. `in_vain` tells that somebody waits for an answer."""

    reason: str
    in_vain: bool = False


@attrs.frozen
class Destination:
    """Where a reply goes. `hardware` is set if the client cannot answer ARP for `address`."""

    address: IPv4Address
    port: int
    hardware: bytes = b""


def classify(
    message: Dhcp4Message, *, port: int = SERVER_PORT, broadcast: bool | None = None
) -> Asks | Silence:
    """Say what a message asks for; `port` is the one of ours that it came to, and `broadcast`
    whether it was sent to everybody, if that is known.
    """
    if message.op != Dhcp4Op.REQUEST:
        return Silence("not a request")
    if not message.is_dhcp or message.message_type is None:
        return Asks.BOOTP if port == SERVER_PORT else Silence("BOOTP on port 4011")
    kind = message.message_type
    if port == BINL_PORT:
        asked = kind in (Dhcp4Type.REQUEST, Dhcp4Type.INFORM)
        return Asks.BOOT_SERVER if asked else Silence(f"{kind.name} on port 4011")
    if kind == Dhcp4Type.REQUEST:
        return _request_state(message, message.broadcast if broadcast is None else broadcast)
    return _SIMPLE.get(kind) or Silence(f"a message of type {kind.name}")


_SIMPLE: dict[int, Asks] = {
    Dhcp4Type.DISCOVER: Asks.DISCOVER,
    Dhcp4Type.RELEASE: Asks.RELEASE,
    Dhcp4Type.DECLINE: Asks.DECLINE,
    Dhcp4Type.INFORM: Asks.INFORM,
}


def _request_state(message: Dhcp4Message, broadcast: bool) -> Asks | Silence:
    """Tell the four states of a REQUEST apart (RFC 2131 §4.3.2, table 4)."""
    if address_option(message, OptionCode.SERVER_ID) is not None:
        return Asks.SELECTING
    if int(message.ciaddr):
        # Only a renewal is unicast; through a relay or by broadcast it is a rebinding.
        return Asks.REBINDING if int(message.giaddr) or broadcast else Asks.RENEWING
    if address_option(message, OptionCode.REQUESTED_ADDRESS) is not None:
        return Asks.INIT_REBOOT
    return Silence("a REQUEST without an address")


def address_option(message: Dhcp4Message, code: int) -> IPv4Address | None:
    """Return an option that holds one address; `None` if it is missing or no address."""
    raw = message.options.get(code, b"")
    return IPv4Address(raw) if len(raw) == 4 else None


def identify(message: Dhcp4Message, interface: str = "") -> ClientIdentity:
    """Read all that a message proves about its sender. Malformed details are left out."""
    options, mac = message.options, message.mac
    vendor = options.get(OptionCode.VENDOR_CLASS, b"")
    user = options.get(OptionCode.USER_CLASS, b"")
    ipxe = options.get(OptionCode.IPXE, b"")
    architectures = options.get(OptionCode.CLIENT_ARCHITECTURE, b"")
    # What is longer than any machine says is not remembered.
    small = len(vendor) + len(user) + len(ipxe) + len(architectures) < 512
    read = _software if small else _software.__wrapped__
    software = read(vendor, user, ipxe, architectures, mac.startswith(RASPBERRY_PI))
    raw_uuid = tolerant(pxe.machine_id, options.get(OptionCode.CLIENT_MACHINE_ID))
    hostname = options.get(OptionCode.HOST_NAME)
    return ClientIdentity(
        mac,
        machine_uuid(raw_uuid) if raw_uuid else None,
        options.get(OptionCode.CLIENT_ID, b""),
        software.architecture,
        software.firmware,
        software.vendor_class,
        software.user_class,
        _text(hostname) if hostname else "",
        _relay(message),
        interface,
        message.ciaddr if int(message.ciaddr) else None,
        software.features,
    )


@attrs.frozen
class _Software:
    """What many machines say alike of the program that asks."""

    vendor_class: str
    user_class: str
    features: frozenset[int]
    architecture: Architecture | None
    firmware: Firmware


@lru_cache(maxsize=1024)
def _software(
    vendor: bytes, user: bytes, ipxe: bytes, architectures: bytes, raspberry: bool
) -> _Software:
    vendor_class = _text(vendor)
    users = tolerant(pxe.user_classes, user) or ()
    features = tolerant(pxe.ipxe_features, ipxe) or frozenset()
    architecture = _architecture(architectures, vendor_class)
    firmware = _firmware(raspberry, vendor_class, users, features, architecture)
    return _Software(vendor_class, ",".join(users), features, architecture, firmware)


def _architecture(raw: bytes, vendor_class: str) -> Architecture | None:
    """Option 93 may list several (quirk C6): the first that we know, else the first."""
    listed = tolerant(pxe.architectures, raw) or ()
    for architecture in listed:
        if not architecture.short.startswith("arch"):
            return architecture
    return listed[0] if listed else pxe.vendor_architecture(vendor_class)


def _firmware(
    raspberry: bool,
    vendor_class: str,
    users: tuple[str, ...],
    features: frozenset[int],
    architecture: Architecture | None,
) -> Firmware:
    """Classify in the order of quirks C1-C10: iPXE first, it always says PXEClient as well."""
    if features or any(user in ("iPXE", "gPXE") for user in users):
        return Firmware.IPXE
    if vendor_class.startswith("HTTPClient"):
        return Firmware.UEFI_HTTP
    if vendor_class.startswith("U-Boot"):
        return Firmware.UBOOT
    if vendor_class.startswith("PXEClient"):
        if architecture is None or architecture.short == "bios":
            return Firmware.RASPBERRY_PI if raspberry else Firmware.BIOS
        if architecture is Architecture.RPIBOOT:
            return Firmware.RASPBERRY_PI
        return Firmware.UEFI
    return Firmware.SYSTEM


def _relay(message: Dhcp4Message) -> Relay | None:
    raw = message.options.get(OptionCode.RELAY_AGENT)
    if not int(message.giaddr) and raw is None:
        return None
    sub = tolerant(relay.decode_relay, raw) or {}
    link = sub.get(relay.LINK_SELECTION, b"")
    # Switches add their ids on the way; only a relay agent may say where the client is.
    return Relay(
        address=message.giaddr if int(message.giaddr) else None,
        circuit_id=sub.get(relay.CIRCUIT_ID, b""),
        remote_id=sub.get(relay.REMOTE_ID, b""),
        link_selection=IPv4Address(link) if len(link) == 4 and int(message.giaddr) else None,
    )


def server_id(message: Dhcp4Message, local: IPv4Address) -> IPv4Address:
    """Return what to call ourselves: our address, or what the relay agent wants to be taken for
    us, so that renewals pass through it (RFC 5107).
    """
    raw = _relay_option(message, relay.SERVER_ID_OVERRIDE)
    return IPv4Address(raw) if raw is not None and len(raw) == 4 else local


def _relay_option(message: Dhcp4Message, code: int) -> bytes | None:
    """Return a sub-option that only relay agents add."""
    agent = message.options.get(OptionCode.RELAY_AGENT)
    if agent is None or not int(message.giaddr):
        return None
    return (tolerant(relay.decode_relay, agent) or {}).get(code)


def tolerant(decode: Callable[[bytes], T], raw: bytes | None) -> T | None:
    """Decode a detail; one that is malformed must not cost the machine its boot."""
    try:
        return None if raw is None else decode(raw)
    except WireError:
        return None


def _text(raw: bytes) -> str:
    """Read a text up to its first NUL; what is no UTF-8 stays visible as ``\\xff``."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def unserved(identity: ClientIdentity, reason: str) -> Silence:
    """Make the silence towards a machine that wants to boot, or a system that may wait."""
    return Silence(reason, in_vain=identity.firmware is not Firmware.SYSTEM)


def unplanned(resolution: Resolution, *, holding: bool) -> Silence | None:
    """Tell whom not to answer. A client that only wants an address needs no plan, and one that is
    `holding` a lease may keep it while a directory is away.
    """
    identity = resolution.request.identity
    match resolution.verdict:
        case Verdict.PLANNED:
            return None
        case Verdict.BROKEN if holding:
            return None
        case Verdict.NO_OPINION if identity.firmware is Firmware.SYSTEM:
            return None
    return unserved(identity, resolution.reason)


def stage_of(identity: ClientIdentity) -> BootStage:
    """Return how far the sender of a DHCP message has come."""
    if identity.firmware is Firmware.IPXE:
        return BootStage.LOADER
    return BootStage.KERNEL if identity.firmware is Firmware.SYSTEM else BootStage.FIRMWARE


def subnet_address(
    message: Dhcp4Message, local: IPv4Address, asks: Asks | None = None
) -> IPv4Address:
    """Return an address in the client's subnet.

    Link selection (RFC 3527), subnet selection (RFC 3011), giaddr, ciaddr of a renewal by
    unicast, else our address on the interface of arrival.
    """
    if OptionCode.RELAY_AGENT in message.options:
        found = _relay(message)
        if found and found.link_selection:
            return found.link_selection
    selected = address_option(message, OptionCode.SUBNET_SELECTION)
    if selected is not None:
        return selected
    if int(message.giaddr):
        return message.giaddr
    # In a DISCOVER it may be anything (quirk C12), and who rebinds may have moved elsewhere.
    if int(message.ciaddr) and asks not in (Asks.DISCOVER, Asks.REBINDING):
        return message.ciaddr
    return local


def reply_destination(
    request: Dhcp4Message, reply: Dhcp4Message, source: tuple[str, int] = ("0.0.0.0", CLIENT_PORT)
) -> Destination:
    """Return where a reply goes (RFC 2131 §4.1); `source` is where the request came from."""
    if int(request.giaddr):
        asked = _relay_option(request, relay.SOURCE_PORT) is not None  # RFC 8357
        return Destination(request.giaddr, source[1] if asked else SERVER_PORT)
    if reply.message_type == Dhcp4Type.NAK:
        return Destination(BROADCAST, CLIENT_PORT)
    if int(request.ciaddr) and request.message_type != Dhcp4Type.DISCOVER:
        return Destination(request.ciaddr, CLIENT_PORT)
    sender = parse_address(source[0])
    if reply.message_type == Dhcp4Type.ACK and not int(reply.yiaddr) and int(sender):
        return Destination(sender, CLIENT_PORT)  # INFORM without ciaddr
    if request.broadcast or not int(reply.yiaddr) or not request.mac:
        return Destination(BROADCAST, CLIENT_PORT)
    return Destination(reply.yiaddr, CLIENT_PORT, request.hardware_address)


@lru_cache(maxsize=1024)
def parse_address(text: str) -> IPv4Address:
    """Return an address; 0.0.0.0 if it is none."""
    try:
        return IPv4Address(text)
    except ValueError:
        return NOWHERE
