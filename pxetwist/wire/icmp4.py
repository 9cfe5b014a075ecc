"""ICMP echo (RFC 792): the question whether anybody is there."""

from __future__ import annotations

import struct

from pxetwist.errors import WireError
from pxetwist.wire.udp4 import checksum

_ECHO = struct.Struct("!BBHHH")
_REPLY, _REQUEST = 0, 8


def encode_echo(identifier: int, sequence: int) -> bytes:
    """Return an echo request."""
    blank = _ECHO.pack(_REQUEST, 0, 0, identifier, sequence)
    return _ECHO.pack(_REQUEST, 0, checksum(blank), identifier, sequence)


def decode_reply(packet: bytes) -> int | None:
    """Return the identifier of an echo reply in an IPv4 packet; `None`: it is something else.

    :raises WireError: if it is too short.
    """
    start = (packet[0] & 15) * 4 if packet else 0
    if start < 20 or len(packet) < start + _ECHO.size:
        raise WireError("a short packet", len(packet))
    kind, _code, _checksum, identifier, _sequence = _ECHO.unpack_from(packet, start)
    return int(identifier) if kind == _REPLY else None
