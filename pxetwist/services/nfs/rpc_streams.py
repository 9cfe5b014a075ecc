"""RPC over TCP: records in, replies out, what is mapped as it is (RFC 5531 §11)."""

from __future__ import annotations

import errno
import socket
from collections import deque
from itertools import islice
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.errors import WireError
from pxetwist.exchange.oncrpc import Pieces, Records
from pxetwist.services.nfs.rpc import Client, RpcServer
from pxetwist.services.sockets6 import host_of
from pxetwist.wire.oncrpc import decode_call, record_mark

#: So many bytes of replies, or calls that wait for an answer, may one connection have; then
#: nothing more is read of it.
_QUEUED, _IN_FLIGHT = 4 << 20, 64
#: So many pieces are handed to the kernel at a time.
_PIECES = 256
#: Milliseconds until a machine that was switched off counts as gone.
_DEAD = 60_000
#: Seconds: a call must be whole, and what never called must begin; others may be idle for long.
_HALF, _SILENT, _IDLE = 30.0, 60.0, 900.0
#: How often that is looked at.
_SWEEP = 5.0


@implementer(IPullProducer)
class RpcConnection(Protocol):
    """One connection. The transport is asked to say when the socket has room, and is given nothing
    to write itself; only one that has no socket, as in tests, is.
    """

    client: Client

    def __init__(self, server: RpcServer, streams: RpcStreams) -> None:
        self._server = server
        self._streams = streams
        self._records = Records()
        self._small: list[bytes] = []  # what the next piece of `_out` will be
        self._out: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._in_flight: set[Deferred[None]] = set()
        self._waiting = False  # for room in the socket
        self._paused = False
        self._socket: Any = None
        self.called = False
        self.last: float = streams.reactor.seconds()

    def connectionMade(self) -> None:
        """Get to know who it is."""
        transport: Any = self.transport
        peer, local = transport.getPeer(), transport.getHost()
        self.client = Client(host_of(peer), peer.port, host_of(local))
        if isinstance(transport, tcp.Connection):
            self._socket = transport.getHandle()
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD)
        self._streams.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go of everything."""
        self._streams.connections.discard(self)
        self._small.clear()
        self._out.clear()
        for each in list(self._in_flight):
            each.addErrback(lambda _: None)
            each.cancel()

    def overdue(self, now: float) -> bool:
        """Whether it has kept silent for too long."""
        silence: float = now - self.last
        if self._records.partial and not self._paused:
            return silence > _HALF
        return silence > (_IDLE if self.called else _SILENT)

    def dataReceived(self, data: bytes) -> None:
        """Take what has come."""
        self.last = self._streams.reactor.seconds()
        self._records.feed(data)
        self._work()

    def _work(self) -> None:
        """Answer calls, as long as the answers find room."""
        try:
            while not self._full():
                record = self._records.next()
                if record is None:
                    break
                call = decode_call(record)
                self.called = True
                later = self._server.answer(call, self.client, self._reply)
                if later is not None and not later.called:
                    self._in_flight.add(later)
                    later.addBoth(self._done, later)
        except WireError as error:
            self._server.counters[f"connections cut: {error.sort}"] += 1
            self.abort()
            return
        self._flush()
        self._regulate()

    def _full(self) -> bool:
        return self._queued > _QUEUED or len(self._in_flight) >= _IN_FLIGHT

    def _done(self, result: object, done: Deferred[None]) -> None:
        self._in_flight.discard(done)
        if self in self._streams.connections:
            self._work()

    def _regulate(self) -> None:
        """Read nothing more while there is too much to do."""
        transport: Any = self.transport
        full = self._full()
        if full and not self._paused:
            transport.pauseProducing()
        elif self._paused and not full:
            transport.resumeProducing()
        self._paused = full

    def _reply(self, pieces: Pieces) -> None:
        """Queue a reply: what is mapped as it is, all else joined to what stands before it."""
        small = self._small
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        small.append(record_mark(size))
        self._queued += 4 + size
        for piece in pieces:
            if isinstance(piece, memoryview):
                self._out.append(b"".join(small))
                self._out.append(piece)
                small.clear()
            elif piece:
                small.append(piece)

    # Sending

    def _flush(self) -> None:
        """Send what is there, as far as the socket takes it."""
        if self._small:
            self._out.append(b"".join(self._small))
            self._small.clear()
        if self._waiting or not self._out:
            return
        transport: Any = self.transport
        if self._socket is None:
            transport.write(b"".join(self._out))
            self._out.clear()
            self._queued = 0
        elif self._send():
            transport.registerProducer(self, False)
            self._waiting = True

    def _send(self) -> bool:
        """Send; return whether something is left for when the socket has room."""
        out = self._out
        try:
            while out:
                # Measured: a lone reply is quicker in two messages, for what is mapped is copied
                # quicker if nothing else is with it; several replies are quicker in one.
                if len(out) > 2:
                    pieces = list(islice(out, _PIECES))
                    more = socket.MSG_MORE if len(pieces) < len(out) else 0
                    size, count = sum(map(len, pieces)), self._socket.sendmsg(pieces, (), more)
                else:
                    more = socket.MSG_MORE if len(out) > 1 else 0
                    size, count = len(out[0]), self._socket.send(out[0], more)
                self._sent(count)
                if count < size:
                    return True
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno == errno.EFAULT:
                self._server.counters["files cut short while they were read"] += 1
            out.clear()
            self.abort()
        return False

    def _sent(self, count: int) -> None:
        out = self._out
        self._queued -= count
        while count:
            first = out[0]
            if len(first) > count:
                out[0] = memoryview(first)[count:]
                return
            count -= len(first)
            out.popleft()

    def resumeProducing(self) -> None:
        """Go on: the socket has room; but when this is registered, it has none yet."""
        transport: Any = self.transport
        if not self._waiting or self._send():
            transport.startWriting()
            return
        self._waiting = False
        transport.unregisterProducer()
        if self._paused:
            self._work()

    def stopProducing(self) -> None:
        """Know that the connection is lost; `connectionLost` comes as well."""

    def abort(self) -> None:
        """Cut the connection."""
        transport: Any = self.transport
        transport.abortConnection()


class RpcStreams(ServerFactory):
    """Makes connections, so many of all and of one peer, and cuts those that say nothing."""

    noisy = False

    def __init__(self, server: RpcServer, reactor: Any, most: int, most_of_one: int) -> None:
        self._server = server
        self.reactor = reactor
        self._most, self._most_of_one = most, most_of_one
        self.connections: set[RpcConnection] = set()
        self._sweep: Any = None

    def buildProtocol(self, addr: Any) -> RpcConnection | None:
        """Take a connection, unless there are too many."""
        host = host_of(addr)
        same = sum(each.client.address == host for each in self.connections)
        full = len(self.connections) >= self._most and not self._make_room()
        if full or same >= self._most_of_one:
            self._server.counters["too many connections"] += 1
            return None
        return RpcConnection(self._server, self)

    def _make_room(self) -> bool:
        """Cut the oldest connection on which nobody ever called, if there is one."""
        silent = [each for each in self.connections if not each.called]
        if not silent:
            return False
        min(silent, key=lambda each: each.last).abort()
        self._server.counters["silent connections"] += 1
        return True

    def opened(self, connection: RpcConnection) -> None:
        """Keep a connection in sight."""
        self.connections.add(connection)
        if self._sweep is None:
            self._sweep = self.reactor.callLater(_SWEEP, self._look)

    def _look(self) -> None:
        self._sweep = None
        now = self.reactor.seconds()
        for each in [each for each in self.connections if each.overdue(now)]:
            self._server.counters["silent connections"] += 1
            each.abort()
        if self.connections:
            self._sweep = self.reactor.callLater(_SWEEP, self._look)

    def stop(self) -> None:
        """Cut everything: clients come again."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for each in list(self.connections):
            each.abort()
