"""Whether what was written to a connection has arrived: its peer's system acknowledged it."""

from __future__ import annotations

import fcntl
import math
import os
import socket
import struct
import termios
from typing import Any

from twisted.internet import tcp
from twisted.internet.task import deferLater

from pxetwist.services.sending import wire_of

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
        self._wire = wire_of(transport)
        self._socket: socket.socket | None = None
        in_memory = not isinstance(self._wire, tcp.Connection)  # where nothing is lost
        self._needed = 0 if in_memory else math.inf
        if not in_memory and self._wire.connected:
            self._socket = socket.socket(fileno=os.dup(self._wire.fileno()))

    async def complete(self, reactor: Any) -> None:
        """Return when it has arrived, or nobody seems to take it any more."""
        until = reactor.seconds() + PATIENCE
        if self._socket is not None:
            # twisted.protocols.tls keeps small writes until then
            await deferLater(reactor, 0)
            if self._wire.connected:
                self._measure(self._socket)
        while not self.arrived() and reactor.seconds() < until:
            await deferLater(reactor, _LOOK_EVERY)

    def _measure(self, connection: socket.socket) -> None:
        self._wire.doWrite()  # what it does not take stays in the one buffer
        waiting = len(self._wire.dataBuffer) - self._wire.offset
        self._needed = self._sent(connection) + waiting

    def arrived(self) -> bool:
        """Return whether all of it has."""
        have = self._acknowledged(self._socket) if self._socket is not None else 0
        return have >= self._needed

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            self._socket.close()

    def _sent(self, connection: socket.socket) -> int:
        """Return how many bytes the system was given, for which it takes two looks."""
        while True:
            acknowledged = self._acknowledged(connection)
            raw = fcntl.ioctl(connection.fileno(), _SIOCOUTQ, bytes(4))
            if acknowledged == self._acknowledged(connection):
                return acknowledged + int(struct.unpack("=i", raw)[0])

    @staticmethod
    def _acknowledged(connection: socket.socket) -> int:
        facts = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED_AT + 8)
        return int(struct.unpack_from("=Q", facts, _ACKED_AT)[0])
