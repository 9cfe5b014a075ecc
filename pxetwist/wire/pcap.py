"""Classic capture files, as tcpdump and dumpcap -P write them, and the UDP and TCP in them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Literal

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.cursor import Reader

#: The first four bytes: byte order of the file, parts of a second in its time stamps.
_MAGIC: dict[bytes, tuple[Literal["little", "big"], int]] = {
    bytes.fromhex("a1b2c3d4"): ("big", 10**6),
    bytes.fromhex("d4c3b2a1"): ("little", 10**6),
    bytes.fromhex("a1b23c4d"): ("big", 10**9),
    bytes.fromhex("4d3cb2a1"): ("little", 10**9),
}
_PCAPNG = bytes.fromhex("0a0d0d0a")

_ETHERNET, _SLL, _SLL2 = 1, 113, 276
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS = (0x8100, 0x88A8)
_TCP, _UDP = 6, 17
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60


@attrs.frozen
class Packet:
    """One UDP datagram or TCP segment.

    `time` is in seconds since the epoch. `truncated` says that the capture, or fragmentation,
    left out the end of the payload. `source_mac` is empty where the link has none.
    """

    time: float
    source: str
    source_port: int
    destination: str
    destination_port: int
    protocol: Literal["udp", "tcp"]
    payload: bytes
    truncated: bool
    source_mac: str


@attrs.frozen
class _Datagram:
    """What IP carries: `length` is what it says its payload has, in bytes."""

    source: str
    destination: str
    protocol: int
    payload: bytes
    length: int


def read_packets(data: bytes) -> Iterator[Packet]:
    """Read a whole capture of Ethernet or "any" interfaces; what is neither UDP nor TCP over IP,
    or broken, or a later fragment, is passed over.

    :raises WireError: if the file itself is no capture, of another link type, or cut off.
    """
    reader = Reader(data)
    magic = reader.octets(4)
    if magic == _PCAPNG:
        raise WireError("a pcapng file; convert it with: editcap -F pcap IN OUT")
    if magic not in _MAGIC:
        raise WireError("not a capture file")
    order, parts = _MAGIC[magic]
    reader.octets(16)
    link = int.from_bytes(reader.octets(4), order) & 0xFFFF
    if link not in (_ETHERNET, _SLL, _SLL2):
        raise WireError(f"captures of link type {link} are not supported", 20)
    while reader.remaining:
        seconds, fraction, size, _ = (int.from_bytes(reader.octets(4), order) for _ in range(4))
        packet = _read_packet(seconds + fraction / parts, link, reader.octets(size))
        if packet is not None:
            yield packet


def _read_packet(time: float, link: int, frame: bytes) -> Packet | None:
    reader = Reader(frame)
    try:
        kind, mac = _read_link(link, reader)
        if kind == _IPV4:
            datagram = _read_ipv4(reader)
        elif kind == _IPV6:
            datagram = _read_ipv6(reader)
        else:
            return None
        return _read_transport(time, mac, datagram) if datagram else None
    except WireError:
        return None


def _read_link(link: int, reader: Reader) -> tuple[int, str]:
    """Read the header of a frame; return the type of what follows, and the sender's MAC."""
    if link == _ETHERNET:
        reader.octets(6)
        mac = reader.octets(6)
        kind = reader.uint16()
    elif link == _SLL:
        reader.octets(4)
        mac = reader.octets(min(reader.uint16(), 8))
        reader.octets(8 - len(mac))
        kind = reader.uint16()
    else:
        kind = reader.uint16()
        reader.octets(9)
        mac = reader.octets(min(reader.uint8(), 8))
        reader.octets(8 - len(mac))
    while kind in _VLANS:
        reader.uint16()
        kind = reader.uint16()
    return kind, mac.hex(":") if len(mac) == 6 else ""


def _read_ipv4(reader: Reader) -> _Datagram | None:
    first = reader.uint8()
    header = (first & 15) * 4
    reader.uint8()
    total = reader.uint16() or reader.remaining + 4  # 0: the network card cuts it up later
    reader.uint16()
    fragment = reader.uint16()
    reader.uint8()
    protocol = reader.uint8()
    reader.uint16()
    source, destination = reader.address(), reader.address()
    if first >> 4 != 4 or header < 20 or total < header or fragment & 0x1FFF:
        return None
    reader.octets(header - 20)
    length = total - header
    payload = reader.octets(min(length, reader.remaining))
    return _Datagram(str(source), str(destination), protocol, payload, length)


def _read_ipv6(reader: Reader) -> _Datagram | None:
    if reader.uint32() >> 28 != 6:
        return None
    length = reader.uint16()
    protocol = reader.uint8()
    reader.uint8()
    source, destination = IPv6Address(reader.octets(16)), IPv6Address(reader.octets(16))
    while protocol in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION):
        extension, protocol = protocol, reader.uint8()
        units = reader.uint8()  # of 8 bytes, beyond the first; reserved in fragment headers
        size = 8 if extension == _FRAGMENT else 8 + 8 * units
        rest = Reader(reader.octets(size - 2))
        if extension == _FRAGMENT and rest.uint16() >> 3:
            return None
        length -= size
    if length < 0:
        return None
    payload = reader.octets(min(length, reader.remaining))
    return _Datagram(str(source), str(destination), protocol, payload, length)


def _read_transport(time: float, mac: str, datagram: _Datagram) -> Packet | None:
    reader = Reader(datagram.payload)
    if datagram.protocol not in (_TCP, _UDP):
        return None
    source_port, destination_port = reader.uint16(), reader.uint16()
    if datagram.protocol == _UDP:
        length = reader.uint16() - 8
        reader.uint16()
    else:
        reader.octets(8)
        header = (reader.uint8() >> 4) * 4
        if header < 20:
            return None
        reader.octets(header - 13)
        length = datagram.length - header
    if length < 0:
        return None
    payload = reader.octets(min(length, reader.remaining))
    return Packet(
        time,
        datagram.source,
        source_port,
        datagram.destination,
        destination_port,
        "udp" if datagram.protocol == _UDP else "tcp",
        payload,
        len(payload) < length,
        mac,
    )
