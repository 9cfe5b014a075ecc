"""UDP sockets of IPv6 that say where a datagram came in, as those of :mod:`.sockets` do.

Link-local addresses are spelled with the number of their interface: ``fe80::1%2`` (RFC 4007 §11).
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv6Address
from typing import Any

from twisted.internet import address as addresses

from pxetwist.services.sockets import Arrival, Peer, UdpSocket

_PKTINFO = struct.Struct("@16sI")  # struct in6_pktinfo: addr, ifindex
_GROUP = struct.Struct("@16sI")  # struct ipv6_mreq
_UNSPECIFIED = bytes(16)

Destination = tuple[str, int] | tuple[str, int, int, int]


def scoped(address: str, index: int) -> str:
    """Spell an address that came in on an interface."""
    return f"{address}%{index}" if IPv6Address(address).is_link_local else address


def sockaddr6(address: str, port: int) -> tuple[str, int, int, int]:
    """Return an address as sockets want it; its interface may be a name as well (an INI's).

    :raises OSError: if there is no such interface.
    """
    host, _, scope = address.partition("%")
    if not scope or scope.isdigit():
        return host, port, 0, int(scope or 0)
    try:
        return host, port, 0, socket.if_nametoindex(scope)
    except OSError:
        raise OSError(errno.ENODEV, "no such interface") from None


def socket_name(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return an address of either family as sockets want it.

    :raises OSError: if there is no such interface.
    """
    return sockaddr6(address, port) if ":" in address else (address, port)


def host_of(address: Any) -> str:
    """Return the host of an address of Twisted's, a link-local one with its interface's number."""
    host = str(address.host)
    if not isinstance(address, addresses.IPv6Address):
        return host
    plain, _, scope = host.partition("%")
    return scoped(plain, int(address.scopeID)) if scope else plain


class Udp6Socket(UdpSocket):
    """One bound UDP socket of IPv6 alone."""

    family = socket.AF_INET6
    nowhere = "::"

    def _ask_arrival(self, made: socket.socket) -> None:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        for group in self._binding.groups:
            index = socket.if_nametoindex(self._binding.port.interface)
            made.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _GROUP.pack(group.packed, index)
            )

    def _name(self) -> Any:
        port = self._binding.port
        return sockaddr6(port.address or "::", port.number)

    def getHost(self) -> addresses.IPv6Address:
        """Return what it is bound to; an unbound socket tells what was asked for."""
        if self._socket is None:
            port = self._binding.port
            return addresses.IPv6Address("UDP", port.address or "::", port.number)
        host, number, _, scope = self._socket.getsockname()
        return addresses.IPv6Address("UDP", f"{host}%{scope}" if scope else host, number)

    def origin(self, source: str, index: int = 0) -> list[tuple[int, int, bytes]]:
        """Return the control message that sends from an address, out of an interface."""
        if not source and not index:
            return []
        host, _, scope = source.partition("%")
        origin = IPv6Address(host).packed if source else _UNSPECIFIED
        control = _PKTINFO.pack(origin, index or int(scope or 0))
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, control)]

    def _target(self, peer: Peer) -> Any:
        return sockaddr6(*peer)

    def _arrived(
        self, peer: Any, control: list[tuple[int, int, bytes]]
    ) -> tuple[Peer, Arrival] | None:
        for level, kind, value in control:
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                packed, index = _PKTINFO.unpack(value[: _PKTINFO.size])
                break
        else:
            return None
        name, _ = self._interfaces.lookup(index)
        destination = scoped(str(IPv6Address(packed)), index)
        local = "" if IPv6Address(packed).is_multicast else destination
        return (scoped(peer[0], index), peer[1]), Arrival(name, index, local, destination)
