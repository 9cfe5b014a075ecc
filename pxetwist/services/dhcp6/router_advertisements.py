"""Router advertisements on one interface: when they are sent, and to whom (RFC 4861 §6.2)."""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any, Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from pxetwist.errors import StartError, WireError
from pxetwist.interfaces import Port
from pxetwist.model.network6 import Network6
from pxetwist.services.ports import start_error
from pxetwist.services.reading import SocketReader
from pxetwist.wire.icmp6 import (
    ROUTER_SOLICITATION,
    Prefix,
    RouterAdvertisement,
    encode_advertisement,
    is_solicitation,
)

ALL_NODES = "ff02::1"
_ALL_ROUTERS = IPv6Address("ff02::2")

#: Seconds between advertisements; the first ones come quicker (§6.2.1, §6.2.4, §10).
LONGEST, SHORTEST = 600.0, 200.0
_INITIAL, _INITIAL_LONGEST = 3, 16.0
_MIN_DELAY = 3.0  # between advertisements to everybody
_ANSWER_DELAY = 0.5
_ROUTER_LIFETIME = int(3 * LONGEST)
_MOST_WAITING = 256  # solicitations of single hosts that wait for their answer

_ICMP6_FILTER = 1
_RECVHOPLIMIT, _HOPLIMIT = 51, 52  # not in every socket module


def advertisement_of(network: Network6, mac: str) -> RouterAdvertisement:
    """Return what is said of a network; `mac` is our interface's."""
    return RouterAdvertisement(
        managed=network.managed,
        other=True,
        lifetime=_ROUTER_LIFETIME if network.router else 0,
        mac=bytes.fromhex(mac.replace(":", "")),
        prefixes=(Prefix(network.network, autonomous=network.slaac),),
        name_servers=network.name_servers,
        search=network.search,
        dns_lifetime=_ROUTER_LIFETIME,
    )


class IIcmp6Socket(Protocol):
    """The surface of :class:`Icmp6Socket`, for tests."""

    def bind(self) -> None:
        """Open it."""

    def start(self) -> None:
        """Begin to receive."""

    def stop(self) -> None:
        """Close it."""

    def send(self, data: bytes, to: str) -> None:
        """Send one message."""


Received = Callable[[bytes, str], None]
Icmp6Factory = Callable[[Any, str, Received], IIcmp6Socket]


class RouterAdvertiser:
    """Advertises what :meth:`say` was given last; `counters` counts what was sent.

    Hosts that ask get an answer of their own, so that a machine that boots waits half a second
    at the most; those without an address get it with everybody.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        interface: str,
        icmp: Icmp6Factory,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._reactor = reactor
        self._uniform = uniform
        self._socket = icmp(reactor, interface, self.received)
        self._said: RouterAdvertisement | None = None
        self._next: IDelayedCall | None = None
        self._waiting: dict[str, IDelayedCall] = {}
        self._initial = _INITIAL
        self._last = -_MIN_DELAY
        self._running = False

    def bind(self) -> None:
        """Open the socket, while there are rights to.

        :raises StartError: if it cannot be opened.
        """
        self._socket.bind()

    def start(self) -> None:
        """Begin to advertise."""
        self._running = True
        self._socket.start()
        self._schedule(0.0)

    def say(self, said: RouterAdvertisement | None) -> None:
        """Advertise this from now on; `None`: nothing."""
        if said == self._said:
            return
        self._said, self._initial = said, _INITIAL
        if self._running:
            self._schedule(0.0)

    def stop(self) -> None:
        """Advertise no more; hosts that use us as their router are told (§6.2.5)."""
        if self._running and self._said is not None and self._said.lifetime:
            self._said = attrs.evolve(self._said, lifetime=0)
            self._send(ALL_NODES)
        self._running = False
        for call in (self._next, *self._waiting.values()):
            if call is not None and call.active():
                call.cancel()
        self._next = None
        self._waiting.clear()
        self._socket.stop()

    def received(self, data: bytes, source: str) -> None:
        """Take a message that came to all routers, from a neighbour."""
        try:
            if self._said is None or not is_solicitation(data):
                return
        except WireError:
            self.counters["malformed"] += 1
            return
        self.counters["solicited"] += 1
        delay = self._uniform(0.0, _ANSWER_DELAY)
        if IPv6Address(source.partition("%")[0]) == IPv6Address(0):
            self._schedule(delay)
        elif source not in self._waiting and len(self._waiting) < _MOST_WAITING:
            self._waiting[source] = self._reactor.callLater(delay, self._answer, source)

    def _answer(self, source: str) -> None:
        del self._waiting[source]
        self._send(source)

    def _schedule(self, delay: float) -> None:
        """Let the next one to everybody come after a delay, or sooner if one comes sooner."""
        now = self._reactor.seconds()
        at = max(now + delay, self._last + _MIN_DELAY)
        if self._next is not None and self._next.active():
            if self._next.getTime() <= at:
                return
            self._next.cancel()
        self._next = self._reactor.callLater(at - now, self._to_all)

    def _to_all(self) -> None:
        self._next = None
        if self._said is None:
            return
        self._last = self._reactor.seconds()
        self._send(ALL_NODES)
        delay = self._uniform(SHORTEST, LONGEST)
        if self._initial > 1:
            self._initial -= 1
            delay = min(delay, _INITIAL_LONGEST)
        self._schedule(delay)

    def _send(self, to: str) -> None:
        assert self._said is not None or not self._running
        if self._said is not None:
            self._socket.send(encode_advertisement(self._said), to)
            self.counters["advertised"] += 1


class Icmp6Socket(SocketReader):
    """A raw socket that hears the router solicitations of one interface's link."""

    def __init__(self, reactor: Any, interface: str, received: Received) -> None:
        super().__init__(reactor)
        self._interface = interface
        self._received = received

    def bind(self) -> None:
        """Open it.

        :raises StartError: if there is no right to, or no such interface.
        """
        try:
            made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        except PermissionError:
            raise StartError(
                "no right to send router advertisements: start as root or with CAP_NET_RAW"
            ) from None
        except OSError as error:
            raise StartError(f"cannot send router advertisements: {error.strerror}") from None
        try:
            self._prepare(made)
        except OSError as error:
            made.close()
            raise start_error(error, Port("icmpv6", "", 0, self._interface)) from None
        self._socket = made

    def _prepare(self, made: socket.socket) -> None:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(self._interface))
        index = socket.if_nametoindex(self._interface)
        six = socket.IPPROTO_IPV6
        for option, value in (
            (socket.IPV6_MULTICAST_IF, index),
            (socket.IPV6_MULTICAST_HOPS, 255),
            (socket.IPV6_UNICAST_HOPS, 255),
            (socket.IPV6_MULTICAST_LOOP, 0),
            (_RECVHOPLIMIT, 1),
        ):
            made.setsockopt(six, option, value)
        group = struct.pack("@16sI", _ALL_ROUTERS.packed, index)
        made.setsockopt(six, socket.IPV6_JOIN_GROUP, group)
        passes = bytearray(b"\xff" * 32)  # a set bit blocks the type, in words of this host
        word = struct.Struct("=I")
        at = ROUTER_SOLICITATION // 32 * 4
        word.pack_into(passes, at, 0xFFFFFFFF ^ (1 << ROUTER_SOLICITATION % 32))
        made.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, bytes(passes))

    def send(self, data: bytes, to: str) -> None:
        """Send one message; what fails is counted, for another one comes."""
        if self._socket is None:
            return
        host, _, scope = to.partition("%")
        try:
            index = int(scope) if scope else socket.if_nametoindex(self._interface)
            self._socket.sendto(data, (host, 0, 0, index))
        except OSError as error:
            self._count(error)

    def _read(self, opened: socket.socket) -> None:
        """What was not sent on this link has fewer hops left."""
        data, control, _flags, peer = opened.recvmsg(1500, 64)
        hops = [
            int.from_bytes(value[:4], sys.byteorder)
            for level, kind, value in control
            if (level, kind) == (socket.IPPROTO_IPV6, _HOPLIMIT)
        ]
        if hops == [255]:
            self._received(data, f"{peer[0].partition('%')[0]}%{peer[3]}")
