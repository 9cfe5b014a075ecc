"""An IPv4 packet with UDP inside, for clients that cannot answer ARP yet (RFC 791, RFC 768)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")


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
