"""UDP sockets that say where a datagram came in, and that answer from the address it was sent to.

Twisted's own UDP port drops the arrival interface and the header destination; both decide what
a boot server answers. Linux only: ``IP_PKTINFO``, ``SO_BINDTODEVICE``, ``/proc``.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address as Group
from typing import Any, Protocol, runtime_checkable

import attrs
from twisted.internet.address import IPv4Address, IPv6Address

from pxetwist.interfaces import Port
from pxetwist.services.ports import start_error
from pxetwist.services.reading import SocketReader
from pxetwist.services.segments import cannot_segment, segment_control

IP_PKTINFO = 8  # not in Python 3.11's socket module
_SO_RCVBUFFORCE = 33  # likewise
_SIOCGIFADDR = 0x8915
_PKTINFO = struct.Struct("@I4s4s")  # struct in_pktinfo: ifindex, spec_dst, addr
_RECEIVE_BUFFER = 4 << 20
_REMEMBER = 1.0  # seconds an interface's name and address are believed
_UNSPECIFIED = b"\0\0\0\0"

#: Who sent a datagram, or is to get one: address and port.
Peer = tuple[str, int]


@attrs.frozen
class Arrival:
    """Where a datagram came in.

    `interface` and `index` are the interface's; `local` is the address of ours to answer from
    (for a broadcast of a client without address the interface's first one, empty if it has
    none); `destination` is what the IP header said.
    """

    interface: str
    index: int
    local: str
    destination: str


class IDatagramReceiver(Protocol):
    """What a :class:`UdpSocket` delivers to."""

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take one datagram."""

    def drained(self) -> None:
        """Know that a batch is over: the place for work done once per group."""


@runtime_checkable
class IGlances(Protocol):
    """May be provided by a receiver as well, if it must live through floods."""

    def glance(self, data: bytearray, size: int) -> bool:
        """Return whether a datagram is worth a closer look: `received` is told of no other."""


class IDatagramSocket(Protocol):
    """The surface of :class:`UdpSocket`, which `pxetwist.testing.MemoryNetwork` offers as well."""

    def bind(self) -> None:
        """Take the port."""

    def start(self) -> None:
        """Begin to receive."""

    def stop(self) -> None:
        """Receive no more and give the port back."""

    def send(self, data: bytes, peer: Peer, source: str = "", index: int = 0) -> None:
        """Send one datagram."""

    def getHost(self) -> IPv4Address | IPv6Address:
        """Return what it is bound to."""


@attrs.frozen
class Binding:
    """What a UDP socket is to be bound to, and how.

    `broadcast` allows to send to broadcast addresses, `reuse` shares the port with other processes
    (``SO_REUSEPORT``, and ``SO_REUSEADDR`` as other DHCP servers set it), `groups` of IPv6 are
    joined on the interface of the `port`.
    """

    port: Port
    broadcast: bool = False
    reuse: bool = False
    groups: tuple[Group, ...] = ()


#: Makes an unbound socket, with the reactor: :class:`UdpSocket` itself, or a test's network.
DatagramFactory = Callable[[Any, IDatagramReceiver, Binding], IDatagramSocket]


class UdpSocket(SocketReader):
    """One bound UDP socket."""

    batch = 256
    family = socket.AF_INET
    nowhere = "0.0.0.0"

    def __init__(self, reactor: Any, receiver: IDatagramReceiver, binding: Binding) -> None:
        super().__init__(reactor)
        self._receiver = receiver
        self._glance = receiver.glance if isinstance(receiver, IGlances) else None
        self._binding = binding
        self._buffer = bytearray(65535)
        self._seen = memoryview(self._buffer)
        self._buffers = [self._buffer]
        self._interfaces = _Interfaces(reactor)

    def bind(self, *, shared: bool = False) -> None:
        """Take the port; a `shared` one may be taken several times.

        :raises StartError: with one line that says what is in the way.
        """
        made = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            self._prepare(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared or self._binding.reuse)
            made.bind(self._name())
        except OSError as error:
            made.close()
            raise start_error(error, self._binding.port) from None
        self._socket = made

    def _prepare(self, made: socket.socket) -> None:
        binding = self._binding
        self._ask_arrival(made)
        try:  # beyond net.core.rmem_max
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, binding.broadcast)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, binding.reuse)
        if binding.port.interface:
            device = os.fsencode(binding.port.interface)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)

    def _ask_arrival(self, made: socket.socket) -> None:
        made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)

    def _name(self) -> Any:
        return self._binding.port.address, self._binding.port.number

    def start(self) -> None:
        """Begin to receive; binds first if that was not done."""
        if self._socket is None:
            self.bind()
        super().start()

    def inherit(self, bound: socket.socket) -> None:
        """Use a socket that another process has bound."""
        self._socket = bound

    def lend(self) -> socket.socket:
        """Return the bound socket to somebody who reads it, and has :meth:`deliver` take it."""
        assert self._socket is not None
        return self._socket

    def getHost(self) -> IPv4Address | IPv6Address:
        """Return what it is bound to; an unbound socket tells what was asked for."""
        if self._socket is None:
            port = self._binding.port
            return IPv4Address("UDP", port.address or "0.0.0.0", port.number)
        return IPv4Address("UDP", *self._socket.getsockname())

    def send(self, data: bytes, peer: Peer, source: str = "", index: int = 0) -> None:
        """Send one datagram from our address `source` out of the interface `index`, if given."""
        if self._socket is None:
            self.failures["closed"] += 1
            return
        try:
            self._socket.sendmsg([data], self.origin(source, index), 0, self._target(peer))
        except OSError as error:
            self._count(error)

    def send_alike(self, datagrams: list[bytes], peer: Peer, source: str, index: int) -> None:
        """Send datagrams of the same length as one, if the kernel can."""
        if len(datagrams) > 1 and self._socket is not None:
            control = [*self.origin(source, index), segment_control(len(datagrams[0]))]
            try:
                self._socket.sendmsg(datagrams, control, 0, self._target(peer))
            except OSError as error:
                if not cannot_segment(error):
                    self._count(error)
                    return
            else:
                return
        for each in datagrams:
            self.send(each, peer, source, index)

    def origin(self, source: str, index: int = 0) -> list[tuple[int, int, bytes]]:
        """Return the control message that sends from an address, out of an interface."""
        return _origin4(source, index) if source or index else []

    def _target(self, peer: Peer) -> Any:
        return peer

    def doRead(self) -> None:
        """Read what has arrived, at most one batch of it, and say when that is over."""
        super().doRead()
        if self._socket is None:
            return
        try:
            self._receiver.drained()
        except Exception:
            self.log.failure("A batch of datagrams could not be finished")

    def _read(self, opened: socket.socket) -> None:
        size, control, _flags, peer = opened.recvmsg_into(self._buffers, 64)
        glance = self._glance
        if glance is None or glance(self._buffer, size):
            self.deliver(self._seen[:size].tobytes(), peer, control)

    def deliver(self, data: bytes, peer: Any, control: list[tuple[int, int, bytes]]) -> None:
        """Take one datagram with its control messages, as it was read."""
        arrived = self._arrived(peer, control)
        if arrived is None:
            self.failures["no IP_PKTINFO"] += 1
            return
        try:
            self._receiver.received(data, *arrived)
        except Exception:
            self.log.failure("A datagram from {peer} could not be treated", peer=peer)

    def _arrived(
        self, peer: Any, control: list[tuple[int, int, bytes]]
    ) -> tuple[Peer, Arrival] | None:
        """Say whom a datagram is from and where it came in, by the kernel's control messages."""
        for level, kind, value in control:
            if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                return peer, self._interfaces.arrival(value, nowhere=peer[0] == "0.0.0.0")
        return None


@lru_cache(maxsize=1024)
def _origin4(source: str, index: int) -> list[tuple[int, int, bytes]]:
    origin = socket.inet_aton(source) if source else _UNSPECIFIED
    return [(socket.IPPROTO_IP, IP_PKTINFO, _PKTINFO.pack(index, origin, _UNSPECIFIED))]


class _Interfaces:
    """Names and first addresses of interfaces by index, asked anew every second."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._known: dict[int, tuple[str, str]] = {}
        self._arrivals: dict[tuple[bytes, bool], Arrival] = {}
        self._since = 0.0

    def lookup(self, index: int) -> tuple[str, str]:
        self._forget()
        if index not in self._known:
            self._known[index] = self._ask(index)
        return self._known[index]

    def arrival(self, value: bytes, *, nowhere: bool) -> Arrival:
        """Read an in_pktinfo; `nowhere` is where its sender speaks from."""
        self._forget()
        arrival = self._arrivals.get((value, nowhere))
        if arrival is None:
            index, local, destination = _PKTINFO.unpack(value[: _PKTINFO.size])
            name, address = self.lookup(index)
            if destination == local or not nowhere:  # else the kernel names any of the host's
                address = socket.inet_ntoa(local)
            arrival = Arrival(name, index, address, socket.inet_ntoa(destination))
            self._arrivals[value, nowhere] = arrival
        return arrival

    def _forget(self) -> None:
        now = self._clock.seconds()
        if now - self._since >= _REMEMBER:
            self._known.clear()
            self._arrivals.clear()
            self._since = now

    @staticmethod
    def _ask(index: int) -> tuple[str, str]:
        try:
            name = socket.if_indextoname(index)
        except OSError:
            return "", ""
        return name, interface_address(name)


def interface_address(name: str) -> str:
    """Return the first IPv4 address of an interface, empty if it has none."""
    request = struct.pack("16s24x", os.fsencode(name)[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked, _SIOCGIFADDR, request)
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])
