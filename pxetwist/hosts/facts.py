"""From what a database or a document says of a machine to a :class:`Machine`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, TypeVar
from uuid import UUID

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.marks import octets, unpadded_mac
from pxetwist.model.identity import machine_uuid
from pxetwist.model.machine import Machine

T = TypeVar("T")


class AnswerUnusable(DirectoryUnavailable):
    """A directory answers, but what it says of this one machine is of no use: it is not away."""


#: What is a field of the machine; everything else is a label.
FIELDS = (
    "name",
    "mac",
    "uuid",
    "address",
    "address6",
    "groups",
    "serial",
    "asset",
    "certificate",
    "client_id",
    "circuit_id",
    "remote_id",
)
#: Names end up in scripts of loaders and in option 12.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def machine_of(facts: Mapping[str, Any], directory: str, provenance: str) -> Machine:
    """Make a machine; values may be texts, numbers, lists, and whatever databases return.

    :raises ValueError: if there is no name, or a field is malformed.
    """
    known = {name: words for name, value in facts.items() if (words := _words(value))}
    name = ", ".join(known.get("name", ()))
    if not _NAME.fullmatch(name):
        raise ValueError(f"name: expected letters, digits, '.', '-' or '_', got {name!r}")

    def one(field: str, convert: Callable[[str], T]) -> T | None:
        words = known.get(field)
        try:
            return convert(",".join(words)) if words else None
        except ValueError as error:
            raise ValueError(f"machine {name}: {field}: {error}") from None

    macs = one("mac", lambda text: tuple(map(unpadded_mac, re.split(r"[,;\s]+", text))))
    return Machine(
        name,
        macs or (),
        one("uuid", _uuid),
        one("address", _address),
        {label: ",".join(words) for label, words in known.items() if label not in FIELDS},
        directory,
        groups=_groups(known.get("groups", ())),
        serial=one("serial", str) or "",
        asset=one("asset", str) or "",
        certificate=one("certificate", str) or "",
        client_id=one("client_id", octets) or b"",
        circuit_id=one("circuit_id", octets) or b"",
        remote_id=one("remote_id", octets) or b"",
        provenance=provenance,
        address6=one("address6", _address6),
    )


def _words(value: Any) -> tuple[str, ...]:
    """Return a value as texts without empty ones: a list gives one each."""
    match value:
        case list() | tuple() | set():
            return tuple(word for each in value for word in _words(each))
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case bytes() | bytearray() | memoryview():
            text = bytes(value).hex()
        case dict():
            text = json.dumps(value, ensure_ascii=False)
        case _:
            text = str(value).strip()
    return (text,) if text else ()


def _groups(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of groups: a list has one each, a single text may have commas."""
    names = words[0].split(",") if len(words) == 1 else words
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _uuid(text: str) -> UUID:
    uuid = UUID(text)
    if machine_uuid(uuid.bytes_le) is None:
        raise ValueError(f"{text} is shared by many boards and identifies none")
    return uuid


def _address(text: str) -> IPv4Address:
    """Read an address, which inventories also write with the length of its prefix."""
    return IPv4Interface(text).ip


def _address6(text: str) -> IPv6Address:
    return IPv6Interface(text).ip
