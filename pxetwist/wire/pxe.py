"""What PXE clients and iPXE put into DHCP options (PXE 2.1 §2, RFC 3004, RFC 4578)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address

from pxetwist.errors import WireError
from pxetwist.wire import tlv
from pxetwist.wire.cursor import Reader
from pxetwist.wire.iana import Architecture
from pxetwist.wire.shapes import read_text

# Sub-options of option 43, if option 60 says PXEClient.
DISCOVERY_CONTROL = 6
BOOT_SERVERS = 8
BOOT_MENU = 9
MENU_PROMPT = 10
BOOT_ITEM = 71

_NAMES = {
    1: "mtftp-address",
    2: "mtftp-client-port",
    3: "mtftp-server-port",
    4: "mtftp-timeout",
    5: "mtftp-delay",
    DISCOVERY_CONTROL: "discovery-control",
    7: "discovery-address",
    BOOT_SERVERS: "boot-servers",
    BOOT_MENU: "boot-menu",
    MENU_PROMPT: "menu-prompt",
    BOOT_ITEM: "boot-item",
}
#: Option 93 has room for no larger number.
MOST_ARCHITECTURE = 0xFFFF
_VENDOR_CLASS = re.compile(r"(?:PXE|HTTP)Client:Arch:([0-9]{1,5})(?![0-9A-Za-z])")


def user_classes(raw: bytes) -> tuple[str, ...]:
    """Read option 77: texts with their lengths before them (RFC 3004), or one plain text, as
    iPXE and gPXE send it.
    """
    classes = []
    reader = Reader(raw)
    try:
        while reader.remaining:
            classes.append(read_text(reader.octets(reader.uint8())))
    except WireError:
        classes = [read_text(raw)]
    return tuple(name for name in classes if name)


def architectures(raw: bytes) -> tuple[Architecture, ...]:
    """Read option 93: the architectures that a client supports, its first choice first.

    :raises WireError: if it is empty or not made of pairs of bytes.
    """
    if not raw or len(raw) % 2:
        raise WireError(f"architectures in {len(raw)} bytes")
    reader = Reader(raw)
    return tuple(Architecture(reader.uint16()) for _ in range(len(raw) // 2))


def vendor_architecture(vendor_class: str) -> Architecture | None:
    """Read the decimal number in ``PXEClient:Arch:00007:UNDI:003016`` or ``HTTPClient:Arch:…``."""
    match = _VENDOR_CLASS.match(vendor_class)
    number = int(match[1]) if match else None
    return None if number is None or number > MOST_ARCHITECTURE else Architecture(number)


def machine_id(raw: bytes) -> bytes | None:
    """Read option 97: the 16 bytes of the UUID as they lie in SMBIOS; `None` if it has none."""
    return raw[1:] if len(raw) == 17 and raw[0] == 0 else None


def decode_vendor(raw: bytes) -> dict[int, bytes]:
    """Read the sub-options of a PXE client's or server's option 43.

    :raises WireError: if a sub-option reaches beyond the end.
    """
    options: dict[int, bytes] = {}
    tlv.split(raw, options)
    return options


def encode_vendor(options: Mapping[int, bytes]) -> bytes:
    """Write sub-options as the value of option 43, with the 255 that PXE wants at the end.

    :raises WireError: if one is longer than 255 bytes.
    """
    return tlv.encapsulated(options) + bytes((tlv.END,))


def boot_item(raw: bytes) -> tuple[int, int] | None:
    """Find the boot server type and layer that the value of an option 43 asks for (71).

    :raises WireError: if the option is broken; `None` says that it asks for none.
    """
    item = decode_vendor(raw).get(BOOT_ITEM)
    if item is None:
        return None
    reader = Reader(item)
    return reader.uint16(), reader.uint16()


def boot_server(number: int, address: IPv4Address) -> bytes:
    """Write one entry of sub-option 8: the server of a boot item type."""
    return number.to_bytes(2, "big") + b"\x01" + address.packed


def menu_item(number: int, title: bytes) -> bytes:
    """Write one entry of sub-option 9."""
    return number.to_bytes(2, "big") + bytes([len(title)]) + title


def ipxe_features(raw: bytes) -> frozenset[int]:
    """Read the feature numbers that iPXE lists in option 175, such as 0x13 for HTTP.

    :raises WireError: if a sub-option reaches beyond the end.
    """
    options: dict[int, bytes] = {}
    tlv.split(raw, options)
    return frozenset(
        code
        for code, value in options.items()
        if 0x10 <= code <= 0x2F and len(value) == 1 and value != b"\0"
    )


def encode_ipxe_features(features: Collection[int]) -> bytes:
    """Write feature numbers as the value of option 175, each with the version 1."""
    return tlv.encapsulated(dict.fromkeys(sorted(features), b"\1"))


def describe_vendor(raw: bytes) -> str:
    """Print the sub-options of a PXE option 43 on one line.

    :raises WireError: if it is broken.
    """
    return ", ".join(
        f"{_NAMES.get(code, code)} {_describe(code, value)}"
        for code, value in decode_vendor(raw).items()
    )


def _describe(code: int, value: bytes) -> str:
    reader = Reader(value)
    match code:
        case 1 | 7:
            return str(reader.address())
        case 2 | 3:
            return str(reader.uint16())
        case 4 | 5 | 6:
            return str(reader.uint8())
        case 8:
            return _boot_servers(reader)
        case 9:
            return _boot_menu(reader)
        case 10:
            return f"{reader.uint8()} s {read_text(reader.rest())!a}"
        case 71:
            return f"type {reader.uint16()} layer {reader.uint16()}"
    return value.hex()


def _boot_servers(reader: Reader) -> str:
    servers = []
    while reader.remaining:
        number, count = reader.uint16(), reader.uint8()
        addresses = [str(reader.address()) for _ in range(count)]
        servers.append(f"{number}: {' '.join(addresses) or 'any'}")
    return "[" + ", ".join(servers) + "]"


def _boot_menu(reader: Reader) -> str:
    items = []
    while reader.remaining:
        number = reader.uint16()
        items.append(f"{number}: {read_text(reader.octets(reader.uint8()))!a}")
    return "[" + ", ".join(items) + "]"
