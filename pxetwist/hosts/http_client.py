"""Gets small JSON documents by HTTP: so much and no more, and from nobody but whom it asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from pxetwist.errors import DirectoryUnavailable
from pxetwist.webclient import REDIRECTING, told

_REDIRECTS = 3


@attrs.frozen
class Answer:
    """A status, and the document if the status is 200."""

    status: int
    phrase: str = ""
    document: Any = None


class _Body(Protocol):
    """Collects at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces = bytearray()
        self.whole: Deferred[bytes] = Deferred(lambda _: self._leave())

    def dataReceived(self, data: bytes) -> None:
        """Add a piece; leave if it is too much."""
        self._pieces += data
        if len(self._pieces) > self._limit and not self.whole.called:
            self._leave()
            self.whole.errback(DirectoryUnavailable(f"more than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Have it all, or not."""
        if self.whole.called:
            return
        if isinstance(reason.value, ResponseDone | PotentialDataLoss):
            self.whole.callback(bytes(self._pieces))
        else:
            self.whole.errback(reason)

    def _leave(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


class JsonClient:
    """Asks by GET.

    :param headers: to be sent with every question.
    :param limit: so many bytes may a document have.
    """

    def __init__(self, agent: IAgent, headers: Mapping[str, str], limit: int) -> None:
        self._agent = agent
        self._headers = headers
        self._limit = limit

    async def get(self, url: str) -> Answer:
        """Return the answer; a redirection is followed if it leads to the same server.

        :raises DirectoryUnavailable: if there is none, or it is no JSON.
        """
        try:
            return await self._get(url)
        except DirectoryUnavailable as error:
            raise DirectoryUnavailable(f"{_origin(url)}: {error}") from error
        except Exception as error:  # whatever goes wrong on the wire, there is no answer
            raise DirectoryUnavailable(f"{_origin(url)}: {told(error)}") from error

    async def _get(self, url: str) -> Answer:
        for _ in range(_REDIRECTS + 1):
            response = await self._request(url)
            location = response.headers.getRawHeaders(b"location")
            body = await self._body(response)
            if response.code not in REDIRECTING or not location:
                phrase = response.phrase.decode("latin-1")
                return Answer(response.code, phrase, _json(body, response.code))
            target = urljoin(url, location[0].decode("latin-1"))
            if _origin(target) != _origin(url):
                raise DirectoryUnavailable(f"redirects to {_origin(target)}, which is not asked")
            url = target
        raise DirectoryUnavailable(f"redirects more than {_REDIRECTS} times")

    async def _request(self, url: str) -> IResponse:
        headers = Headers({"Accept": ["application/json"], "User-Agent": ["pxetwist"]})
        for name, value in self._headers.items():
            headers.setRawHeaders(name, [value])
        response: IResponse = await self._agent.request(b"GET", url.encode("ascii"), headers)
        return response

    async def _body(self, response: IResponse) -> bytes:
        body = _Body(self._limit)
        response.deliverBody(body)
        try:
            return await body.whole
        except DirectoryUnavailable:
            if response.code == 200:
                raise
            return b""  # the status says it all


def _json(body: bytes, status: int) -> Any:
    if status != 200:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        start = body[:40].decode("utf-8", "replace")
        raise DirectoryUnavailable(f"the answer is no JSON, it begins {start!r}") from error


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
