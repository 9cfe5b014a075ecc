"""The sockets of TFTP transfers that have ports of their own."""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from typing import Protocol

from twisted.internet.address import IPv4Address, IPv6Address

from pxetwist.services.segments import (
    MAX_SEGMENTS,
    MAX_SEND,
    SOL_UDP,
    UDP_SEGMENT,
    cannot_segment,
    segment_control,
)
from pxetwist.services.tftp.following import NONE, Following
from pxetwist.services.tftp.images import Piece
from pxetwist.services.tftp.transfer_interfaces import (
    IPV6,
    MAX_BLOCK,
    Family,
    ITransferReceiver,
    Packets,
)
from pxetwist.wire.tftp import acknowledged

_ACK = 4  # bytes
_BUFFER = bytearray(MAX_BLOCK + 4)  # of all sockets: a packet is read, and treated, at a time
_VIEW = memoryview(_BUFFER)
_head = struct.Struct("!I").unpack_from


class ISocketOwner(Protocol):
    """Who keeps the sockets; `failures` counts by the name of the errno."""

    failures: Counter[str]

    def forget(self, descriptor: int) -> None:
        """Drop a socket that is about to be closed."""


class TransferSocket(Following):
    """One connected UDP socket; `owner` has made it."""

    def __init__(
        self,
        owner: ISocketOwner,
        made: socket.socket,
        family: Family,
        receiver: ITransferReceiver,
    ) -> None:
        super().__init__()
        self._owner = owner
        self._socket = made
        self._family = family
        self._receive, self._send = made.recv_into, made.send
        self._receiver = receiver
        self._segment = 0
        self._most = MAX_SEND  # bytes of one send while it follows

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
        """Read one packet; answer or deliver it."""
        try:
            length = self._receive(_BUFFER)
        except OSError as error:
            self._failed(error)
            return
        (head,) = _head(_BUFFER)
        if head != self.wanted or length != _ACK:
            self._deliver(bytes(_VIEW[:length]), now)
            return
        at, most = self.at, self._most
        end = at + self.size
        try:
            while at < end:
                self._send(self.piece.packets[at : min(at + most, end)])
                at += most
        except OSError as error:
            if cannot_segment(error):
                self._cut(0)
                self._receiver.acknowledged(head & 0xFFFF, now)
                return
            self._failed(error)
        self.answered(now)

    def _deliver(self, data: bytes, now: float) -> None:
        block = acknowledged(data)
        if block is None:
            self._receiver.received(data, now)
        else:
            self._receiver.acknowledged(block, now)

    def follow(self, piece: Piece, first: int, window: int, count: int) -> None:
        """Answer ACKs that come in order; a window leaves in as few sends as can be."""
        super().follow(piece, first, window, count)
        self._most = min(MAX_SEGMENTS, MAX_SEND // piece.packet) * piece.packet
        if window > 1:
            self._cut(piece.packet)

    def _cut(self, segment: int) -> None:
        """Let the kernel cut what is larger into datagrams of so many bytes; 0: not."""
        if segment != self._segment:
            self._segment = segment
            self._socket.setsockopt(SOL_UDP, UDP_SEGMENT, segment)

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
        """Send at most :data:`~pxetwist.services.segments.MAX_SEND` bytes as datagrams
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
        self.wanted = NONE
        descriptor = self._socket.fileno()
        if descriptor >= 0:
            self._owner.forget(descriptor)
            self._socket.close()

    def _failed(self, error: OSError) -> None:
        if error.errno == errno.ECONNREFUSED:
            self._receiver.closed()
        elif error.errno != errno.EAGAIN:
            self._owner.failures[errno.errorcode.get(error.errno or 0, str(error))] += 1
