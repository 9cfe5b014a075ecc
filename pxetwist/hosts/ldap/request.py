"""Search requests as bytes (RFC 4511 §4.5.1). Those of ldap3 cost a millisecond of processor time
each, four fifths of a look-up; these are the same ones, quicker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ldap3.operation.search import (
    AND,
    MATCH_APPROX,
    MATCH_EQUAL,
    MATCH_EXTENSIBLE,
    MATCH_GREATER_OR_EQUAL,
    MATCH_LESS_OR_EQUAL,
    MATCH_PRESENT,
    MATCH_SUBSTRING,
    NOT,
    OR,
    parse_filter,
)

_INTEGER, _OCTETS, _BOOLEAN, _ENUMERATED, _SEQUENCE = 0x02, 0x04, 0x01, 0x0A, 0x30
_SEARCH_REQUEST = 0x63
_SUBTREE, _NEVER_ALIASES = 2, 0

_SETS = {AND: 0xA0, OR: 0xA1, NOT: 0xA2}
_ASSERTIONS = {
    MATCH_EQUAL: 0xA3,
    MATCH_GREATER_OR_EQUAL: 0xA5,
    MATCH_LESS_OR_EQUAL: 0xA6,
    MATCH_APPROX: 0xA8,
}
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})")


def search_request(
    message_id: int, base: str, filter_: str, attributes: Iterable[str], seconds: int
) -> bytes:
    """Return the message that asks for attributes of all entries below `base`.

    :raises LDAPInvalidFilterError: if the filter is none.
    """
    root: Any = parse_filter(filter_, None, False, False, None, False)
    request = (
        _octets(base),
        _tlv(_ENUMERATED, bytes([_SUBTREE])),
        _tlv(_ENUMERATED, bytes([_NEVER_ALIASES])),
        _integer(0),  # no limit of our own to the number of entries
        _integer(seconds),
        _tlv(_BOOLEAN, b"\0"),  # values, too
        _filter(root.elements[0]),
        _tlv(_SEQUENCE, *map(_octets, attributes)),
    )
    return _tlv(_SEQUENCE, _integer(message_id), _tlv(_SEARCH_REQUEST, *request))


def _filter(node: Any) -> bytes:
    """Encode a node of ldap3's tree of a filter; the values in it are still escaped."""
    if node.tag in _SETS:
        return _tlv(_SETS[node.tag], *map(_filter, node.elements))
    assertion = node.assertion
    if node.tag in _ASSERTIONS:
        parts = _octets(assertion["attr"]), _value(_OCTETS, assertion["value"])
        return _tlv(_ASSERTIONS[node.tag], *parts)
    if node.tag == MATCH_PRESENT:
        return _tlv(0x87, assertion["attr"].encode())
    if node.tag == MATCH_SUBSTRING:
        return _substrings(assertion)
    assert node.tag == MATCH_EXTENSIBLE
    return _extensible(assertion)


def _substrings(assertion: dict[str, Any]) -> bytes:
    parts = [_value(0x81, value) for value in assertion.get("any", ())]
    if "initial" in assertion:
        parts.insert(0, _value(0x80, assertion["initial"]))
    if "final" in assertion:
        parts.append(_value(0x82, assertion["final"]))
    return _tlv(0xA4, _octets(assertion["attr"]), _tlv(_SEQUENCE, *parts))


def _extensible(assertion: dict[str, Any]) -> bytes:
    parts = [_value(0x83, assertion["value"])]
    if assertion["attr"]:
        parts.insert(0, _tlv(0x82, assertion["attr"].encode()))
    if assertion["matchingRule"]:
        parts.insert(0, _tlv(0x81, assertion["matchingRule"].encode()))
    if assertion["dnAttributes"]:
        parts.append(_tlv(0x84, b"\xff"))
    return _tlv(0xA9, *parts)


def _value(tag: int, escaped: bytes) -> bytes:
    return _tlv(tag, _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), escaped))


def _octets(text: str) -> bytes:
    return _tlv(_OCTETS, text.encode())


def _integer(number: int) -> bytes:
    return _tlv(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def _tlv(tag: int, *parts: bytes) -> bytes:
    """Encode a value with its tag and length (X.690 §8.1)."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content
