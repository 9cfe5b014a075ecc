"""The kernel's neighbour table: which MAC speaks from an address of our own link."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from pxetwist.model.identity import address_mac
from pxetwist.model.recent import Recent

_TABLE = Path("/proc/net/arp")
#: So long (seconds) the kernel's word is taken for the next request of a peer. No address is
#: given to another machine in that time; who is to have a secret is looked up each time.
_FRESH = 1.0
_REMEMBERED = 4096
_COMPLETE = 0x2

# Netlink (rtnetlink(7), linux/neighbour.h): there is no file with the neighbours of IPv6.
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # struct ndmsg: family, interface, state, flags, type
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE, _NEW, _GET = 2, 3, 28, 30
_REQUEST_DUMP = 0x301
_ADDRESS, _HARDWARE = 1, 2
_USELESS = 0x01 | 0x20 | 0x40  # incomplete, failed, none needed


@lru_cache(4096)
def peer_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read the address of a peer as sockets spell it; `None` if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def peer_link(text: str) -> int:
    """Return the number of the interface that a link-local peer is behind; 0: it is not told."""
    zone = text.partition("%")[2]
    return int(zone) if zone.isdigit() else 0


class Neighbours:
    """Answers as :func:`neighbour_mac` does, and for a moment without asking the kernel again: a
    machine puts many questions one after the other. Strangers are not remembered as such.
    """

    def __init__(self) -> None:
        # By address and link; none of IPv6 is below 2**32.
        self._known: Recent[tuple[int, int], tuple[str, float]] = Recent(_REMEMBERED)

    def mac(self, address: IPv4Address | IPv6Address, link: int, now: float) -> str:
        """Return the MAC of a neighbour, or an empty text."""
        key = (int(address), link)
        known = self._known.get(key)
        if known is not None and now - known[1] < _FRESH:
            return known[0]
        found = neighbour_mac(address, link=link)
        if found:
            self._known.put(key, (found, now))
        return found


def neighbour_mac(address: IPv4Address | IPv6Address, table: Path = _TABLE, link: int = 0) -> str:
    """Return the MAC of a neighbour, of one on the interface with the number `link` if that is
    not 0, or an empty text.

    The machine has just sent us a packet, so the kernel knows it if it is on our link. This
    names a client whose address a foreign DHCP server gave, or that it gave itself.
    """
    found = neighbour_seen(address, link, table)
    return found or (address_mac(address) if isinstance(address, IPv6Address) else "")


def neighbour_seen(address: IPv4Address | IPv6Address, link: int = 0, table: Path = _TABLE) -> str:
    """Return the same, but nothing that an address alone tells of its MAC."""
    if isinstance(address, IPv6Address):
        return _neighbour6(address, link)
    wanted = str(address)
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return ""
    for line in lines:
        fields = line.split()
        if len(fields) >= 4 and fields[0] == wanted and int(fields[2], 16) & _COMPLETE:
            mac = fields[3].lower()
            return "" if mac == "00:00:00:00:00:00" else mac
    return ""


def _neighbour6(address: IPv6Address, link: int) -> str:
    wanted = address.packed
    try:
        return next((mac for found, mac in _neighbours6(link) if found == wanted), "")
    except OSError:
        return ""


def _neighbours6(link: int) -> Iterator[tuple[bytes, str]]:
    """Yield address and MAC of all neighbours with an IPv6 address, or of those on a link."""
    body = _NEIGHBOUR.pack(socket.AF_INET6, 0, 0, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
        asked.sendto(
            _HEADER.pack(_HEADER.size + len(body), _GET, _REQUEST_DUMP, 1, 0) + body, (0, 0)
        )
        while True:
            data = asked.recv(65536)
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, *_ = _HEADER.unpack_from(data, at)
                if kind in (_ERROR, _DONE) or length < _HEADER.size:
                    return
                if kind == _NEW:
                    yield from read_neighbour(data[at + _HEADER.size : at + length], link)
                at += (length + 3) & ~3


def read_neighbour(entry: bytes, link: int = 0) -> Iterator[tuple[bytes, str]]:
    """Read one entry of the table; yield its address and MAC if it has both, and is on the
    interface with this number (0: any).
    """
    _, index, state, *_ = _NEIGHBOUR.unpack_from(entry)
    if link not in (0, index):
        return
    found: dict[int, bytes] = {}
    at = _NEIGHBOUR.size
    while at + _ATTRIBUTE.size <= len(entry):
        length, kind = _ATTRIBUTE.unpack_from(entry, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = entry[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    hardware = found.get(_HARDWARE, b"")
    if not state & _USELESS and len(hardware) == 6 and any(hardware) and _ADDRESS in found:
        yield found[_ADDRESS], hardware.hex(":")
