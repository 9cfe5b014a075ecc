"""DHCPv6 options in words, for captures and logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pxetwist.errors import WireError
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire.cursor import Reader
from pxetwist.wire.dhcp6 import Options6
from pxetwist.wire.iana import Architecture, Dhcp6Option, DuidType


def option_name(code: int) -> str:
    """Return the name of an option: ``boot-file-url``."""
    return Dhcp6Option(code).name.lower().replace("_", "-")


def describe(code: int, raw: bytes) -> str:
    """Print an option on one line; one that is malformed is printed in hexadecimal."""
    show = _SHAPES.get(code, bytes.hex)
    try:
        text = show(raw)
    except WireError as error:
        text = f"{raw.hex()} ({error.reason})"
    return f"{option_name(code)} ({code}): {text}"


def describe_duid(raw: bytes) -> str:
    """Print a DUID: its kind, and the MAC address or the bytes in it."""
    kind = DuidType(int.from_bytes(raw[:2], "big")).name.lower().replace("_", "-")
    return f"{kind} {values.duid_mac(raw) or raw[2:].hex()}"


def _inside(options: Options6) -> str:
    words = [describe(code, raw) for code, raw in options]
    return f" [{'; '.join(words)}]" if words else ""


def _ia_na(raw: bytes) -> str:
    ia = values.read_ia_na(raw)
    return f"iaid {ia.iaid:08x} t1 {ia.t1} t2 {ia.t2}{_inside(ia.options)}"


def _ia_address(raw: bytes) -> str:
    found = values.read_ia_address(raw)
    lives = f"preferred {found.preferred} valid {found.valid}"
    return f"{found.address} {lives}{_inside(found.options)}"


def _status(raw: bytes) -> str:
    status, text = values.read_status(raw)
    return f"{int(status)} {status.name} {text!a}"


def _codes(raw: bytes) -> str:
    reader = Reader(raw)
    return ", ".join(option_name(reader.uint16()) for _ in range((len(raw) + 1) // 2))


def _architectures(raw: bytes) -> str:
    reader = Reader(raw)
    found = [Architecture(reader.uint16()) for _ in range((len(raw) + 1) // 2)]
    return ", ".join(f"{int(each)} {each.name}" for each in found)


def _texts(raw: bytes) -> str:
    return ", ".join(f"{ascii(text)[1:]}" for text in values.read_texts(raw))


def _vendor_class(raw: bytes) -> str:
    enterprise, texts = values.read_vendor_class(raw)
    return f"{enterprise} {', '.join(ascii(text)[1:] for text in texts)}"


def _addresses(raw: bytes) -> str:
    return ", ".join(map(str, values.read_addresses(raw)))


def _names(raw: bytes) -> str:
    return ", ".join(map(ascii, values.read_names(raw)))


def _number(raw: bytes) -> str:
    return str(int.from_bytes(raw, "big"))


def _text(raw: bytes) -> str:
    return ascii(raw)[1:]


def _interface(raw: bytes) -> str:
    return ".".join(map(str, raw))


_SHAPES: Mapping[int, Callable[[bytes], str]] = {
    Dhcp6Option.CLIENT_ID: describe_duid,
    Dhcp6Option.SERVER_ID: describe_duid,
    Dhcp6Option.IA_NA: _ia_na,
    Dhcp6Option.IA_ADDRESS: _ia_address,
    Dhcp6Option.OPTION_REQUEST: _codes,
    Dhcp6Option.PREFERENCE: _number,
    Dhcp6Option.ELAPSED_TIME: _number,
    Dhcp6Option.STATUS_CODE: _status,
    Dhcp6Option.USER_CLASS: _texts,
    Dhcp6Option.VENDOR_CLASS: _vendor_class,
    Dhcp6Option.INTERFACE_ID: _text,
    Dhcp6Option.NAME_SERVERS: _addresses,
    Dhcp6Option.DOMAIN_SEARCH: _names,
    Dhcp6Option.SNTP_SERVERS: _addresses,
    Dhcp6Option.INFORMATION_REFRESH: _number,
    Dhcp6Option.BOOT_FILE_URL: _text,
    Dhcp6Option.BOOT_FILE_PARAMETERS: _texts,
    Dhcp6Option.CLIENT_ARCHITECTURE: _architectures,
    Dhcp6Option.NETWORK_INTERFACE: _interface,
    Dhcp6Option.CLIENT_LINK_LAYER: bytes.hex,
    Dhcp6Option.SOLICIT_MAX_RT: _number,
    Dhcp6Option.INFORMATION_MAX_RT: _number,
}
