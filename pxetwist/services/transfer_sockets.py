"""The sockets of running TFTP transfers: one connected socket each, one descriptor for all.

Thousands of sockets in the reactor would cost one dispatch per packet. They are put into an epoll
set of their own, which the reactor sees as a single descriptor and which is drained in a loop.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.services.sockets6 import socket_name

_SOL_UDP = 17
_UDP_SEGMENT = 103  # not in Python 3.11's socket module
_PMTUDISC_DONT = 0  # a block above the MTU is cut into fragments, by us or on the way
_SEND_BUFFER = 1 << 20
_ROUNDS = 64  # per reactor turn
_EVENTS = 512  # per round
#: So few clients in lockstep are looked for so often, some 80 µs: to be woken would take as long.
_FEW = 3
_LOOKS = 150
_LARGEST = 2048  # no client packet is larger

#: Segments of one send (kernels before 6.9 refuse more) and the bytes that fit in it.
MAX_SEGMENTS = 64
MAX_SEND = 65507

Packets = bytes | memoryview


@attrs.frozen
class _Family:
    """What the kernel calls things in a family of addresses; `headers` are those of IP and UDP,
    in bytes.
    """

    number: socket.AddressFamily
    level: int
    mtu: int
    mtu_discover: int
    headers: int


# IP_MTU, IP_MTU_DISCOVER, and the same of IPV6, are not in Python 3.11's socket module.
_IPV4 = _Family(socket.AF_INET, socket.IPPROTO_IP, 14, 10, 20 + 8)
_IPV6 = _Family(socket.AF_INET6, socket.IPPROTO_IPV6, 24, 23, 40 + 8)


class ITransferReceiver(Protocol):
    """What a transfer's socket delivers to."""

    def received(self, data: bytes, now: float) -> None:
        """Take one packet of the peer."""

    def closed(self) -> None:
        """Know that the peer's port is closed; the socket is still to be closed."""


class ITransferSocket(Protocol):
    """The surface of :class:`TransferSocket`."""

    @property
    def payload(self) -> int:
        """How many bytes fit into a datagram that is not cut into fragments, as far as known."""

    def send(self, packet: Packets) -> None:
        """Send one datagram."""

    def send_segments(self, packets: Packets, segment: int) -> bool:
        """Send datagrams of `segment` bytes; `False` if that cannot be."""

    def close(self) -> None:
        """Let go of it."""


class ITransferSockets(Protocol):
    """The surface of :class:`TransferSockets`, which `pxetwist.testing` offers as well."""

    def start(self) -> None:
        """Begin to receive."""

    def stop(self) -> None:
        """Close all."""

    def open(
        self, local: str, peer: tuple[str, int], receiver: ITransferReceiver
    ) -> ITransferSocket:
        """Return a socket from our address `local` to `peer`."""


class TransferSocketsFactory(Protocol):
    """Makes the sockets of a service; :class:`TransferSockets` itself, or a test's network."""

    def __call__(self, reactor: Any, ports: Collection[int] = ()) -> ITransferSockets:
        """Return a set without sockets."""


@implementer(IReadDescriptor)
class TransferSockets:
    """All connected sockets; `ports` is the range of local ports, empty for any.

    What could not be sent or read is counted in `failures` by the name of its errno.
    """

    _log = Logger()

    def __init__(self, reactor: Any, ports: Collection[int] = ()) -> None:
        self.failures: Counter[str] = Counter()
        self._reactor = reactor
        self._ports = list(ports)
        self._turn = 0
        self._open: dict[int, TransferSocket] = {}
        self._epoll: select.epoll | None = None

    def start(self) -> None:
        """Begin to receive."""
        self._epoll = select.epoll()
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Close all; stopping twice does no harm."""
        if self._epoll is not None:
            self._reactor.removeReader(self)
            for opened in list(self._open.values()):
                opened.close()
            self._epoll.close()
            self._epoll = None

    def open(
        self, local: str, peer: tuple[str, int], receiver: ITransferReceiver
    ) -> TransferSocket:
        """Return a socket from our address `local` to `peer`.

        :raises OSError: if there is no port or descriptor left, or no way to the peer.
        """
        if self._epoll is None:
            raise OSError(errno.EBADF, "not started")
        family = _IPV6 if ":" in peer[0] else _IPV4
        made = socket.socket(family.number, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            made.setsockopt(family.level, family.mtu_discover, _PMTUDISC_DONT)
            self._bind(made, local)
            made.connect(socket_name(*peer))
            self._epoll.register(made, select.EPOLLIN)
        except OSError:
            made.close()
            raise
        opened = self._open[made.fileno()] = TransferSocket(self, made, family, receiver)
        return opened

    def _bind(self, made: socket.socket, local: str) -> None:
        """Take the next free port: one that was just left may still get its old peer's packets."""
        if not self._ports:
            return made.bind(socket_name(local, 0))
        for _ in self._ports:
            port = self._ports[self._turn % len(self._ports)]
            self._turn += 1
            try:
                return made.bind(socket_name(local, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "every port of the range is in use")

    def forget(self, descriptor: int) -> None:
        """Drop a socket that is about to be closed; closing takes it out of the epoll set."""
        self._open.pop(descriptor, None)

    # IReadDescriptor

    def fileno(self) -> int:
        """Return the descriptor of the set, -1 when stopped."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """Name it in the reactor's log."""
        return "TransferSockets"

    def connectionLost(self, reason: Failure) -> None:
        """Close all; the reactor says this when it stops."""
        self.stop()

    def doRead(self) -> None:
        """Read what has arrived on any socket, bounded, so that others have their turn."""
        for _ in range(_ROUNDS):
            events = self._events()
            if not events:
                return
            self._deliver(events, self._reactor.seconds())

    def _events(self) -> Sequence[tuple[int, int]]:
        if self._epoll is None:
            return ()
        looks = _LOOKS if 0 < len(self._open) <= _FEW else 1
        poll = self._epoll.poll
        for _ in range(looks):
            events = poll(0, _EVENTS)
            if events:
                return events
        return ()

    def _deliver(self, events: Sequence[tuple[int, int]], now: float) -> None:
        for descriptor, _ in events:
            opened = self._open.get(descriptor)
            if opened is None:
                continue  # closed by an event before it
            try:
                opened.read(now)
            except Exception:
                self._log.failure("A packet of a transfer could not be treated")


class TransferSocket:
    """One connected UDP socket; made by :meth:`TransferSockets.open`."""

    def __init__(
        self,
        owner: TransferSockets,
        made: socket.socket,
        family: _Family,
        receiver: ITransferReceiver,
    ) -> None:
        self._owner = owner
        self._socket = made
        self._family = family
        self._receive, self._send = made.recv, made.send
        self._deliver, self._receiver = receiver.received, receiver

    @property
    def payload(self) -> int:
        """How many bytes fit into a datagram that is not cut into fragments, as far as the
        kernel knows the path's MTU.
        """
        family = self._family
        return self._socket.getsockopt(family.level, family.mtu) - family.headers

    def getHost(self) -> IPv4Address | IPv6Address:
        """Return our address and transfer id."""
        host, port = self._socket.getsockname()[:2]
        made = IPv6Address if self._family is _IPV6 else IPv4Address
        return made("UDP", host, port)

    def read(self, now: float) -> None:
        """Read one packet and deliver it."""
        try:
            data = self._receive(_LARGEST)
        except OSError as error:
            self._failed(error)
            return
        self._deliver(data, now)

    def send(self, packet: Packets) -> None:
        """Send one datagram; what fails is counted, a timeout repeats it."""
        try:
            self._send(packet)
        except OSError as error:
            self._failed(error)

    def send_segments(self, packets: Packets, segment: int) -> bool:
        """Send at most :data:`MAX_SEND` bytes as datagrams of `segment` bytes (the last may be
        shorter) with one system call.

        Return `False` if the kernel, the device or the path's MTU does not allow it.
        """
        control = (_SOL_UDP, _UDP_SEGMENT, struct.pack("@H", segment))
        try:
            self._socket.sendmsg([packets], [control])
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EIO, errno.EOPNOTSUPP, errno.EMSGSIZE):
                return False
            self._failed(error)
        return True

    def close(self) -> None:
        """Let go of it; closing twice does no harm."""
        descriptor = self._socket.fileno()
        if descriptor >= 0:
            self._owner.forget(descriptor)
            self._socket.close()

    def _failed(self, error: OSError) -> None:
        if error.errno == errno.ECONNREFUSED:
            self._receiver.closed()
        elif error.errno != errno.EAGAIN:
            self._owner.failures[errno.errorcode.get(error.errno or 0, str(error))] += 1
