"""ARP on Ethernet (RFC 826), as far as one asks whether an address is in use (RFC 5227)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import WireError

#: The type of its frames.
ETHERTYPE = 0x0806

_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4, _REQUEST = 1, 0x0800, 1
_NOBODY = bytes(6)
_UNSPECIFIED = bytes(4)


@attrs.frozen
class Arp:
    """A request or a reply; `sender` has the MAC `hardware`. A probe's sender is 0.0.0.0."""

    sender: IPv4Address
    hardware: bytes
    target: IPv4Address


def encode_probe(hardware: bytes, target: IPv4Address) -> bytes:
    """Return the question who has an address, of somebody who does not claim it yet."""
    head = (_ETHERNET, _IPV4, 6, 4, _REQUEST)
    return _PACKET.pack(*head, hardware, _UNSPECIFIED, _NOBODY, target.packed)


def decode(data: bytes) -> Arp:
    """Read a packet.

    :raises WireError: if it is not one of Ethernet and IPv4.
    """
    if len(data) < _PACKET.size:
        raise WireError(f"{_PACKET.size} bytes expected, {len(data)} left", 0)
    kind, protocol, *sizes, _operation, hardware, sender, _, target = _PACKET.unpack_from(data)
    if (kind, protocol, sizes) != (_ETHERNET, _IPV4, [6, 4]):
        raise WireError("ARP of another kind", 0)
    return Arp(IPv4Address(sender), hardware, IPv4Address(target))
