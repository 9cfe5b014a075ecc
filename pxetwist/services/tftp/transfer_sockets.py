"""The sockets of running TFTP transfers, and one descriptor for all of them.

Transfers in lockstep share a port, one for each address of ours; those in windows have connected
sockets of their own, whose windows leave in one piece. Thousands of sockets in the reactor would
cost one dispatch per packet: they are in an epoll set of their own, which the reactor sees as a
single descriptor and which is drained in a loop.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, cast

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.services.sockets import IDatagramSocket, Peer, UdpSocket
from pxetwist.services.sockets6 import socket_name
from pxetwist.services.tftp.connected_sockets import TransferSocket
from pxetwist.services.tftp.messages import Control, name_of, packed
from pxetwist.services.tftp.shared_ports import SharedPort
from pxetwist.services.tftp.transfer_interfaces import (
    IPV4,
    IPV6,
    PMTUDISC_DONT,
    Family,
    ITransferReceiver,
    ITransferSocket,
)

_SEND_BUFFER = 1 << 20
_TURN = 0.004  # seconds of a turn of the reactor
_EVENTS = 512  # per round
#: So few clients have sockets of their own in lockstep, too: that is quicker, one by one. They
#: are looked for so often, some 80 µs: to be woken would take as long.
_FEW = 3
_LOOKS = 150


@implementer(IReadDescriptor)
class TransferSockets:
    """All sockets; `ports` is the range of local ports, empty for any. With `busy_poll` answers of
    a few clients are looked for a moment before the process sleeps.

    What could not be sent or read is counted in `failures` by the name of its errno.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, ports: Collection[int] = (), *, busy_poll: bool = True
    ) -> None:
        self.failures: Counter[str] = Counter()
        self._reactor = reactor
        self._ports = list(ports)
        self._looks = _LOOKS if busy_poll else 0
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
        if shared and self._count() >= _FEW:
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
        seconds, find, epoll = self._reactor.seconds, self._readers.get, self._epoll
        end = seconds() + _TURN
        while epoll is not None and not epoll.closed:
            events = epoll.poll(0, _EVENTS) or self._look(epoll)
            now = seconds()
            for descriptor, _ in events:
                reader = find(descriptor)
                if reader is None:
                    continue  # closed by an event before it
                try:
                    reader.read(now)
                except Exception:
                    self._log.failure("A packet of a transfer could not be treated")
            if not events or now >= end:
                return

    def _look(self, epoll: select.epoll) -> Sequence[tuple[int, int]]:
        """Look for events of a few clients a little longer."""
        if 0 < self._count() <= _FEW:
            for _ in range(self._looks):
                os.sched_yield()  # the client may be waiting for this very core
                events = epoll.poll(0, _EVENTS)
                if events:
                    return events
        return ()

    def _count(self) -> int:
        shared = (*self._shared.values(), *self._adopted.values())
        return len(self._own) + sum(len(port.transfers) for port in shared)


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
