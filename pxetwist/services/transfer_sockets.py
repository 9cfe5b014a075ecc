"""The sockets of running TFTP transfers, and one descriptor for all of them.

Transfers in lockstep share a port, one for each address of ours; those in windows have connected
sockets of their own, whose windows leave in one piece. Thousands of sockets in the reactor would
cost one dispatch per packet: they are in an epoll set of their own, which the reactor sees as a
single descriptor and which is drained in a loop.
"""

from __future__ import annotations

import errno
import select
import socket
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.services.images import Piece
from pxetwist.services.messages import Control, name_of, packed
from pxetwist.services.shared_ports import SharedPort, cannot_segment, segment_control
from pxetwist.services.sockets import IDatagramSocket, UdpSocket
from pxetwist.services.sockets6 import socket_name
from pxetwist.services.transfer_interfaces import (
    IPV4,
    IPV6,
    PMTUDISC_DONT,
    Family,
    ITransferReceiver,
    ITransferSocket,
    Packets,
    Peer,
)

_SEND_BUFFER = 1 << 20
_TURN = 0.004  # seconds of a turn of the reactor
_EVENTS = 512  # per round
#: So few clients in lockstep are looked for so often, some 80 µs: to be woken would take as long.
_FEW = 3
_LOOKS = 150
_LARGEST = 9216  # bytes of a client's packet


@implementer(IReadDescriptor)
class TransferSockets:
    """All sockets; `ports` is the range of local ports, empty for any.

    What could not be sent or read is counted in `failures` by the name of its errno.
    """

    _log = Logger()

    def __init__(self, reactor: Any, ports: Collection[int] = ()) -> None:
        self.failures: Counter[str] = Counter()
        self._reactor = reactor
        self._ports = list(ports)
        self._turn = 0
        self._own: dict[int, TransferSocket] = {}
        self._shared: dict[str, SharedPort] = {}  # by our address
        self._adopted: dict[IDatagramSocket, SharedPort] = {}
        self._readers: dict[int, TransferSocket | SharedPort] = {}
        self._epoll: select.epoll | None = None

    def start(self) -> None:
        """Begin to receive."""
        self._epoll = select.epoll()
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Close all but what was adopted; stopping twice does no harm."""
        if self._epoll is not None:
            self._reactor.removeReader(self)
            for opened in list(self._own.values()):
                opened.close()
            for port in self._shared.values():
                port.socket.close()
            self._epoll.close()
            self._epoll = None
            for kept in (self._shared, self._adopted, self._readers):
                kept.clear()

    def adopt(self, requests: IDatagramSocket) -> None:
        """Receive for a request socket, too: transfers may go over its port."""
        lent = cast(UdpSocket, requests)
        origin = len(packed(lent.origin(lent.nowhere)))
        family = IPV6 if lent.family == socket.AF_INET6 else IPV4
        port = SharedPort(lent.lend(), family, self.failures, lent.deliver, origin)
        self._adopted[requests] = port
        self._watch(port.socket, port)

    def open(
        self,
        local: str,
        peer: Peer,
        receiver: ITransferReceiver,
        *,
        over: IDatagramSocket | None = None,
        shared: bool = False,
    ) -> ITransferSocket:
        """Return a way from our address `local` to `peer`: over an adopted socket, or over a
        port of its own, which transfers of other peers may share.

        :raises OSError: if there is no port or descriptor left, or no way to the peer.
        """
        if self._epoll is None:
            raise OSError(errno.EBADF, "not started")
        if over is not None:
            origin = cast(UdpSocket, over).origin(local)
            return _joined(self._adopted[over], local, peer, receiver, origin)
        if shared:
            port = self._shared_port(local, _family(peer))
            if not port.knew(name_of(socket_name(*peer))):
                return _joined(port, local, peer, receiver, [])
        return self._own_socket(local, peer, receiver)

    def _shared_port(self, local: str, family: Family) -> SharedPort:
        port = self._shared.get(local)
        if port is None:
            made = socket.socket(family.number, socket.SOCK_DGRAM)
            try:
                made.setblocking(False)
                self._bind(made, local)
                port = self._shared[local] = SharedPort(made, family, self.failures)
                self._watch(made, port)
            except OSError:
                made.close()
                raise
        return port

    def _own_socket(self, local: str, peer: Peer, receiver: ITransferReceiver) -> TransferSocket:
        family = _family(peer)
        made = socket.socket(family.number, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            made.setsockopt(family.level, family.mtu_discover, PMTUDISC_DONT)
            self._bind(made, local)
            made.connect(socket_name(*peer))
            opened = TransferSocket(self, made, family, receiver)
            self._watch(made, opened)
        except OSError:
            made.close()
            raise
        self._own[made.fileno()] = opened
        return opened

    def _watch(self, made: socket.socket, reader: TransferSocket | SharedPort) -> None:
        assert self._epoll is not None
        self._epoll.register(made, select.EPOLLIN)
        self._readers[made.fileno()] = reader

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
        self._own.pop(descriptor, None)
        self._readers.pop(descriptor, None)

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
        now = self._reactor.seconds()
        end = now + _TURN
        while now < end:
            events = self._events()
            if not events:
                return
            now = self._reactor.seconds()
            self._deliver(events, now)

    def _events(self) -> Sequence[tuple[int, int]]:
        if self._epoll is None:
            return ()
        poll = self._epoll.poll
        for _ in range(_LOOKS if self._few() else 1):
            events = poll(0, _EVENTS)
            if events:
                return events
        return ()

    def _few(self) -> bool:
        shared = (*self._shared.values(), *self._adopted.values())
        return 0 < len(self._own) + sum(len(port.transfers) for port in shared) <= _FEW

    def _deliver(self, events: Sequence[tuple[int, int]], now: float) -> None:
        for descriptor, _ in events:
            opened = self._readers.get(descriptor)
            if opened is None:
                continue  # closed by an event before it
            try:
                opened.read(now)
            except Exception:
                self._log.failure("A packet of a transfer could not be treated")


def _family(peer: Peer) -> Family:
    return IPV6 if ":" in peer[0] else IPV4


def _joined(
    port: SharedPort, local: str, peer: Peer, receiver: ITransferReceiver, origin: Control
) -> ITransferSocket:
    """Let a transfer go over a port; a socket that is connected for a moment knows its path."""
    family, name = _family(peer), socket_name(*peer)
    with socket.socket(family.number, socket.SOCK_DGRAM) as probe:
        probe.bind(socket_name(local, 0))
        probe.connect(name)
        payload = probe.getsockopt(family.level, family.mtu) - family.headers
    return port.open(name_of(name), receiver, payload, origin)


class TransferSocket:
    """One connected UDP socket; made by :meth:`TransferSockets.open`."""

    def __init__(
        self,
        owner: TransferSockets,
        made: socket.socket,
        family: Family,
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
        made = IPv6Address if self._family is IPV6 else IPv4Address
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

    def send_part(self, piece: Piece, start: int, stop: int) -> None:
        """Send bytes of a piece as one datagram."""
        self.send(piece.packets[start:stop])

    def send_segments(self, packets: Packets, segment: int) -> bool:
        """Send at most :data:`~pxetwist.services.transfer_interfaces.MAX_SEND` bytes as datagrams
        of `segment` bytes (the last may be shorter) with one system call.

        Return `False` if the kernel, the device or the path's MTU does not allow it.
        """
        try:
            self._socket.sendmsg([packets], [segment_control(segment)])
        except OSError as error:
            if cannot_segment(error):
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
