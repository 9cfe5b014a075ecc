"""Knows at once when an interface comes, goes, or changes its addresses (rtnetlink(7))."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.errors import StartError
from pxetwist.services.interfaces import NetworkInterface, network_interfaces
from pxetwist.wire import rtnetlink

#: Changes come in groups (up, then an address, then another one); they are told together.
_SETTLES = 0.02

Changed = Callable[[Sequence[NetworkInterface]], None]


class IInterfaceWatch(Protocol):
    """The surface of :class:`InterfaceWatch`, for tests. `present` are the interfaces."""

    present: Sequence[NetworkInterface]

    def start(self) -> Sequence[NetworkInterface]:
        """Begin, and return the interfaces as they are."""

    def stop(self) -> None:
        """Watch no more."""


class WatchFactory(Protocol):
    """Makes the watch of a service."""

    def __call__(self, reactor: Any, changed: Changed) -> IInterfaceWatch:
        """Return a watch that is not started; `changed` is given all interfaces each time."""


@implementer(IReadDescriptor)
class InterfaceWatch:
    """Calls `changed` with all interfaces each time when one of them is not as it was.

    What the kernel sends is only a hint: everything is read again then, so that nothing that was
    missed can last.
    """

    log = Logger()

    def __init__(self, reactor: Any, changed: Changed) -> None:
        self._reactor = reactor
        self._changed = changed
        self._socket: socket.socket | None = None
        self.present: Sequence[NetworkInterface] = ()
        self._waiting: IDelayedCall | None = None

    def start(self) -> Sequence[NetworkInterface]:
        """Begin to watch, and return the interfaces as they are.

        :raises StartError: if the kernel does not let us.
        """
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                socket.NETLINK_ROUTE,
            )
            self._socket.bind((0, rtnetlink.GROUPS))
        except OSError as error:
            raise StartError(f"cannot watch the network interfaces (netlink): {error}") from error
        self.present = network_interfaces()
        self._reactor.addReader(self)
        return self.present

    def stop(self) -> None:
        """Watch no more; stopping twice does no harm."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    # IReadDescriptor

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """Name it in the reactor's log."""
        return "InterfaceWatch"

    def connectionLost(self, reason: Failure) -> None:
        """Go on: the kernel reports here as well that it had more to say than there was room for.
        When the reactor stops, the service has been stopped before.
        """
        if self._socket is not None:
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # reported once
            self._reactor.addReader(self)
            self._look_soon()

    def doRead(self) -> None:
        """Throw away what has arrived, and look soon."""
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    self._socket.recv(1 << 16)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:  # some were lost: looking is all the same
                        raise
        self._look_soon()

    def _look_soon(self) -> None:
        if self._waiting is None:
            self._waiting = self._reactor.callLater(_SETTLES, self._look)

    def _look(self) -> None:
        self._waiting = None
        try:
            found = network_interfaces()
        except StartError as error:
            self.log.warn("{error}", error=error)
            return
        if found != self.present:
            self.present = found
            self._changed(found)
