"""A web server that has files: asked by GET, believed only as far as it can be trusted."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from pxetwist.errors import PxeError
from pxetwist.model.content import ContentPath
from pxetwist.webclient import REDIRECTING, told

_REDIRECTS = 5


class MirrorError(PxeError):
    """The mirror could not be asked, or its answer is of no use."""


class MirrorAway(MirrorError):
    """There was no answer at all."""


@attrs.frozen
class Mirror:
    """Files below a URL.

    :param elsewhere: hosts (``NAME`` or ``NAME:PORT``) to which it may redirect.
    :param patience: seconds for an answer to begin, and for each next piece of it to come.
    """

    agent: IAgent
    reactor: Any
    url: str
    elsewhere: Collection[str] = ()
    patience: float = 10.0

    def url_of(self, path: ContentPath) -> str:
        """Return where a file is."""
        parts = (quote(os.fsencode(part), safe="~+:@,=") for part in path.parts)
        return f"{self.url.rstrip('/')}/{'/'.join(parts)}"

    async def get(self, path: ContentPath, conditions: Mapping[str, str]) -> IResponse:
        """Return an answer whose body is still to be taken, by :meth:`take` or :meth:`leave`.

        :raises MirrorError: if there is none, or it leads to where it must not.
        """
        url = self.url_of(path)
        for _ in range(_REDIRECTS + 1):
            response = await self._ask(url, conditions)
            location = response.headers.getRawHeaders(b"location")
            if response.code not in REDIRECTING or not location:
                return response
            self.leave(response)
            url = self._led_to(url, location[0])
        raise MirrorError(f"redirects more than {_REDIRECTS} times")

    async def _ask(self, url: str, conditions: Mapping[str, str]) -> IResponse:
        headers = Headers({"User-Agent": ["pxetwist"], "Accept-Encoding": ["identity"]})
        for name, value in conditions.items():
            headers.setRawHeaders(name, [value])
        try:
            asking: Deferred[IResponse] = self.agent.request(b"GET", url.encode("ascii"), headers)
            asking.addTimeout(self.patience, self.reactor, _no_answer)
            return await asking
        except (MirrorError, CancelledError):
            raise
        except Exception as error:  # whatever goes wrong on the wire, there is no answer
            raise MirrorAway(told(error)) from error

    def _led_to(self, url: str, location: bytes) -> str:
        """Return where a redirection leads.

        :raises MirrorError: if that is no URL, or must not be asked.
        """
        try:
            target = urljoin(url, location.decode("ascii"))
            parts = urlsplit(target)
        except ValueError:
            raise MirrorError("redirects to what is no URL") from None
        if not target.isprintable() or " " in target:
            raise MirrorError("redirects to what is no URL")
        if not self._may_lead_to(parts):
            where = f"{parts.scheme}://{parts.netloc}"
            raise MirrorError(f"redirects to {where}, which is not allowed")
        return target

    def _may_lead_to(self, there: SplitResult) -> bool:
        here = urlsplit(self.url)
        if there.scheme not in ("https", here.scheme) or "@" in there.netloc:
            return False  # from HTTPS to HTTP: anybody could answer there
        return there.netloc.lower() in (here.netloc.lower(), *map(str.lower, self.elsewhere))

    async def take(self, response: IResponse, write: Callable[[bytes], None]) -> None:
        """Take a body to its end, piece by piece; `write` may raise, which ends it.

        :raises MirrorError: if it breaks off.
        """
        body = _Body(write, self.reactor, self.patience)
        response.deliverBody(body)
        await body.over

    def leave(self, response: IResponse) -> None:
        """Take nothing."""
        body = _Body(_refuse, self.reactor, self.patience)
        body.over.addErrback(lambda failure: None)
        response.deliverBody(body)


def _no_answer(result: object, seconds: float) -> object:
    raise MirrorAway(f"no answer within {seconds:g} s")


def _refuse(data: bytes) -> None:
    raise MirrorError("nobody wants it")


class _Body(Protocol):
    """Hands on each piece, and notices when no more come."""

    def __init__(self, write: Callable[[bytes], None], reactor: Any, patience: float) -> None:
        self.over: Deferred[None] = Deferred(lambda _: self._leave())
        self._write = write
        self._patience = patience
        self._timer = reactor.callLater(patience, self._stalled)

    def dataReceived(self, data: bytes) -> None:
        """Hand on a piece."""
        if self.over.called:
            return
        self._timer.reset(self._patience)
        try:
            self._write(data)
        except Exception as error:
            self._end(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Have it all, or not; without a length nobody could tell."""
        if self.over.called:
            return
        if reason.check(ResponseDone) is not None:
            self._timer.cancel()
            self.over.callback(None)
        elif reason.check(PotentialDataLoss) is not None:
            self._end(MirrorError("it has no Content-Length: nobody can tell if this is all"))
        else:
            assert reason.value is not None
            self._end(MirrorError(f"it broke off: {told(reason.value)}"))

    def _stalled(self) -> None:
        self._end(MirrorError(f"nothing came for {self._patience:g} s"))

    def _end(self, error: Exception) -> None:
        self._leave()
        self.over.errback(error)

    def _leave(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
