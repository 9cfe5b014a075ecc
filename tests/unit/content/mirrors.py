"""A mirror without a network: an agent that answers by itself, or piece by piece."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse
from zope.interface import implementer

URL = "https://mirror.test/debian"


class _Transport:
    """Notes that the client has left."""

    left = False

    def loseConnection(self) -> None:
        self.left = True


@implementer(IResponse)
@attrs.define(eq=False)
class Response:
    """An answer; a `slow` one has its body delivered by :meth:`deliver` and :meth:`finish`."""

    code: int = 200
    headers: Headers = attrs.field(factory=Headers)
    body: bytes = b""
    length: Any = None
    slow: bool = False
    version: Any = (b"HTTP", 1, 1)
    phrase: bytes = b"Said"
    request: Any = None
    previousResponse: Any = None
    protocol: Any = None
    transport: _Transport = attrs.field(factory=_Transport)

    def __attrs_post_init__(self) -> None:
        if self.length is None:
            self.length = len(self.body)

    def deliverBody(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.makeConnection(self.transport)
        if not self.slow:
            self.deliver(self.body)
            self.finish()

    def deliver(self, data: bytes) -> None:
        if data:
            self.protocol.dataReceived(data)

    def finish(self, error: Exception | None = None) -> None:
        self.protocol.connectionLost(Failure(error or ResponseDone()))

    def break_off(self) -> None:
        self.finish(ConnectionDone())

    def setPreviousResponse(self, response: Any) -> None:
        self.previousResponse = response


@implementer(IAgent)
class Mirror:
    """Has `files` below `URL`; `answers` go first, by URL. It may be `away`. Notes `asked`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Response] = {}
        self.away = False
        self.silent = False
        self.asked: list[str] = []

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[IResponse]:
        url = uri.decode()
        self.asked.append(url)
        if self.away:
            return fail(ConnectionRefusedError())
        if self.silent:
            return Deferred()
        if url in self.answers:
            return succeed(self.answers[url])
        data = self.files.get(unquote(url.removeprefix(f"{URL}/")))
        if data is None:
            return succeed(Response(404, body=b"none"))
        etag = f'"{hashlib.sha256(data).hexdigest()[:8]}"'
        if headers.getRawHeaders("If-None-Match") == [etag]:
            return succeed(Response(304))
        return succeed(Response(200, tagged(etag), data))


def tagged(etag: str) -> Headers:
    """Return the headers of a file."""
    return Headers({"ETag": [etag], "Last-Modified": ["Fri, 01 Mar 2024 10:00:00 GMT"]})


def endless(data: bytes) -> Response:
    """Return an answer without a length."""
    return Response(200, body=data, length=UNKNOWN_LENGTH)
