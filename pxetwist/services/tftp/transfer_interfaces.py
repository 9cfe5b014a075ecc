"""What a TFTP transfer and the sockets it goes over want of each other."""

from __future__ import annotations

import socket
from collections.abc import Collection
from typing import Any, Protocol

import attrs

from pxetwist.services.sockets import IDatagramSocket, Peer
from pxetwist.services.tftp.images import Piece

#: Bytes of a block that a client sends: what a large frame can carry.
MAX_BLOCK = 9212
#: A block above the MTU is cut into fragments, by us or on the way: a value of `mtu_discover`.
PMTUDISC_DONT = 0

Packets = bytes | memoryview


@attrs.frozen
class Family:
    """What the kernel calls things in a family of addresses; `headers` are those of IP and UDP,
    in bytes.
    """

    number: socket.AddressFamily
    level: int
    mtu: int
    mtu_discover: int
    errors: int
    headers: int
    name_length: int


# IP_MTU, IP_MTU_DISCOVER, IP_RECVERR, and those of IPV6, are not in Python 3.11's socket module.
IPV4 = Family(socket.AF_INET, socket.IPPROTO_IP, 14, 10, 11, 20 + 8, 16)
IPV6 = Family(socket.AF_INET6, socket.IPPROTO_IPV6, 24, 23, 25, 40 + 8, 28)


class ITransferReceiver(Protocol):
    """What a transfer's socket delivers to."""

    def received(self, data: bytes, now: float) -> None:
        """Take one packet of the peer."""

    def acknowledged(self, block: int, now: float) -> None:
        """Take an ACK of the peer that nobody answered."""

    def closed(self) -> None:
        """Know that the peer's port is closed; the socket is still to be closed."""


class ITransferSocket(Protocol):
    """One transfer's way to its peer."""

    heard: float

    @property
    def payload(self) -> int:
        """How many bytes fit into a datagram that is not cut into fragments, as far as known."""

    def send(self, packet: Packets) -> None:
        """Send one datagram."""

    def send_part(self, piece: Piece, start: int, stop: int) -> None:
        """Send bytes of a piece as one datagram."""

    def send_segments(self, packets: Packets, segment: int) -> bool:
        """Send datagrams of `segment` bytes; `False` if that cannot be."""

    def follow(self, piece: Piece, first: int, window: int, count: int) -> None:
        """Answer ACKs that come in order, as :class:`~pxetwist.services.tftp.following.Following`
        does, or leave it.
        """

    def taken(self) -> int:
        """Return how many ACKs were answered since it was asked; the last one was `heard`."""

    def halt(self) -> None:
        """Answer no more ACKs."""

    def close(self) -> None:
        """Let go of it."""


class ITransferSockets(Protocol):
    """The surface of :class:`~pxetwist.services.tftp.transfer_sockets.TransferSockets`, which
    `pxetwist.testing` offers as well.
    """

    def start(self) -> None:
        """Begin to receive."""

    def stop(self) -> None:
        """Close all."""

    def adopt(self, requests: IDatagramSocket) -> None:
        """Receive for a request socket, too: transfers may go over its port."""

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
        """


class TransferSocketsFactory(Protocol):
    """Makes the sockets of a service, or a test's network."""

    def __call__(
        self, reactor: Any, ports: Collection[int] = (), *, busy_poll: bool = True
    ) -> ITransferSockets:
        """Return a set without sockets."""
