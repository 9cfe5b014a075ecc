"""Knows at once when an interface comes, goes, or changes its addresses (rtnetlink(7))."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from pxetwist.errors import StartError
from pxetwist.services.interfaces import NetworkInterface, network_interfaces
from pxetwist.services.reading import SocketReader
from pxetwist.wire import rtnetlink

#: Changes come in groups (up, then an address, then another one); they are told together.
_SETTLES = 0.02

Changed = Callable[[Sequence[NetworkInterface]], None]


class IInterfaceWatch(Protocol):
    """The surface of :class:`InterfaceWatch`, for tests. `present` are the interfaces."""

    present: Sequence[NetworkInterface]

    def start(self) -> None:
        """Begin; `present` is right from now on."""

    def stop(self) -> None:
        """Watch no more."""


class WatchFactory(Protocol):
    """Makes the watch of a service."""

    def __call__(self, reactor: Any, changed: Changed) -> IInterfaceWatch:
        """Return a watch that is not started; `changed` is given all interfaces each time."""


class InterfaceWatch(SocketReader):
    """Calls `changed` with all interfaces each time when one of them is not as it was.

    What the kernel sends is only a hint: everything is read again then, so that nothing that was
    missed can last.
    """

    def __init__(self, reactor: Any, changed: Changed) -> None:
        super().__init__(reactor)
        self._changed = changed
        self.present: Sequence[NetworkInterface] = ()
        self._waiting: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to watch; `present` is right from now on.

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
        super().start()

    def stop(self) -> None:
        """Watch no more; stopping twice does no harm."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        super().stop()

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
        super().doRead()
        self._look_soon()

    def _read(self, opened: socket.socket) -> None:
        """Throw it away; that some were lost (ENOBUFS) is all the same to who looks."""
        opened.recv(1 << 16)

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
