"""The root of all services: starts them in order, stops them in reverse, reloads on SIGHUP."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from functools import partial
from inspect import iscoroutine
from types import FrameType
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from pxetwist.config.bind import bug
from pxetwist.errors import Location, PxeError, StartError
from pxetwist.interfaces import IBootService

#: So long (seconds) one instance may take to stop; others, which store leases, stop after it.
_PATIENCE = 20.0

_log = Logger(namespace="pxetwist")


def spelled(address: IAddress) -> str:
    """Return an address as people write it: ``udp 10.0.0.1:69``."""
    if isinstance(address, IPv4Address):
        return f"{address.type.lower()} {address.host or '*'}:{address.port}"
    if isinstance(address, IPv6Address):
        return f"{address.type.lower()} [{address.host}]:{address.port}"
    return str(address)


class Server(MultiService):
    """Holds the instances that can be started.

    `reloads` are called, one after the other, when the process gets SIGHUP; `greet` when
    everything was started; the lines of `status` are logged at SIGUSR2. `logs_failure`: a start
    that fails is logged, beside the line on stderr that it ends with.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._titles: dict[IService, str] = {}
        self._places: dict[IService, Location] = {}
        self._former: dict[int, Any] = {}
        self.reloads: Sequence[tuple[str, Callable[[], None]]] = ()
        self.greet: Callable[[], None] = lambda: None
        self.status: Callable[[], Sequence[str]] = list
        self.logs_failure = True

    def add(self, child: IService, title: str, location: Location) -> None:
        """Add an instance, with the section that it comes from."""
        self._titles[child], self._places[child] = f"[{title}]", location
        child.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Bind the ports.

        :raises StartError: in one line, naming the section, if one cannot be bound.
        """
        for child in self:
            self._attempt(child, child.privilegedStartService)

    def startService(self) -> None:
        """Start everything, in order.

        :raises StartError: in one line, naming the section, if something cannot be started.
        """
        Service.startService(self)
        for child in self:
            self._attempt(child, child.startService)
        self._former = {
            number: signal.signal(number, self._signalled)
            for number in (signal.SIGHUP, signal.SIGUSR2)
        }
        for child in self:
            if IBootService.providedBy(child):
                self._attempt(child, partial(self._tell_listening, child))
        self.greet()

    def _attempt(self, child: IService, start: Callable[[], object]) -> None:
        try:
            if iscoroutine(begun := start()):
                begun.close()
                raise StartError("startService must not be async: nobody awaits it")
        except Exception as error:
            expected = isinstance(error, PxeError | CannotListenError | OSError)
            what = str(error) if expected else bug(error, type(child).__module__)
            message = f"{self._places[child]}: {self._titles[child]} {what}"
            if self.logs_failure:
                _log.critical("{message}", message=message)
            raise StartError(message) from error

    def _tell_listening(self, child: IBootService) -> None:
        where = ", ".join(map(spelled, child.listening())) or "nothing"
        _log.info("{name} listens on {where}", name=self._titles[child], where=where)

    def stopService(self) -> Deferred[None]:
        """Stop everything, in reverse; each waits for the one before."""
        Service.stopService(self)
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former = {}
        return Deferred.fromCoroutine(self._stop_children())

    async def _stop_children(self) -> None:
        for child in reversed(list(self)):
            try:
                await maybeDeferred(child.stopService).addTimeout(_PATIENCE, self._reactor)
            except TimeoutError:
                name = self._titles[child]
                _log.error("{name} does not stop: {s:.0f} s are over", name=name, s=_PATIENCE)
            except Exception:
                _log.failure("stopping {name}", name=self._titles[child])

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        work = self.reload if number == signal.SIGHUP else self._log_status
        self._reactor.callFromThread(work)

    def _log_status(self) -> None:
        for line in self.status():
            _log.info("{line}", line=line)

    def reload(self) -> None:
        """Let every instance that can read its data again."""
        _log.info("reading data again")
        for title, reload in self.reloads:
            try:
                reload()
            except Exception:
                _log.failure("[{title}] reload", title=title)
