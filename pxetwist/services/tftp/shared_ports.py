"""A UDP port that carries the transfers of many peers, told apart by their addresses and ports.

A client in lockstep costs one datagram in and one out for each block. Here many of either go
through one system call, which a socket for each client cannot do.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, cast

from twisted.logger import Logger

from pxetwist.services.segments import cannot_segment, segment_control
from pxetwist.services.tftp.following import NONE, Following
from pxetwist.services.tftp.images import Piece
from pxetwist.services.tftp.messages import BATCH, Control, Inbox, Outbox, name_of, packed, peer_of
from pxetwist.services.tftp.transfer_interfaces import (
    PMTUDISC_DONT,
    Family,
    ITransferReceiver,
    Packets,
)
from pxetwist.wire.tftp import Opcode

_MSG_ERRQUEUE = 0x2000  # not in Python 3.11's socket module
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_BUFFER = 4 << 20
_ERROR = struct.Struct("@I")  # the first field of struct sock_extended_err is an errno
_ERRORS_AT_ONCE = 256
_LEFT = 4096  # peers that are remembered when they have gone
_ACK = int(Opcode.ACK)
_REQUESTS = (int(Opcode.RRQ), int(Opcode.WRQ))

#: Takes what is of no transfer: the datagram, its peer as sockets spell it, control messages.
Stranger = Callable[[bytes, Any, Control], None]


def prepare(made: socket.socket, family: Family) -> None:
    """Let a socket be shared: large buffers, fragments, and word of ports that are closed."""
    for forced, usual in (
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
    ):
        try:  # beyond net.core.wmem_max
            made.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
        except PermissionError:
            made.setsockopt(socket.SOL_SOCKET, usual, _BUFFER)
    made.setsockopt(family.level, family.mtu_discover, PMTUDISC_DONT)
    made.setsockopt(family.level, family.errors, 1)


class SharedPort:
    """One bound socket; `failures` counts what could not be sent, by the name of its errno.

    `stranger` gets requests and whatever else is of no transfer; without it that is dropped.
    `control` is the size of the control message in which each transfer names our address.
    """

    _log = Logger()

    def __init__(
        self,
        made: socket.socket,
        family: Family,
        failures: Counter[str],
        stranger: Stranger | None = None,
        control: int = 0,
    ) -> None:
        prepare(made, family)
        self.socket = made
        self.failures = failures
        self.transfers: dict[bytes, SharedTransfer] = {}
        self._descriptor = made.fileno()
        self._stranger = stranger
        self._inbox = Inbox()
        self.outbox = Outbox(family.name_length, control)
        self._left: dict[bytes, None] = {}
        self._nobody = cast(SharedTransfer, Following())  # wants no ACK
        self.reading = False

    def knew(self, name: bytes) -> bool:
        """Whether a peer has, or lately had, a transfer here: packets of it may still come."""
        return name in self.transfers or name in self._left

    def open(
        self, name: bytes, receiver: ITransferReceiver, payload: int, origin: Control
    ) -> SharedTransfer:
        """Return a way to the peer of that name."""
        opened = self.transfers[name] = SharedTransfer(self, name, receiver, payload, origin)
        return opened

    def left(self, name: bytes) -> None:
        """Forget a transfer."""
        del self.transfers[name]
        self._left[name] = None
        if len(self._left) > _LEFT:
            del self._left[next(iter(self._left))]

    def read(self, now: float) -> None:
        """Read a batch, let the transfers answer, and send the answers."""
        try:
            count = self._inbox.receive(self._descriptor)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED):
                self.count(error)
            self._closed_ports()
            return
        others = self._answer(count, now)
        self.flush()
        if others:
            self.reading = True
            for number, name, head in others:
                self._treat(number, name, head, now)
            self.reading = False
            self.flush()

    def _answer(self, count: int, now: float) -> Sequence[tuple[int, bytes, int]]:
        """Answer ACKs that come in order, and return the numbers, names and heads of the others.

        This is done for each block, so without a call (:meth:`Following.answered`) for it.
        """
        names, heads = self._inbox.names(count), self._inbox.heads(count)
        transfers = map(self.transfers.get, names, repeat(self._nobody))
        others: list[tuple[int, bytes, int]] = []
        envelopes: list[bytes] = []
        addresses: list[int] = []
        sizes: list[int] = []
        for number, transfer, head in zip(range(count), transfers, heads, strict=True):
            if transfer.wanted != head:
                others.append((number, names[number], head))
                continue
            at, size = transfer.at, transfer.size
            envelopes.append(transfer.envelope)
            addresses.append(at)
            sizes.append(size)
            transfer.at = at = at + size
            transfer.wanted = head + 1 if at < transfer.end else NONE
            transfer.heard = now
        self.outbox.extend(envelopes, addresses, sizes)
        return others

    def _treat(self, number: int, name: bytes, head: int, now: float) -> None:
        """Deliver a datagram."""
        transfer = self.transfers.get(name)
        try:
            if transfer is not None and head >> 16 == _ACK:
                transfer.receiver.acknowledged(head & 0xFFFF, now)
            elif transfer is not None and head >> 16 not in _REQUESTS:
                transfer.receiver.received(self._inbox.data(number), now)
            elif self._stranger is not None:
                data, control = self._inbox.data(number), self._inbox.control(number)
                self._stranger(data, peer_of(name), control)
        except Exception:
            self._log.failure("A packet of a transfer could not be treated")

    def flush(self) -> None:
        """Send what waits; what fails is counted, a timeout repeats it."""
        outbox, at, failed = self.outbox, 0, -1
        end = outbox.seal()
        while at < end:
            try:
                at += outbox.send(self._descriptor, at, end)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    self.failures["EAGAIN"] += end - at
                    break
                self.count(error)
                self._closed_ports()
                if failed == at:
                    at += 1  # its own error, not word of what was sent before
                else:
                    failed = at
        outbox.clear()

    def _closed_ports(self) -> None:
        """Tell transfers whose peers' ports are closed."""
        for _ in range(_ERRORS_AT_ONCE):
            try:
                _, control, _, peer = self.socket.recvmsg(4, 512, _MSG_ERRQUEUE)
            except OSError:
                return
            errors = {_ERROR.unpack_from(value)[0] for *_, value in control if len(value) >= 16}
            transfer = self.transfers.get(name_of(peer)) if peer else None
            if transfer is not None and errno.ECONNREFUSED in errors:
                transfer.receiver.closed()

    def count(self, error: OSError) -> None:
        """Count what failed."""
        self.failures[errno.errorcode.get(error.errno or 0, str(error))] += 1


class SharedTransfer(Following):
    """One peer's part in a shared port; made by :meth:`SharedPort.open`.

    `origin` is the control message that names our address, empty if the socket has but one.
    """

    __slots__ = ("_name", "_origin", "_peer", "_port", "envelope", "payload", "receiver")

    def __init__(
        self,
        port: SharedPort,
        name: bytes,
        receiver: ITransferReceiver,
        payload: int,
        origin: Control,
    ) -> None:
        super().__init__()
        self.receiver = receiver
        self.payload = payload
        self._port = port
        self._name = name
        self._origin = origin
        self._peer = peer_of(name)
        self.envelope = name + packed(origin)

    def send(self, packet: Packets) -> None:
        """Send one datagram at once; what fails is counted, a timeout repeats it."""
        self._send([packet], self._origin)

    def send_part(self, piece: Piece, start: int, stop: int) -> None:
        """Send bytes of a piece as one datagram, together with those of others."""
        outbox = self._port.outbox
        outbox.extend((self.envelope,), (piece.address + start,), (stop - start,))
        outbox.keep(piece)
        if len(outbox) >= BATCH or not self._port.reading:
            self._port.flush()

    def send_segments(self, packets: Packets, segment: int) -> bool:
        """Send datagrams of `segment` bytes; `False` if that cannot be."""
        return self._send([packets], [*self._origin, segment_control(segment)])

    def _send(self, packets: list[Packets], control: Control) -> bool:
        for _ in range(2):  # the first may be told of another peer's closed port
            try:
                self._port.socket.sendmsg(packets, control, socket.MSG_DONTWAIT, self._peer)
            except OSError as error:
                if cannot_segment(error) and control != self._origin:
                    return False
                if error.errno != errno.ECONNREFUSED:
                    self._port.count(error)
                    break
            else:
                break
        return True

    def begins(self, piece: Piece) -> int:
        """Return the address of a piece's packets."""
        return piece.address

    def follow(self, piece: Piece, first: int, window: int, count: int) -> None:
        """Answer ACKs that come in order, but those of larger windows."""
        if window == 1:
            super().follow(piece, first, window, count)
        else:
            self.halt()

    def close(self) -> None:
        """Let go of it; closing twice does no harm."""
        self.wanted = NONE
        if self._port.transfers.get(self._name) is self:
            self._port.left(self._name)
