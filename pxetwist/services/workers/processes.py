"""Processes that serve contents, beside the one that answers DHCP, for machines with more cores.

Every port is taken once for each of them, before the rights for it are given up. The sockets stay
open here: a worker that is started in the place of another one goes on with its socket, and the
kernel gives each client to the same one as before.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from signal import SIGHUP, SIGKILL, SIGTERM, SIGUSR2
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IAddress, IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from pxetwist.errors import StartError
from pxetwist.interfaces import ISharesPorts, Port
from pxetwist.model.event import BootEvent
from pxetwist.model.health import in_words
from pxetwist.services.listening import bound_together, spoken_of
from pxetwist.services.workers.duty import Duty
from pxetwist.services.workers.feed import FEED, Pieces

#: A worker that lived shorter than this (seconds) is replaced later each time.
_LONG = 60.0
_SHORTEST, _LONGEST = 0.5, 30.0
#: How long (seconds) one that is to end may take: its transfers get some of that.
_PATIENCE = 10.0
#: How long (seconds) to wait for the counters of all.
_COUNTED_WITHIN = 2.0
#: The number of a worker's first socket: those before are its pipes.
_FIRST = 10

_log = Logger(namespace="pxetwist")


class Worker(ProcessProtocol):
    """One process after the other, with the same number and sockets."""

    def __init__(self, number: int, workers: Workers) -> None:
        self.number = number
        self.sockets: dict[Port, socket.socket] = {}
        self.ready = False
        self.starts = 0
        self._workers = workers
        self._process: IProcessTransport | None = None
        self._pieces = Pieces()
        self._began = 0.0
        self._pause = 0.0
        self._waiting: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._reload = False

    @property
    def pid(self) -> int | None:
        """The id of its process, while there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start a process."""
        self._waiting, self._pieces, self.ready = None, Pieces(), False
        self._began = self._workers.reactor.seconds()
        self.starts += 1
        descriptors = dict(enumerate(self.sockets, _FIRST))
        pipes: dict[int, Any] = {0: "w", 1: "r", 2: "r", FEED: "r"}
        inherited = {number: self.sockets[port].fileno() for number, port in descriptors.items()}
        command = self._workers.command(self.number)
        self._process = self._workers.reactor.spawnProcess(
            self, command[0], command, env=os.environ, childFDs=pipes | inherited
        )
        duty = Duty(
            self.number,
            tuple(self._workers.services),
            {port: number for number, port in descriptors.items()},
            self._workers.texts,
            os.getpid(),
            self._workers.key,
        )
        self._process.writeToChild(0, duty.written())

    def stop(self) -> Deferred[None]:
        """Let it end; fires when it has."""
        ended = self._ended = Deferred[None]()
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._process is None:
            ended.callback(None)
        else:
            self.signal(SIGTERM)
            insists = self._workers.reactor.callLater(_PATIENCE, self.signal, SIGKILL)
            ended.addBoth(lambda _: insists.cancel() if insists.active() else None)
        return ended

    def signal(self, number: int) -> None:
        """Send a signal to its process."""
        if self._process is not None:
            self._process.signalProcess(int(number))

    def reload(self) -> None:
        """Let it read its data again, as soon as it can."""
        if self.ready:
            self.signal(SIGHUP)
        else:
            self._reload = True

    def status(self) -> str:
        """Say in words how it is."""
        again = f", replaced {self.starts - 1} times" if self.starts > 1 else ""
        if self._process is None:
            return f"worker {self.number} has ended, another one follows{again}"
        state = "serves" if self.ready else "starts"
        return f"worker {self.number} {state} (process {self.pid}{again})"

    # ProcessProtocol

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take what it tells; what it prints is no value, and yet somebody may want to know."""
        if childFD != FEED:
            for line in data.decode("utf-8", "replace").splitlines():
                _log.warn("worker {number}: {line}", number=self.number, line=line)
            return
        try:
            for kind, values in self._pieces.add(data):
                self._told(kind, values)
        except ValueError as error:
            _log.error("worker {n} tells nonsense: {error}", n=self.number, error=error)
            self.signal(SIGKILL)

    def _told(self, kind: str, values: tuple[Any, ...]) -> None:
        match kind:
            case "log":
                namespace, level, text = values
                log = Logger(namespace=f"worker {self.number} {namespace}")
                log.emit(LogLevel.levelWithName(level), "{text}", text=text)
            case "event":
                event: BootEvent = values[0]
                details = {**event.details, "worker": self.number}
                self._workers.tell(attrs.evolve(event, details=details))
            case "counts":
                self._workers.counted(self, values[0])
            case "ready":
                self.ready = True
                if self._reload:
                    self._reload = False
                    self.reload()

    def processEnded(self, reason: Failure) -> None:
        """Start another one, sooner or later."""
        self._process, self.ready = None, False
        if self._ended is not None:
            self._ended.callback(None)
            return
        lived = self._workers.reactor.seconds() - self._began
        pause = self._pause
        if lived >= _LONG:
            pause = self._pause = 0.0
        self._pause = min(max(self._pause * 2, _SHORTEST), _LONGEST)
        _log.error(
            "worker {number} has ended ({reason}); another one starts{when}",
            number=self.number,
            reason=_ending(reason),
            when=f" in {pause:g} s" if pause else "",
        )
        self._waiting = self._workers.reactor.callLater(pause, self.start)


def _ending(reason: Failure) -> str:
    ended: Any = reason.value
    return f"signal {ended.signal}" if ended.signal else f"code {ended.exitCode}"


class Workers(Service):
    """Runs `count` workers, each with these `services`, whose `texts` are the INI's, and the
    `key` (hexadecimal) of what they note.

    `command` returns how one is started by its number, `tell` is told the events of machines, and
    `prepare` makes what all of them need, before the first one starts.
    """

    def __init__(
        self,
        reactor: Any,
        count: int,
        services: Mapping[str, ISharesPorts],
        *,
        texts: Mapping[str, str],
        key: str,
        tell: Callable[[BootEvent], None],
        prepare: Callable[[], object],
    ) -> None:
        self.reactor = reactor
        self.services = services
        self.texts = texts
        self.key = key
        self.tell = tell
        self.command: Callable[[int], Sequence[str]] = lambda number: ()
        self._prepare = prepare
        self._workers = [Worker(number, self) for number in range(1, count + 1)]
        self._places: dict[str, list[IAddress]] = {name: [] for name in services}
        self._counting: IDelayedCall | None = None
        self._uncounted: set[int] = set()
        self._counts: dict[str, Counter[str]] = {}

    def listening(self, service: str) -> Sequence[IAddress]:
        """Return the addresses of a service that they run."""
        return self._places.get(service, ())

    def privilegedStartService(self) -> None:
        """Take the ports, while there are the rights for it.

        :raises StartError: if one cannot be taken.
        """
        super().privilegedStartService()
        for name, service in self.services.items():
            for port in service.ports():
                try:
                    bound = bound_together(port, len(self._workers), self.reactor)
                except StartError as error:
                    raise StartError(f"[service:{name}] {error}") from None
                for worker, each in zip(self._workers, bound, strict=True):
                    worker.sockets[port] = each
                self._places[name].append(spoken_of(bound[0]))

    def startService(self) -> None:
        """Start the processes."""
        super().startService()
        if not any(self._places.values()):
            self.privilegedStartService()
        self._prepare()
        names = ", ".join(self.services)
        _log.info("{count} workers serve {names}", count=len(self._workers), names=names)
        for worker in self._workers:
            worker.start()

    def stopService(self) -> Deferred[None]:
        """End them, and close the ports."""
        super().stopService()
        if self._counting is not None:
            self._counting.cancel()
            self._counting = None
        return DeferredList([each.stop() for each in self._workers]).addBoth(self._close)

    def _close(self, result: object) -> None:
        for worker in self._workers:
            for bound in worker.sockets.values():
                bound.close()
            worker.sockets.clear()
        for places in self._places.values():
            places.clear()

    def reload(self) -> None:
        """Let all read their data again."""
        for worker in self._workers:
            worker.reload()

    def status(self) -> list[str]:
        """Say how each is; ask them to log how they are, and to tell what they have counted."""
        ready = [each for each in self._workers if each.ready]
        self._uncounted, self._counts = {each.number for each in ready}, {}
        for worker in ready:
            worker.signal(SIGUSR2)
        if self._counting is None:
            self._counting = self.reactor.callLater(_COUNTED_WITHIN, self._log_counts)
        return [worker.status() for worker in self._workers]

    def counted(self, worker: Worker, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add the counters of a worker, by service; log the sums when all are there."""
        if worker.number not in self._uncounted:
            return
        self._uncounted.remove(worker.number)
        for name, counters in counts.items():
            self._counts.setdefault(name, Counter()).update(counters)
        if not self._uncounted and self._counting is not None:
            self._counting.cancel()
            self._log_counts()

    def _log_counts(self) -> None:
        self._counting = None
        missing = f", {len(self._uncounted)} did not answer" if self._uncounted else ""
        for name, counters in self._counts.items():
            _log.info(
                "{name} of all workers{missing}: {counted}",
                name=name,
                missing=missing,
                counted=in_words(counters),
            )
