"""Whether what was written to a connection has arrived: its peer's system acknowledged it."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from typing import Any

from twisted.internet import tcp
from twisted.internet.task import deferLater

from pxetwist.services.http_body import wire_of

#: So long (seconds) the client has to take it, before its connection is given up.
PATIENCE = 10.0
_LOOK_EVERY = 0.05
_SIOCOUTQ = termios.TIOCOUTQ  # of a socket: bytes sent and not acknowledged (tcp(7))
_ACKED_AT = 120  # tcpi_bytes_acked of struct tcp_info (linux/tcp.h), 8 bytes


class Delivery:
    """Watches all that was written to a transport so far; also when the connection is lost since,
    for clients close it as soon as they have what they want.
    """

    def __init__(self, transport: Any) -> None:
        wire = wire_of(transport)
        self._socket: socket.socket | None = None
        self._needed = 0
        if isinstance(wire, tcp.Connection) and wire.connected:
            self._socket = socket.socket(fileno=os.dup(wire.fileno()))
            wire.doWrite()  # what it does not take stays in the one buffer
            self._needed = self._sent() + len(wire.dataBuffer) - wire.offset

    async def complete(self, reactor: Any) -> None:
        """Return when it has arrived, or nobody seems to take it any more."""
        until = reactor.seconds() + PATIENCE
        while not self.arrived() and reactor.seconds() < until:
            await deferLater(reactor, _LOOK_EVERY)

    def arrived(self) -> bool:
        """Return whether all of it has; in memory nothing is lost."""
        return self._socket is None or self._acknowledged(self._socket) >= self._needed

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            self._socket.close()

    def _sent(self) -> int:
        """Return how many bytes the system was given, for which it takes two looks."""
        assert self._socket is not None
        while True:
            acknowledged = self._acknowledged(self._socket)
            raw = fcntl.ioctl(self._socket.fileno(), _SIOCOUTQ, bytes(4))
            if acknowledged == self._acknowledged(self._socket):
                return acknowledged + int(struct.unpack("=i", raw)[0])

    @staticmethod
    def _acknowledged(connection: socket.socket) -> int:
        facts = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED_AT + 8)
        return int(struct.unpack_from("=Q", facts, _ACKED_AT)[0])
