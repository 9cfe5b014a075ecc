"""Ways of the bytes of a content onto a connection; what was sent is counted in the `octets` of
the request, whose `channel` has a `transport`, and tells by `room()` when to go on.
"""

from __future__ import annotations

import os
from typing import Any

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.errors import ContentError
from pxetwist.exchange.http import Span
from pxetwist.interfaces import IContent
from pxetwist.services.blocks import read_exactly

_CHUNK = 1 << 18
_SENDFILE = 1 << 22  # the kernel takes what fits into the socket's buffer
#: So much is encrypted and sent before other connections have their turn, a chunk at a time.
_ENCRYPTED = 4 * _CHUNK
#: TLS adds no more than so many bytes to some, and less than a 64th to many.
_OVERHEAD = 4096


async def send_span(request: Any, content: IContent, span: Span) -> None:
    """Send a span of a content in the quickest way.

    :raises ContentError: if the content is shorter than it was said to be.
    """
    transport, descriptor = request.channel.transport, content.fileno()
    if descriptor is None or not isinstance(wire_of(transport), tcp.Connection):
        await send_content(request, content, span)
        return
    sender = FileSender if wire_of(transport) is transport else SecureFileSender
    offset = content.info.offset
    here = Span(span.start + offset, span.end + offset)
    await sender(request, descriptor, here).start()


def wire_of(transport: Any) -> Any:
    """Return the transport that has the socket: the one below TLS, if there is that."""
    return getattr(transport, "transport", transport)


@implementer(IPullProducer, IWriteDescriptor)
class FileSender:
    """Sends a span of a plain file with sendfile, straight from the page cache.

    The span is one of the file, not of the content in it.

    Takes the place of the channel as the transport's producer until its buffer is empty, that is,
    after the headers. Then the reactor asks it, and not the transport, when the socket has room:
    that would look into its buffer each time, and begin and end to wait for room. The reactor
    knows it by a descriptor of its own for the same socket.
    """

    _descriptor = -1

    def __init__(self, request: Any, descriptor: int, span: Span) -> None:
        self.done: Deferred[None] = Deferred(self._cancelled)
        self._request = request
        self._channel = request.channel
        self._transport = request.channel.transport
        self._wire = wire_of(self._transport)
        self._file = descriptor
        self._offset = span.start
        self._end = span.end
        self._started = False

    def start(self) -> Deferred[None]:
        """Begin; the result comes when all is in the socket's buffer, or on its way there."""
        self._transport.unregisterProducer()
        self._wire.registerProducer(self, False)
        return self.done

    def resumeProducing(self) -> None:
        """Send what the socket takes now."""
        if not self._started:  # asked by registerProducer, before the headers have left
            self._started = True
            self._wire.startWriting()
            return
        try:
            self._go_on()
        except (OSError, ContentError) as error:
            self._wire.unregisterProducer()
            self.done.errback(error)

    def _go_on(self) -> None:
        self._descriptor = os.dup(self._wire.fileno())
        self._give_back()
        self._wire.reactor.addWriter(self)

    def _give_back(self) -> None:
        self._wire.unregisterProducer()
        self._transport.registerProducer(self._channel, True)

    def _sent(self, count: int) -> bool:
        """Count what was sent; return whether that was all."""
        if not count:
            raise ContentError("the content was cut short")
        self._offset += count
        self._request.octets += count
        return self._offset >= self._end

    def stopProducing(self) -> None:
        """Know that the connection is lost; the request is told as well, and cancels."""

    def fileno(self) -> int:
        """Return the descriptor by which the reactor knows it."""
        return self._descriptor

    def doWrite(self) -> None:
        """Send what the socket takes now."""
        count = min(self._end - self._offset, _SENDFILE)
        try:
            whole = self._sent(os.sendfile(self._descriptor, self._file, self._offset, count))
        except BlockingIOError:
            return
        except (OSError, ContentError) as error:
            self._close()
            self.done.errback(error)
            return
        if whole:
            self._close()
            self.done.callback(None)

    def _close(self) -> None:
        descriptor = self._descriptor
        if descriptor >= 0:
            self._wire.reactor.removeWriter(self)
            self._descriptor = -1
            os.close(descriptor)

    def connectionLost(self, reason: Failure) -> None:
        """Know that the connection is lost; the transport may not look at that now."""
        self._close()
        self.done.errback(ConnectionResetError())

    def logPrefix(self) -> str:
        """Return what lines of Twisted's log begin with."""
        return "sendfile"

    def _cancelled(self, done: Deferred[None]) -> None:
        self._close()


class SecureFileSender(FileSender):
    """Does the same over TLS: encrypts large pieces at once, and gives them to the socket itself,
    for each way between them is a copy.
    """

    def start(self) -> Deferred[None]:
        """Begin in the next turn of the reactor: TLS keeps small writes, as that of the headers,
        until then (`twisted.protocols.tls`), and the socket may have room before.
        """
        self._wire.reactor.callLater(0, self._begin)
        return self.done

    def _begin(self) -> None:
        if not self.done.called:
            super().start()

    def _go_on(self) -> None:
        if self._send():
            self._give_back()
            self.done.callback(None)
        else:
            self._wire.startWriting()

    def _send(self) -> bool:
        for _ in range(_ENCRYPTED // _CHUNK):
            data = os.pread(self._file, min(self._end - self._offset, _CHUNK), self._offset)
            if data and not self._give(self._encrypted(data)):
                return self._sent(len(data))
            if self._sent(len(data)):
                return True
        return False

    def _encrypted(self, data: bytes) -> bytes:
        connection = self._transport.getHandle()
        try:
            connection.sendall(data)
            return bytes(connection.bio_read(len(data) + (len(data) >> 6) + _OVERHEAD))
        except SSL.Error as error:  # the client has said that it leaves
            raise ConnectionResetError(str(error)) from error

    def _give(self, data: bytes) -> bool:
        """Give bytes to the socket; return whether it took all. The rest waits in the buffer."""
        try:
            sent = self._wire.getHandle().send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._wire.write(data[sent:])
        return bool(sent == len(data))


async def send_content(request: Any, content: IContent, span: Span) -> None:
    """Send a span of any content, reading on when the connection has room.

    :raises ContentError: if the content is shorter than it was said to be.
    """
    channel = request.channel
    offset = span.start
    while offset < span.end:
        length = min(_CHUNK, span.end - offset)
        data = await read_exactly(content, offset, length)
        channel.transport.write(data)
        offset += length
        request.octets += length
        room = channel.room()
        if room is not None:
            await room
