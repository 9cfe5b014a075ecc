"""One HTTP connection: requests are taken out of what arrives, and answered in their order.

Whatever a client does costs a bounded amount of memory and of time at a stretch. It is given some
seconds for a whole request, and is not listened to while it takes no answers.
"""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.exchange.http import head_bytes, text_answer
from pxetwist.services.http.exchange import ContentExchange
from pxetwist.services.http.heads import Asked
from pxetwist.services.pacing import Paced
from pxetwist.services.sending import wire_of
from pxetwist.services.sockets6 import host_of
from pxetwist.wire.http1 import HEAD, BadRequest, Body, find_head

#: So long (seconds) a request may take to arrive, from its first byte to its last.
REQUEST_TIME = 20.0
_DEAD = 60_000  # milliseconds until a machine that was switched off counts as gone
_BATCH = 16  # requests that are answered before others have their turn
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHalfCloseableProtocol)
class ContentChannel(Paced, Protocol):
    """One connection from `peer` to the address `local` of ours; over TLS it may come with the
    name of a client's `certificate`. It is the producer of its transport all the time: no further
    request is looked at while the client does not take the answers.
    """

    factory: Any
    transport: Any
    secure = False
    certificate = ""
    peer = local = ""
    #: When it is given up, unless a whole request arrives before.
    deadline = 0.0

    def __init__(self) -> None:
        self.lost = False
        self.last = False  # no request after the present one is answered
        self._data = bytearray()
        self._seen = 0  # so much of it is no whole head
        self._asked: Asked | None = None
        self._body: Body | None = None
        self._exchange: ContentExchange | None = None
        self._looping = False
        self._late = False  # a part of a request is here
        self._closing = False
        self._reading = True
        self._ended = False  # the client sends no more, but may want its answers
        self._direct: socket.socket | None = None  # nothing waits in the transport's buffer

    def connectionMade(self) -> None:
        """Notice sooner than the kernel's quarter of an hour when the machine is gone."""
        self.peer, self.local = (
            host_of(self.transport.getPeer()),
            host_of(self.transport.getHost()),
        )
        wire = wire_of(self.transport)
        if isinstance(wire, tcp.Connection):
            wire.setTcpNoDelay(True)
            wire.setTcpKeepAlive(True)
            handle = wire.getHandle()
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD)
            self._direct = handle if wire is self.transport else None
        self.transport.registerProducer(self, True)
        self.factory.entered(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop working for a client that has left."""
        self.lost = self._closing = True
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()
        self.factory.forget(self)

    def readConnectionLost(self) -> None:
        """Answer what has come, and close: busybox nc says that its input has ended, and waits."""
        self._ended = True
        self._go_on()

    def writeConnectionLost(self) -> None:
        """We never end but both directions."""

    def dataReceived(self, data: bytes) -> None:
        """Take a part of a request, a whole one, or many."""
        if self._closing:
            return
        self._data += data
        self._go_on()

    def _go_on(self) -> None:
        """Answer what has arrived, as far as answers can be sent."""
        self._looping = True
        try:
            answered = 0
            while self._data and self._ready() and answered < _BATCH and self._next():
                answered += 1
        except BadRequest as error:
            self._refuse(error.status)
        finally:
            self._looping = False
        if answered == _BATCH and self._ready() and self._data:
            self.factory.reactor.callLater(0, self._continue)
        elif self._ended and self._ready():
            self.close()
        self._listen(not self._closing and (self._ready() or len(self._data) < HEAD))

    def _continue(self) -> None:
        if self._ready() and not self._looping:
            self._go_on()

    def _ready(self) -> bool:
        return self._exchange is None and self._room is None and not self._closing

    def _next(self) -> bool:
        """Begin to answer the next request, if all of it is here."""
        if self._asked is None and not self._read_head():
            return False
        asked, body = self._asked, self._body
        assert asked is not None
        if body is not None and not body.take(self._data):
            self._await_rest()
            return False
        self._asked = self._body = None
        self._late = False
        exchange = self._exchange = ContentExchange(self, asked, body.kept if body else b"")
        self.last = self.last or not asked.head.keeps
        exchange.begin()
        if self._exchange is not None:
            self.factory.busy(self)
        return True

    def _read_head(self) -> bool:
        self._asked = self.factory.heads.get(self._data)
        if self._asked is not None:
            self._data.clear()
            self._seen = 0
            return True
        end = find_head(self._data, self._seen)
        if not end:
            self._seen = len(self._data)
            if self._data:  # more than empty lines
                self._await_rest()
            return False
        raw = bytes(self._data[:end])
        del self._data[:end]
        self._seen = 0
        self._asked = self.factory.heads.read(raw)
        head = self._asked.head
        self._body = Body(head.length) if head.length else None
        if head.expects and not self._data:
            self.write(_CONTINUE)
        return True

    def _await_rest(self) -> None:
        if not self._late:
            self._late = True
            self.deadline = self.factory.reactor.seconds() + REQUEST_TIME

    def _listen(self, wanted: bool) -> None:
        """Read on, or do not for now: what is sent waits in the kernel, then at the client."""
        if wanted is self._reading or self._ended or self.lost or self._closing:
            return
        self._reading = wanted
        if wanted:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what is no request, and close."""
        self.last = True
        answer = text_answer(status, status.phrase)
        self.factory.counters[str(answer.status)] += 1
        head = head_bytes(answer, self.factory.reactor.seconds(), last=True)
        self.write(head + b"".join(each for each in answer.body if type(each) is bytes))
        self.close()

    # What the exchange does

    def answered(self) -> None:
        """Know that an answer is written as a whole."""
        self._exchange = None
        if self.last:
            self.close()
            return
        self.factory.idle(self)
        if not self._looping:
            self._go_on()

    def write(self, data: bytes) -> None:
        """Write a part of an answer: to the socket itself as long as that takes all, for the way
        through the reactor takes as long as the rest of a small answer.
        """
        direct = self._direct
        if direct is not None:
            try:
                sent = direct.send(data)
            except OSError:  # its buffer is full; what else it may be, the transport finds out
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
            self.use_buffer()
        self.transport.write(data)

    def use_buffer(self) -> None:
        """Write no more but to the transport, which others write to."""
        self._direct = None

    def abort(self) -> None:
        """Cut the connection: any other end might pass for that of the file."""
        self._closing = True
        self.transport.abortConnection()

    def close(self) -> None:
        """Close it when all is sent."""
        if not self._closing:
            self._closing = True
            self._data.clear()
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    # What the factory does

    def finish(self) -> None:
        """Close it after the present answer."""
        self.last = True
        if self._exchange is None:
            self.close()

    def timed_out(self) -> None:
        """Give it up: no request has come, or not all of one."""
        if self._room is not None:
            self.abort()
        elif self._late:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.close()

    def resumeProducing(self) -> None:
        """Go on, with the next request if this one is over."""
        paused = self._room is not None
        super().resumeProducing()
        if paused and self._ready() and not self._looping:
            self._go_on()
