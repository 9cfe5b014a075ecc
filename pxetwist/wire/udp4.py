"""An IPv4 packet with UDP inside, for clients that cannot answer ARP yet (RFC 791, RFC 768)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.cursor import Reader

_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_PROTOCOL = 17


def encode_udp4(
    source: tuple[IPv4Address, int], destination: tuple[IPv4Address, int], payload: bytes
) -> bytes:
    """Return the packet, headers with their checksums first, without a link-layer header."""
    addresses = source[0].packed + destination[0].packed
    length = _UDP.size + len(payload)
    udp = _UDP.pack(source[1], destination[1], length, 0)
    pseudo = addresses + struct.pack("!HH", 17, length)
    checked = checksum(pseudo + udp + payload) or 0xFFFF  # 0 would mean: none (RFC 768)
    udp = _UDP.pack(source[1], destination[1], length, checked)
    head = _IP.pack(0x45, 0, _IP.size + length, 0, 0x4000, 64, 17, 0, *_halves(addresses))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return head + udp + payload


def _halves(addresses: bytes) -> tuple[bytes, bytes]:
    return addresses[:4], addresses[4:]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    # The sum of 16-bit digits with the carries added is what is left after division by 0xFFFF.
    number = int.from_bytes(data, "big")
    total = number % 0xFFFF or (0xFFFF if number else 0)
    return ~total & 0xFFFF


@attrs.frozen
class Udp4:
    """A UDP datagram over IPv4, as it came from the wire."""

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    payload: bytes


def decode_udp4(packet: bytes) -> Udp4:
    """Read a packet without a link-layer header; checksums are the kernel's business.

    :raises WireError: if it is no whole UDP datagram.
    """
    reader = Reader(packet)
    first = reader.uint8()
    reader.octets(5)
    fragment = reader.uint16()
    reader.uint8()
    protocol = reader.uint8()
    reader.octets(2)
    source, destination = reader.address(), reader.address()
    if first >> 4 != 4 or first & 15 < 5 or protocol != _PROTOCOL or fragment & 0x3FFF:
        raise WireError("no whole UDP datagram over IPv4")
    reader.octets((first & 15) * 4 - 20)
    source_port, destination_port = reader.uint16(), reader.uint16()
    length = reader.uint16() - _UDP.size
    reader.uint16()
    if length < 0:
        raise WireError("a UDP length shorter than its header")
    return Udp4(source, source_port, destination, destination_port, reader.octets(length))
