"""DHCP options as people write them: by name or number, with a value of the right type.

``domain-search = lab.example, example`` is read by the option's own shape, ``224 = text:blue`` as
it says. Sub-options stand behind the number of what encapsulates them: ``43.1 = address:10.0.0.5``
and ``125.4491.2 = u16:7``.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pxetwist.errors import WireError
from pxetwist.wire import shapes, structures, tlv
from pxetwist.wire.options import OptionCode, option_by_name, parse_value
from pxetwist.wire.shapes import Shape

#: Where a value stands: the option's number, then those of sub-options.
Place = tuple[int, ...]

#: What may stand before the colon of a value.
KINDS: Mapping[str, Shape[Any]] = {
    "hex": shapes.OCTETS,
    "text": shapes.TEXT,
    "address": shapes.ADDRESSES,
    "u8": shapes.U8_LIST,
    "u16": shapes.U16_LIST,
    "u32": shapes.U32_LIST,
    "names": structures.NAMES,
    "routes": structures.ROUTES,
}
#: A value that means: tell these clients nothing, whatever others say.
NOTHING = "none"

#: What administrators call some options.
_ALIASES: Mapping[str, OptionCode] = {
    "dns-servers": OptionCode.DOMAIN_NAME_SERVERS,
    "search-list": OptionCode.DOMAIN_SEARCH,
    "wins-servers": OptionCode.NETBIOS_NAME_SERVERS,
    "wpad": OptionCode.PROXY_AUTODISCOVERY,
}
#: What the server says by itself, or repeats, and what else would do what is meant.
SERVERS_OWN: Mapping[int, str] = {
    OptionCode.REQUESTED_ADDRESS: "",
    OptionCode.LEASE_TIME: "lease-time",
    OptionCode.OVERLOAD: "",
    OptionCode.MESSAGE_TYPE: "",
    OptionCode.SERVER_ID: "",
    OptionCode.PARAMETER_REQUEST_LIST: "always-send",
    OptionCode.MESSAGE: "",
    OptionCode.MAX_MESSAGE_SIZE: "",
    OptionCode.CLIENT_ID: "",
    OptionCode.RAPID_COMMIT: "rapid-commit",
    OptionCode.RELAY_AGENT: "",
    OptionCode.CLIENT_MACHINE_ID: "",
    OptionCode.SUBNET_SELECTION: "",
}
#: How many numbers may follow those that encapsulate.
_DEPTHS: Mapping[int, int] = {
    OptionCode.VENDOR_SPECIFIC: 1,
    OptionCode.VENDOR_IDENTIFYING_CLASS: 1,
    OptionCode.VENDOR_IDENTIFYING_INFORMATION: 2,
    OptionCode.IPXE: 1,
}
_BY_ENTERPRISE = (
    OptionCode.VENDOR_IDENTIFYING_CLASS,
    OptionCode.VENDOR_IDENTIFYING_INFORMATION,
)


def parse_code(name: str) -> int:
    """Read the name or the number of an option.

    :raises ValueError: with what may have been meant.
    """
    found = int(name) if name.isascii() and name.isdigit() else _ALIASES.get(name)
    found = option_by_name(name) if found is None else found
    if found is None:
        close = get_close_matches(name, [*(code.label for code in OptionCode), *_ALIASES], 1)
        hint = f"did you mean {close[0]!r}?" if close else "its number will do as well"
        raise ValueError(f"{name!r} is no DHCP option; {hint}")
    if not 0 < found < 255:
        raise ValueError(f"{name!r} is no DHCP option; their numbers are 1 to 254")
    return int(found)


def parse_option(key: str, text: str) -> tuple[Place, bytes]:
    """Read one option, or a sub-option of one.

    :raises ValueError: if there is no such option, or its value is none.
    """
    name, *numbers = key.split(".")
    code = _code(key, name)
    if code in SERVERS_OWN:
        mend = f"; see {SERVERS_OWN[code]}" if SERVERS_OWN[code] else ""
        raise ValueError(f"{OptionCode(code).label} ({code}) is up to the server{mend}")
    place = (code, *_numbers(key, code, numbers))
    if text == NOTHING and len(place) == 1:
        return place, b""
    return place, _value(place, text)


def _code(key: str, name: str) -> int:
    try:
        code = parse_code(name)
    except ValueError:
        return parse_code(key)  # so that the whole of it is shown
    if "." in key and code not in _DEPTHS and code not in SERVERS_OWN:
        raise ValueError(f"{key!r}: option {code} has no sub-options")
    return code


def _numbers(key: str, code: int, numbers: list[str]) -> Place:
    """Read the numbers of sub-options."""
    if len(numbers) > _DEPTHS.get(code, 0):
        raise ValueError(f"{key!r}: option {code} has no such sub-options")
    found = []
    for position, number in enumerate(numbers):
        most = 0xFFFFFFFF if not position and code in _BY_ENTERPRISE else 254
        if not (number.isascii() and number.isdigit() and 0 < int(number) <= most):
            raise ValueError(f"{key!r}: expected a number from 1 to {most}, got {number!r}")
        found.append(int(number))
    return tuple(found)


def _value(place: Place, text: str) -> bytes:
    kind, colon, rest = text.partition(":")
    shape = KINDS.get(kind) if colon else None
    if shape is None and len(place) > 1:
        kinds = ", ".join(f"{each}:" for each in KINDS)
        raise ValueError(f"a sub-option needs its type before the value ({kinds}), got {text!r}")
    if shape is None:
        return parse_value(place[0], text)
    try:
        return shape.encode(shape.parse(rest.strip()))
    except WireError as error:
        raise ValueError(f"cannot be written: {error.reason}") from None


def assembled(said: Mapping[Place, bytes], long: frozenset[int]) -> dict[int, bytes]:
    """Put sub-options into their options; those in `long` may be longer than 255 bytes.

    :raises ValueError: if something is too long, or an option is given whole and in parts.
    """
    options: dict[int, bytes] = {}
    for code in dict.fromkeys(place[0] for place in said):
        parts = {place[1:]: raw for place, raw in said.items() if place[0] == code}
        if () in parts and len(parts) > 1:
            raise ValueError(f"option {code} is given as a whole and in parts")
        options[code] = parts[()] if () in parts else _encapsulated(code, parts)
        if len(options[code]) > 255 and code not in long:
            raise ValueError(f"option {code} is longer than 255 bytes")
    return options


def _encapsulated(code: int, parts: Mapping[Place, bytes]) -> bytes:
    try:
        if code not in _BY_ENTERPRISE:
            return tlv.encapsulated({place[0]: raw for place, raw in parts.items()})
        inside: dict[int, dict[int, bytes]] = {}
        whole: dict[int, bytes] = {}
        for (enterprise, *rest), raw in parts.items():
            if rest:
                inside.setdefault(enterprise, {})[rest[0]] = raw
            else:
                whole[enterprise] = raw
        if twice := inside.keys() & whole.keys():
            raise ValueError(f"option {code}.{min(twice)} is given as a whole and in parts")
        whole |= {enterprise: tlv.encapsulated(subs) for enterprise, subs in inside.items()}
        return structures.ENTERPRISES.encode(tuple(whole.items()))
    except WireError as error:
        raise ValueError(f"option {code} cannot be written: {error.reason}") from None
