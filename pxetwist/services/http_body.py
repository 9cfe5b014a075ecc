"""Ways of the bytes of a content onto a connection; what was sent is counted in the `octets` of
the request, whose `channel` has a `transport`, and tells by `room()` when to go on.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

from pxetwist.errors import ContentError
from pxetwist.exchange.http import Span
from pxetwist.interfaces import IContent
from pxetwist.services.blocks import read_exactly

_CHUNK = 1 << 18
_SENDFILE = 1 << 22  # the kernel takes what fits into the socket's buffer


def sendfile_source(transport: object, content: IContent) -> int | None:
    """Return the descriptor that the kernel can send from: of a plain file, without TLS."""
    plain = isinstance(transport, tcp.Connection) and not transport.TLS
    return content.fileno() if plain else None


async def send_span(request: Any, content: IContent, span: Span) -> None:
    """Send a span of a content in the quickest way.

    :raises ContentError: if the content is shorter than it was said to be.
    """
    source = sendfile_source(request.channel.transport, content)
    if source is not None:
        offset = content.info.offset
        here = Span(span.start + offset, span.end + offset)
        await FileSender(request, source, here).start()
    else:
        await send_content(request, content, span)


@implementer(IPullProducer)
class FileSender:
    """Sends a span of a plain file with sendfile, straight from the page cache.

    The span is one of the file, not of the content in it.

    Takes the place of the channel as the transport's producer, and gives it back. The
    transport asks for more whenever its own buffer is empty, that is, after the headers.
    """

    def __init__(self, request: Any, descriptor: int, span: Span) -> None:
        self.done: Deferred[None] = Deferred()
        self._request = request
        self._channel = request.channel
        self._transport = request.channel.transport
        self._file = descriptor
        self._offset = span.start
        self._end = span.end
        self._started = False

    def start(self) -> Deferred[None]:
        """Begin; the result comes when all is in the socket's buffer."""
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, False)
        return self.done

    def resumeProducing(self) -> None:
        """Send what the socket takes now."""
        if not self._started:  # asked by registerProducer, before the headers have left
            self._started = True
            self._transport.startWriting()
            return
        count = min(self._end - self._offset, _SENDFILE)
        try:
            sent = os.sendfile(self._transport.fileno(), self._file, self._offset, count)
        except BlockingIOError:
            self._transport.startWriting()
            return
        except OSError as error:
            self._end_with(error)
            return
        if not sent:
            self._end_with(ContentError("the content was cut short"))
            return
        self._offset += sent
        self._request.octets += sent
        if self._offset < self._end:
            self._transport.startWriting()
        else:
            self._transport.unregisterProducer()
            self._transport.registerProducer(self._channel, True)
            self.done.callback(None)

    def _end_with(self, error: Exception) -> None:
        self._transport.unregisterProducer()
        self.done.errback(error)

    def stopProducing(self) -> None:
        """Know that the connection is lost; the request is told as well, and cancels."""


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
