"""The DHCP options: their numbers, names and shapes (RFC 2132 and later, PXE, iPXE, PXELINUX)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pxetwist.errors import WireError
from pxetwist.wire import shapes, structures
from pxetwist.wire.iana import OpenIntEnum
from pxetwist.wire.pxe import describe_vendor, machine_id, user_classes
from pxetwist.wire.relay import describe_relay
from pxetwist.wire.shapes import Shape


class OptionCode(OpenIntEnum):
    """Numbers of DHCPv4 options."""

    SUBNET_MASK = 1
    TIME_OFFSET = 2
    ROUTERS = 3
    TIME_SERVERS = 4
    NAME_SERVERS = 5  # of IEN 116, not DNS
    DOMAIN_NAME_SERVERS = 6
    LOG_SERVERS = 7
    COOKIE_SERVERS = 8
    LPR_SERVERS = 9
    IMPRESS_SERVERS = 10
    RESOURCE_LOCATION_SERVERS = 11
    HOST_NAME = 12
    BOOT_FILE_SIZE = 13  # EDK2 takes it for the size of the file, in blocks of 512
    MERIT_DUMP_FILE = 14
    DOMAIN_NAME = 15
    SWAP_SERVER = 16
    ROOT_PATH = 17
    EXTENSIONS_PATH = 18
    IP_FORWARDING = 19
    NON_LOCAL_SOURCE_ROUTING = 20
    POLICY_FILTER = 21
    MAX_REASSEMBLY = 22
    DEFAULT_TTL = 23
    MTU_AGING_TIMEOUT = 24
    MTU_PLATEAUS = 25
    INTERFACE_MTU = 26
    ALL_SUBNETS_LOCAL = 27
    BROADCAST = 28
    MASK_DISCOVERY = 29
    MASK_SUPPLIER = 30
    ROUTER_DISCOVERY = 31
    ROUTER_SOLICITATION = 32
    STATIC_ROUTES = 33
    TRAILER_ENCAPSULATION = 34
    ARP_TIMEOUT = 35
    ETHERNET_ENCAPSULATION = 36
    TCP_TTL = 37
    TCP_KEEPALIVE_INTERVAL = 38
    TCP_KEEPALIVE_GARBAGE = 39
    NIS_DOMAIN = 40
    NIS_SERVERS = 41
    NTP_SERVERS = 42
    VENDOR_SPECIFIC = 43
    NETBIOS_NAME_SERVERS = 44
    NETBIOS_DATAGRAM_SERVERS = 45
    NETBIOS_NODE_TYPE = 46
    NETBIOS_SCOPE = 47
    X_FONT_SERVERS = 48
    X_DISPLAY_MANAGERS = 49
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETER_REQUEST_LIST = 55
    MESSAGE = 56
    MAX_MESSAGE_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    VENDOR_CLASS = 60
    CLIENT_ID = 61
    NETWARE_IP_DOMAIN = 62
    NETWARE_IP = 63
    NISPLUS_DOMAIN = 64
    NISPLUS_SERVERS = 65
    TFTP_SERVER_NAME = 66
    BOOT_FILE = 67
    HOME_AGENTS = 68
    SMTP_SERVERS = 69
    POP3_SERVERS = 70
    NNTP_SERVERS = 71
    WWW_SERVERS = 72
    FINGER_SERVERS = 73
    IRC_SERVERS = 74
    STREETTALK_SERVERS = 75
    STREETTALK_DIRECTORY_SERVERS = 76
    USER_CLASS = 77
    SLP_DIRECTORY_AGENT = 78
    SLP_SERVICE_SCOPE = 79
    RAPID_COMMIT = 80
    CLIENT_FQDN = 81
    RELAY_AGENT = 82
    NDS_SERVERS = 85
    NDS_TREE = 86
    NDS_CONTEXT = 87
    AUTHENTICATION = 90
    LAST_TRANSACTION = 91
    ASSOCIATED_ADDRESSES = 92
    CLIENT_ARCHITECTURE = 93
    NETWORK_INTERFACE = 94
    CLIENT_MACHINE_ID = 97
    TZ_POSIX = 100
    TZ_NAME = 101
    IPV6_ONLY_PREFERRED = 108
    CAPTIVE_PORTAL = 114
    AUTO_CONFIGURE = 116
    NAME_SERVICE_SEARCH = 117
    SUBNET_SELECTION = 118
    DOMAIN_SEARCH = 119
    SIP_SERVERS = 120
    CLASSLESS_ROUTES = 121
    VENDOR_IDENTIFYING_CLASS = 124
    VENDOR_IDENTIFYING_INFORMATION = 125
    TFTP_SERVER_ADDRESSES = 150
    OLD_CAPTIVE_PORTAL = 160
    MUD_URL = 161
    DNR_SERVERS = 162
    IPXE = 175
    IPXE_PRIMARY_TARGET = 201
    IPXE_SECONDARY_TARGET = 202
    IPXE_INITIATOR = 203
    PXELINUX_MAGIC = 208
    PXELINUX_CONFIG = 209
    PXELINUX_PREFIX = 210
    PXELINUX_REBOOT_TIME = 211
    SIX_RD = 212
    ACCESS_NETWORK_DOMAIN = 213
    SUBNET_ALLOCATION = 220
    VIRTUAL_SUBNET_SELECTION = 221
    MICROSOFT_ROUTES = 249
    PROXY_AUTODISCOVERY = 252

    @property
    def label(self) -> str:
        """The name for people and the INI: ``subnet-mask``, or ``option-224`` without a name."""
        name = self.name.lower().replace("_", "-")
        return name.replace("unknown", "option")


def _of(shape: Shape[Any], *codes: int) -> dict[int, Shape[Any]]:
    return dict.fromkeys(codes, shape)


#: What is not in here are bytes: also 128-135 (PXE vendors) and 224-254 (for sites).
_SHAPES: Mapping[int, Shape[Any]] = {
    **_of(shapes.ADDRESS, 1, 16, 28, 32, 50, 54, 118),
    **_of(
        shapes.ADDRESSES, *range(3, 12), 41, 42, 44, 45, 48, 49, 65, *range(68, 77), 85, 92, 150
    ),
    **_of(shapes.ADDRESS_PAIRS, 21, 33),
    **_of(shapes.U8, 23, 37, 52, 116),
    **_of(shapes.NODE_TYPE, 46),
    **_of(shapes.U16, 13, 22, 26, 57),
    **_of(shapes.U32, 24, 35, 38, 51, 58, 59, 91, 108, 211),
    **_of(shapes.S32, 2),
    **_of(shapes.U8_LIST, 55, 94),
    **_of(shapes.U16_LIST, 25, 117),
    **_of(shapes.TEXT, 12, 14, 15, 17, 18, 40, 47, 56, 60, 62, 64, 66, 67, 86, 87, 100, 101, 114),
    **_of(shapes.TEXT, 160, 161, 201, 202, 203, 209, 210, 252),
    **_of(shapes.SWITCH, 19, 20, 27, 29, 30, 31, 34, 36, 39),
    **_of(shapes.FLAG, 80),
    **_of(structures.NAMES, 119, 213),
    **_of(structures.ROUTES, 121, 249),
    **_of(structures.SERVERS, 120),
    **_of(structures.RELAY_INFORMATION, 82),
    **_of(structures.ENCAPSULATED, 175),
    **_of(structures.ENTERPRISES, 124, 125),
    **_of(shapes.MESSAGE_TYPE, 53),
    **_of(shapes.ARCHITECTURES, 93),
}

#: Every option with a name, by number: its name and its shape.
OPTIONS: Mapping[int, tuple[str, Shape[Any]]] = {
    int(code): (code.label, _SHAPES.get(code, shapes.OCTETS)) for code in OptionCode
}
_BY_NAME = {code.label: code for code in OptionCode}


def option_by_name(name: str) -> OptionCode | None:
    """Find ``subnet-mask``; one without a name of its own is ``option-224``."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    prefix, _, digits = name.partition("option-")
    if not prefix and digits.isascii() and digits.isdigit() and 0 < int(digits) < 255:
        return OptionCode(int(digits))
    return None


def _lookup(code: int) -> tuple[str, Shape[Any]]:
    return OPTIONS.get(code) or (f"option-{code}", shapes.OCTETS)


def decode_value(code: int, raw: bytes) -> Any:
    """Read a whole value: an IPv4Address, a tuple, an int, text, … as its shape says.

    :raises WireError: if it has not that shape.
    """
    return _lookup(code)[1].decode(raw)


def encode_value(code: int, value: Any) -> bytes:
    """Write a value of the type that `decode_value` gives for this option.

    :raises WireError: if it cannot be written, for instance a number out of its range.
    """
    return _lookup(code)[1].encode(value)


def parse_value(code: int, text: str) -> bytes:
    """Read a value as a person writes it into the INI, and return it as bytes for the wire.

    :raises ValueError: with what would have been right.
    """
    shape = _lookup(code)[1]
    try:
        return shape.encode(shape.parse(text))
    except WireError as error:
        raise ValueError(f"cannot be written: {error.reason}") from None


def describe(code: int, raw: bytes, pxe: bool = False) -> str:
    """Print an option as ``lease-time (51): 3600``, whatever its bytes are.

    `pxe` tells that option 43 holds the sub-options of PXE: option 60 says ``PXEClient``.
    """
    name, shape = _lookup(code)
    try:
        value = _special(code, raw, pxe) or shape.show(shape.decode(raw))
    except WireError:
        value = f"malformed {raw.hex(':')}"
    return f"{name} ({code}): {value}"


def _special(code: int, raw: bytes, pxe: bool) -> str:
    if code == OptionCode.VENDOR_SPECIFIC and pxe:
        return describe_vendor(raw)
    if code == OptionCode.RELAY_AGENT:
        return describe_relay(raw)
    if code == OptionCode.USER_CLASS:
        return ", ".join(shapes.printable(name) for name in user_classes(raw))
    if code == OptionCode.CLIENT_MACHINE_ID:
        smbios = machine_id(raw)
        return str(UUID(bytes_le=smbios)) if smbios else ""
    return ""
