"""Sockets that the reactor reads, in batches, so that others have their turn."""

from __future__ import annotations

import errno
import socket
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class SocketReader(ABC):
    """A socket in the reactor: each readiness event reads up to `batch` packets.

    What could not be sent or read is counted in `failures` by the name of its errno; an interface
    that goes down reports so, and is no reason to stop.
    """

    batch = 64
    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self.failures: Counter[str] = Counter()
        self._reactor = reactor
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Begin to receive, if there is a socket."""
        if self._socket is not None:
            self._reactor.addReader(self)

    def stop(self) -> None:
        """Receive no more and close the socket; stopping twice does no harm."""
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    @abstractmethod
    def _read(self, opened: socket.socket) -> None:
        """Take one packet.

        :raises BlockingIOError: if nothing is there.
        :raises OSError: what is counted.
        """

    def _count(self, error: OSError) -> None:
        self.failures[errno.errorcode.get(error.errno or 0, str(error))] += 1

    # IReadDescriptor

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """Name it in the reactor's log."""
        return type(self).__name__

    def connectionLost(self, reason: Failure) -> None:
        """Close; the reactor says this when it stops."""
        self.stop()

    def doRead(self) -> None:
        """Read what has arrived, at most one batch of it; a mistake of ours is logged."""
        read = self._read
        for _ in range(self.batch):
            if self._socket is None:
                return
            try:
                read(self._socket)
            except BlockingIOError:
                return
            except OSError as error:
                self._count(error)
            except Exception:
                self.log.failure("{name}: what arrived was not treated", name=self.logPrefix())
