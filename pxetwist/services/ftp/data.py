"""The data connections of FTP: one for each transfer, to a port that the client was told."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort, IProtocolFactory
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.protocols import ftp
from twisted.python.failure import Failure

from pxetwist.errors import StartError
from pxetwist.model.content import Listed
from pxetwist.services.pacing import Paced
from pxetwist.services.sockets6 import host_of
from pxetwist.services.tcp import close

#: Takes a TCP port: reactor, factory, address, port.
Listen = Callable[[Any, IProtocolFactory, str, int], IListeningPort]

_ARRIVAL = 10.0  # seconds that a client has to connect to its port
_HALF_YEAR = 15778476.0  # seconds; as `ls` does, older files show their year


class NoData(ftp.FTPCmdError):
    """There is no way for data."""

    errorCode = ftp.CANT_OPEN_DATA_CNX


class Unfit(ftp.FTPCmdError):
    """There is a file, and something is wrong with it on our side."""

    errorCode = ftp.REQ_ACTN_ABRTD_LOCAL_ERR


class DataConnection(Paced, Protocol):
    """Carries one transfer; `octets` counts what was sent of it. It is cut when nothing moves for
    `patience` seconds. `arrived` is called when it is there.
    """

    transport: Any

    def __init__(self, clock: Any, patience: float, arrived: Callable[[], None]) -> None:
        self.arrived = arrived
        self.octets = 0
        self._clock = clock
        self._patience = patience
        self._seen = -1
        self._watch: IDelayedCall | None = None
        self._sending: Deferred[None] | None = None
        self._ending: Deferred[None] | None = None
        self._over = False

    def connectionMade(self) -> None:
        """Begin to watch."""
        self.transport.registerProducer(self, True)
        self._look()
        self.arrived()

    def _look(self) -> None:
        if self._seen == self.octets:
            self.cut()
            return
        self._seen = self.octets
        self._watch = self._clock.callLater(self._patience, self._look)

    async def carry(self, send: Callable[[DataConnection], Coroutine[Any, Any, None]]) -> bool:
        """Let something be sent, up to its end; return whether it was, before the client left."""
        if self._over:
            return False
        sending = self._sending = Deferred.fromCoroutine(send(self))
        try:
            await sending
        except CancelledError:
            if not self._over:
                raise
            return False
        return True

    async def finish(self) -> None:
        """Close it when all is sent."""
        self._ending = Deferred()
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        await self._ending

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop sending, unless all was sent."""
        self._over = True
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        if self._ending is not None and reason.check(ConnectionDone):
            self._ending.callback(None)
        elif self._sending is not None:
            self._sending.cancel()

    def cut(self) -> None:
        """Close it at once."""
        if not self._over:
            self.transport.abortConnection()

    @property
    def channel(self) -> DataConnection:
        """What the bytes of a content are sent on."""
        return self


class DataPort(ServerFactory):
    """A port that takes one connection, from the host that asked for it (RFC 2577 §4)."""

    noisy = False
    port = 0

    def __init__(
        self,
        peer: str,
        counters: Counter[str],
        connect: Callable[[Callable[[], None]], DataConnection],
    ) -> None:
        self._peer = peer
        self._counters = counters
        self._connect = connect
        self._made: DataConnection | None = None
        self._arrived: Deferred[None] = Deferred()
        self._listening: IListeningPort | None = None

    def open(self, listen: Listen, reactor: Any, host: str, ports: Iterable[int]) -> None:
        """Take the first free one of these ports.

        :raises StartError: if none is free.
        """
        for port in ports:
            try:
                self._listening = listen(reactor, self, host, port)
            except StartError:
                continue
            where: Any = self._listening.getHost()
            self.port = where.port
            return
        raise StartError("every port is in use")

    def buildProtocol(self, addr: IAddress | None) -> DataConnection | None:
        """Take the client's connection, and no other."""
        if host_of(addr) != self._peer:
            self._counters["data connections of others"] += 1
            return None
        if self._made is not None:
            return None
        self._made = self._connect(partial(self._arrived.callback, None))
        return self._made

    async def connection(self, clock: Any) -> DataConnection:
        """Return the connection, once there is one; the port is not needed any more then.

        :raises twisted.internet.defer.TimeoutError: if nobody has come.
        """
        try:
            if not self._arrived.called:
                self._arrived.addTimeout(_ARRIVAL, clock)
                await self._arrived
        finally:
            self._stop()
        assert self._made is not None
        return self._made

    def close(self) -> None:
        """Give up port and connection; closing twice does no harm."""
        self._stop()
        if self._made is not None:
            self._made.cut()

    def _stop(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            Deferred.fromCoroutine(close(listening))


def ports_to_try(chosen: range) -> Iterable[int]:
    """Return the ports of a range, from anywhere in it on; without one, any that is free."""
    if not chosen:
        return (0,)
    start = random.randrange(len(chosen))
    return (*chosen[start:], *chosen[:start])


def long_line(listed: Listed, now: float) -> str:
    """Return the line of a file or folder in a listing, as ``ls -l`` would print it."""
    when = time.gmtime(listed.modified)
    recent = 0 <= now - listed.modified < _HALF_YEAR
    date = time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", when)
    kind = "dr-xr-xr-x" if listed.size is None else "-r--r--r--"
    return f"{kind} 1 ftp ftp {listed.size or 0:>12} {date} {listed.name}"


def breaks_lines(name: str) -> bool:
    """Whether a name would pass for more than one line."""
    return any(c in name for c in "\r\n\0")
