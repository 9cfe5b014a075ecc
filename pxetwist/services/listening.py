"""On which addresses the file services listen, and with which sockets: IPv4 and IPv6 alike.

Each family has sockets of its own. One socket for both would show clients of IPv4 by addresses
of IPv6, and could not be taken where somebody else has one of them.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import attrs
from twisted.internet.address import IPv4Address as IPv4Host
from twisted.internet.address import IPv6Address as IPv6Host
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory

from pxetwist.config.fields import list_of, option
from pxetwist.interfaces import Port
from pxetwist.services.ports import ALL_IPV4, ALL_IPV6, start_error
from pxetwist.services.sockets import Arrival, Binding, IDatagramReceiver, Peer, UdpSocket
from pxetwist.services.sockets6 import Udp6Socket, socket_name

OwnAddress = IPv4Address | IPv6Address
_BACKLOG = 1024  # a rack that is switched on at once


def addresses_option() -> tuple[OwnAddress, ...]:
    """Declare the option ``addresses`` of a service."""
    return option(
        list_of(own_address),
        default=(),
        doc="Our addresses to listen on; 0.0.0.0 or ::, all of IPv4 or IPv6; none: all of both.",
    )


def own_address(value: str) -> OwnAddress:
    """Expect an IP address like 10.0.0.1, fd00::1 or fe80::1%eth0, its port elsewhere."""
    plain = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        found = ip_address(plain)
    except ValueError:
        wanted = "an IP address like 10.0.0.1, fd00::1 or fe80::1%eth0"
        raise ValueError(
            f"expected {wanted} (the port is an option of its own), got {str(value)!r}"
        ) from None
    if isinstance(found, IPv6Address) and found.is_link_local and not found.scope_id:
        raise ValueError(f"{found} needs its interface: {found}%eth0")
    return found


def addresses_to_take(chosen: Sequence[OwnAddress]) -> Sequence[str]:
    """Return the addresses to bind to: the chosen ones, else all of each family that is here."""
    if chosen:
        return [str(each) for each in chosen]
    return (ALL_IPV4, ALL_IPV6) if _knows_ipv6() else (ALL_IPV4,)


def _knows_ipv6() -> bool:
    """Whether the kernel was not started with ``ipv6.disable=1``."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def udp_socket(reactor: Any, receiver: IDatagramReceiver, binding: Binding) -> UdpSocket:
    """Make an unbound socket of the family of its address; it is a `DatagramFactory`."""
    made = Udp6Socket if ":" in binding.port.address else UdpSocket
    return made(reactor, receiver, binding)


def listen_tcp(reactor: Any, accepts: IProtocolFactory, address: str, port: int) -> IListeningPort:
    """Take a TCP port on an address.

    :raises StartError: with one line that says what is in the way.
    """
    with _bound_tcp(Port("tcp", address, port)) as made:
        return adopt_tcp(reactor, accepts, made)


def adopt_tcp(reactor: Any, accepts: IProtocolFactory, bound: socket.socket) -> IListeningPort:
    """Listen on a socket that was bound before; it may be closed then."""
    taken: IListeningPort = reactor.adoptStreamPort(bound.fileno(), bound.family, accepts)
    return taken


def _bound_tcp(port: Port, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(socket_name(port.address, port.number))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise start_error(error, port) from None
    return made


class _Nobody:
    """Receives for those who will."""

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Nothing is read."""

    def drained(self) -> None:
        """Nor is there an end to it."""


def _bound_udp(port: Port, reactor: Any, *, shared: bool = False) -> socket.socket:
    made = udp_socket(reactor, _Nobody(), Binding(port))
    made.bind(shared=shared)
    return made.lend()


def spoken_of(bound: socket.socket) -> IAddress:
    """Return the address that a socket is bound to, as services tell theirs."""
    made = IPv6Host if bound.family == socket.AF_INET6 else IPv4Host
    host, number = bound.getsockname()[:2]
    return made("UDP" if bound.type == socket.SOCK_DGRAM else "TCP", host, number)


def bound_together(port: Port, count: int, reactor: Any) -> list[socket.socket]:
    """Take a port so many times: the kernel gives each client to one of the sockets, and always
    to the same, as long as all of them are open (``SO_REUSEPORT``).

    :raises StartError: if it cannot be taken, also because other programs share it.
    """
    bind = partial(_bound_udp, reactor=reactor) if port.protocol == "udp" else _bound_tcp
    with bind(port) as alone:
        port = attrs.evolve(port, number=alone.getsockname()[1])
    return [bind(port, shared=True) for _ in range(count)]
