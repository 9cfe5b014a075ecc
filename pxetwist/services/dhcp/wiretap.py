"""Hears what DHCP servers and clients say to others, and speaks as a client that does not exist.

A packet socket (packet(7)) with a filter: it takes part in nothing, and no port is needed. Linux
only, as the rest of the raw network.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from pxetwist.errors import WireError
from pxetwist.services.reading import SocketReader
from pxetwist.wire.udp4 import Udp4, decode_udp4

_ETH_P_IP, _ETH_P_ALL = 0x0800, 0x0003
_SO_ATTACH_FILTER = 26
_BROADCAST = b"\xff" * 6
_RECEIVE_BUFFER = 256 << 10  # what is more is dropped by the kernel: a flood costs us little

#: (code, jump if true, jump if false, operand), jumps relative to the next instruction: UDP to
#: port 68 that is a reply, or to port 67 by broadcast with a REQUEST (option 53 first, as clients
#: have it). What relays bring is for us: to hear it twice would cost a busy server much.
FILTER = (
    (0x28, 0, 0, 0xFFFFF000),  # the frame's protocol
    (0x15, 0, 19, _ETH_P_IP),
    (0x30, 0, 0, 9),
    (0x15, 0, 17, 17),
    (0x28, 0, 0, 6),
    (0x45, 15, 0, 0x1FFF),  # a later fragment
    (0xB1, 0, 0, 0),  # X: the length of the header
    (0x48, 0, 0, 2),
    (0x15, 0, 3, 68),
    (0x50, 0, 0, 8),
    (0x15, 9, 10, 2),
    (0x06, 0, 0, 0),
    (0x15, 0, 8, 67),
    (0x20, 0, 0, 16),
    (0x15, 0, 6, 0xFFFFFFFF),
    (0x48, 0, 0, 248),
    (0x15, 0, 4, 0x3501),
    (0x50, 0, 0, 250),
    (0x15, 1, 2, 3),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


@attrs.frozen
class Overheard:
    """A datagram for somebody else; `own` says that this host sent it."""

    interface: str
    mac: str
    datagram: Udp4
    own: bool = False


class IWireTap(Protocol):
    """The surface of :class:`WireTap`, for tests to replace."""

    def open(self) -> bool:
        """Take the socket, while there are rights to; return whether there were."""

    def start(self) -> None:
        """Begin to hear."""

    def stop(self) -> None:
        """Hear no more."""

    def send(self, interface: str, packet: bytes) -> None:
        """Send an IPv4 packet to everybody on an interface."""


TapFactory = Callable[[Any, Callable[[Overheard], None]], IWireTap]


def open_tap(*, outgoing: bool = False) -> socket.socket:
    """Open the filtered socket for all interfaces; with `outgoing` it has what we send as well.

    :raises OSError: without CAP_NET_RAW.
    """
    protocol = socket.htons(_ETH_P_ALL if outgoing else _ETH_P_IP)
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, protocol)
    try:
        tap.setblocking(False)
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        attach(tap, FILTER)
        _drain(tap)
    except OSError:
        tap.close()
        raise
    return tap


def attach(tap: socket.socket, instructions: Sequence[tuple[int, int, int, int]]) -> None:
    """Let a socket receive only what a filter accepts (socket(7))."""
    code = b"".join(struct.pack("=HBBI", *each) for each in instructions)
    program = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(instructions), ctypes.addressof(program))
    tap.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


def _drain(tap: socket.socket) -> None:
    """Throw away what came before there was a filter."""
    with contextlib.suppress(BlockingIOError):
        while True:
            tap.recv(1)


def read_tap(tap: socket.socket) -> Overheard | None:
    """Read one datagram; `None` if it is broken.

    :raises OSError: if nothing is there, or an interface went down.
    """
    packet, address = tap.recvfrom(2048)
    name, _, kind, _, hardware = address
    try:
        datagram = decode_udp4(packet)
    except WireError:
        return None
    return Overheard(name, bytes(hardware).hex(":"), datagram, kind == socket.PACKET_OUTGOING)


def send_to_all(tap: socket.socket, interface: str, packet: bytes) -> None:
    """Send an IPv4 packet by broadcast, with the interface's own MAC."""
    tap.sendto(packet, (interface, _ETH_P_IP, 0, 0, _BROADCAST))


class WireTap(SocketReader):
    """The socket in the reactor; `receive` is called with each datagram."""

    def __init__(self, reactor: Any, receive: Callable[[Overheard], None]) -> None:
        super().__init__(reactor)
        self._receive = receive

    def open(self) -> bool:
        """Take the socket, while there are rights to; return whether there were."""
        try:
            self._socket = open_tap()
        except OSError:
            return False
        return True

    def send(self, interface: str, packet: bytes) -> None:
        """Send an IPv4 packet; an interface that is down or gone hinders nobody."""
        if self._socket is None:
            return
        try:
            send_to_all(self._socket, interface, packet)
        except OSError as error:
            self.log.debug("no probe on {interface}: {error}", interface=interface, error=error)

    def _read(self, opened: socket.socket) -> None:
        heard = read_tap(opened)
        if heard is not None:
            self._receive(heard)
