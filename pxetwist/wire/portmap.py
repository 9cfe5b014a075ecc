"""The portmapper, version 2, and rpcbind, versions 3 and 4 (RFC 1833)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import attrs

from pxetwist.wire.iana import OpenIntEnum
from pxetwist.wire.xdr import opaque, take_opaque, uints

PROGRAM = 100000
PORT = 111
#: Transports, as version 2 numbers them and as later ones name them.
TCP, UDP = 6, 17
NETIDS = {(TCP, 4): b"tcp", (UDP, 4): b"udp", (TCP, 6): b"tcp6", (UDP, 6): b"udp6"}
_TEXT = 255


class Portmap(OpenIntEnum):
    """Procedures of version 2 (§3.2)."""

    NULL = 0
    GETPORT = 3
    DUMP = 4


class Rpcbind(OpenIntEnum):
    """Procedures of versions 3 and 4 (§2.2.1)."""

    NULL = 0
    GETADDR = 3
    DUMP = 4
    GETVERSADDR = 9


@attrs.frozen
class Mapping:
    """Where a version of a program is; `transport` is `TCP` or `UDP`."""

    program: int
    version: int
    transport: int
    port: int


def decode_mapping(data: bytes, at: int) -> Mapping:
    """Read the argument of GETPORT.

    :raises WireError: if it is none.
    """
    return Mapping(*uints(data, at, 4))


def encode_mappings(found: Iterable[Mapping]) -> bytes:
    """Write the result of DUMP."""
    entries = [struct.pack("!5I", 1, *attrs.astuple(each)) for each in found]
    return b"".join([*entries, bytes(4)])


def decode_binding(data: bytes, at: int) -> tuple[int, int, bytes]:
    """Read program, version and netid out of the argument of GETADDR.

    :raises WireError: if it is none.
    """
    program, version = uints(data, at, 2)
    netid, at = take_opaque(data, at + 8, _TEXT)
    for _ in ("address", "owner"):
        _, at = take_opaque(data, at, _TEXT)
    return program, version, netid


def encode_bindings(found: Iterable[tuple[Mapping, bytes, str]]) -> bytes:
    """Write the result of DUMP: mappings with their netids and universal addresses."""
    entries = [
        struct.pack("!3I", 1, each.program, each.version)
        + opaque(netid)
        + opaque(address.encode())
        + opaque(b"superuser")
        for each, netid, address in found
    ]
    return b"".join([*entries, bytes(4)])


def universal_address(host: str, port: int) -> str:
    """Spell an address with its port: ``10.0.0.1.8.1`` (RFC 5665 §5.2.3.3)."""
    return f"{host}.{port >> 8}.{port & 255}"
