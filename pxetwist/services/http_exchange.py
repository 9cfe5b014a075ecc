"""One HTTP request and its answer."""

from __future__ import annotations

import secrets
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers

from pxetwist.errors import ContentError, LoginNeeded, PolicyError, StateUnavailable
from pxetwist.exchange.http import Answer, Span, answer, basic_login, text_answer
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest, Endpoints, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.redemption import AnswerQuestion, Redemption
from pxetwist.services import requests
from pxetwist.services.blocks import read_exactly
from pxetwist.services.http_admission import HttpAdmission
from pxetwist.services.http_answers import asked_for, judged, whole_answer
from pxetwist.services.http_body import ContentSender, FileSender, sendfile_source
from pxetwist.services.http_callback import LATER, Beginning, Said, report_answer
from pxetwist.services.http_delivery import Delivery
from pxetwist.services.http_target import BadTarget, Target, identify
from pxetwist.services.sockets6 import host_of

_NOT_FOUND = text_answer(404, "Not found")
_BAD_REQUEST = text_answer(400, "Bad request")
_NOT_ALLOWED = text_answer(405, "Only GET and HEAD", ("Allow", "GET, HEAD"))
_LOGIN = text_answer(401, "Login needed", ("WWW-Authenticate", 'Basic realm="boot menu"'))
_BROKEN = text_answer(500, "Internal trouble")


class ContentExchange(http.Request):
    """One request; made by twisted.web's channel, whose factory knows the site.

    `octets` counts what was sent of the content.
    """

    octets = 0
    content: Beginning
    _site: Site
    _counters: Counter[str]
    _work: Deferred[None] | None = None

    def gotLength(self, length: int | None) -> None:
        """Make ready for a body, however long it says to be."""
        self.content = Beginning()

    def process(self) -> None:
        """Begin to answer."""
        factory: Any = self.channel.factory
        self._site, self._counters = factory.site, factory.counters
        self._work = Deferred.fromCoroutine(self._answer())
        self._work.addErrback(self._failed)

    def connectionLost(self, reason: Failure) -> None:
        """Stop working for a client that has left."""
        if self._work is not None:
            self._work.cancel()
        super().connectionLost(reason)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is not None:
            return
        if failure.check(ContentError, OSError) is None:
            self._site.log.failure("An HTTP request failed", failure)
        elif failure.check(ConnectionError) is None:  # that is the client's, and was told
            self._site.log.warn("An answer broke off: {error}", error=failure.value)
        if self._disconnected:
            return
        if self.startedWriting:
            self._abort()
        else:
            self._short(_BROKEN)

    def _abort(self) -> None:
        """Cut the connection: any other end might pass for that of the file."""
        transport: Any = self.channel.transport
        transport.abortConnection()

    async def _answer(self) -> None:
        try:
            target = Target.parse(self.uri)
        except BadTarget:
            self._short(_BAD_REQUEST)
            return
        except ValueError:
            self._short(_NOT_FOUND)
            return
        report = await report_answer(self._site, target, self._said())
        if report is not None:
            self._short(report)
            return
        if self.method not in (b"GET", b"HEAD"):
            self._short(_NOT_ALLOWED)
            return
        question = self._question(target)
        if question is not None:
            await self._answer_file(question)
            return
        request = await self._resolve(target)
        if request is None:
            self._short(_NOT_FOUND)
            return
        try:
            content = await self._site.boot.open(target.path, request)
        except LoginNeeded:
            self._short(_LOGIN)
            return
        except ContentError:
            self._short(_NOT_FOUND)
            requests.tell_missing(self._site, request)
            return
        except PolicyError as error:
            self._short(_BROKEN)
            requests.tell_failed(self._site, request, error)
            return
        try:
            await self._send_in_turn(content, request)
        finally:
            content.close()

    async def _send_in_turn(self, content: IContent, request: BootRequest) -> None:
        size = content.info.size if self.method == b"GET" else 0
        who, agent = host_of(self.channel.getPeer()), self._header("User-Agent") or ""
        admission: HttpAdmission = self.channel.factory.admission
        with admission.turn(who, agent, size, self._site.reactor.seconds()) as wait:
            if wait:
                self._short(text_answer(503, "Try again", ("Retry-After", str(wait))))
            else:
                await self._send(content, request)

    def _question(self, target: Target) -> AnswerQuestion | None:
        local, peer = host_of(self.channel.getHost()), host_of(self.channel.getPeer())
        nobody = ClientIdentity()
        request = requests.content_request(
            self._site, Protocol.HTTP, target.path, identity=nobody, boot_id="", local=local
        )
        channel: Any = self.channel
        return asked_for(target, peer, attrs.evolve(request, secure=channel.secure))

    async def _answer_file(self, question: AnswerQuestion) -> None:
        """Give an answer file to who may have it."""
        if self.method == b"HEAD":  # to look is not to redeem
            self._short(_NOT_FOUND)
            return
        try:
            redemption = await judged(self._site, question, self._counters)
        except StateUnavailable as error:
            self._site.log.error("no answer is given: {error}", error=error)
            self._short(LATER)
            return
        if redemption is None:
            self._short(_NOT_FOUND)
            return
        whole = False
        try:
            whole = await self._give(redemption)
        finally:
            settled = self._site.boot.settle_answer(redemption, whole=whole)
            Deferred.fromCoroutine(settled).addErrback(self._failed)

    async def _give(self, redemption: Redemption) -> bool:
        """Send a file, and return whether all of it has arrived."""
        request, reactor = redemption.request, self._site.reactor
        started = reactor.seconds()
        try:
            content = await self._site.boot.open(ContentPath.parse(redemption.file), request)
        except (ContentError, PolicyError) as error:
            self._short(_BROKEN)
            requests.tell_failed(self._site, request, error)
            return False
        try:
            result = whole_answer(await read_exactly(content, 0, content.info.size))
        finally:
            content.close()
        self._head(result)
        self.write(b"".join(piece for piece in result.body if isinstance(piece, bytes)))
        self.octets = content.info.size
        delivery = Delivery(self.channel.transport)
        with suppress(CancelledError):  # the client has left, maybe because it has all
            await delivery.complete(reactor)
        whole = delivery.arrived()
        delivery.close()
        self._tell(request, self.octets, reactor.seconds() - started, whole=whole)
        if whole and not self._disconnected:
            self.finish()
        elif not self._disconnected:
            self._abort()
        return whole

    def _said(self) -> Said:
        local = host_of(self.channel.getHost()).partition("%")[0]
        endpoints = Endpoints(local, self._site.http_port)
        return Said(self.method, self.content.getvalue(), endpoints)

    async def _resolve(self, target: Target) -> BootRequest | None:
        peer = host_of(self.channel.getPeer())
        who = await identify(self._site, target, peer, self._header("User-Agent") or "")
        if who is None:
            return None
        identity, boot_id = who
        request = requests.content_request(
            self._site,
            Protocol.HTTP,
            target.path,
            identity=identity,
            boot_id=boot_id,
            local=host_of(self.channel.getHost()),
        )
        channel: Any = self.channel
        request = attrs.evolve(
            request,
            identity=attrs.evolve(identity, certificate=channel.certificate),
            login=basic_login(self._header("Authorization")),
            secure=channel.secure,
        )
        resolved: BootRequest = (await self._site.boot.resolve(request)).request
        return resolved

    def _header(self, name: str) -> str | None:
        values = self.requestHeaders.getRawHeaders(name)
        return ", ".join(values) if values else None

    # Answers

    def _short(self, result: Answer) -> None:
        """Send an answer without a content."""
        self._head(result)
        for piece in result.body:
            if isinstance(piece, bytes):
                self.write(piece)
        self.finish()

    def _head(self, result: Answer) -> None:
        """Set status and headers: ours first and in their order, then what twisted.web set."""
        self._counters[str(result.status)] += 1
        self.setResponseCode(result.status, HTTPStatus(result.status).phrase.encode())
        before, self.responseHeaders = self.responseHeaders, Headers()
        for name, value in (*result.headers, ("Server", "pxetwist")):
            self.responseHeaders.addRawHeader(name, value)
        date = http.datetimeToString(self._site.reactor.seconds())
        self.responseHeaders.addRawHeader(b"Date", date)
        for kept, values in before.getAllRawHeaders():
            self.responseHeaders.setRawHeaders(kept, values)

    async def _send(self, content: IContent, request: BootRequest) -> None:
        result = answer(content.info, self.method.decode(), self._header, secrets.token_hex(16))
        size = sum(piece.end - piece.start for piece in result.body if isinstance(piece, Span))
        if self.method == b"HEAD" or not any(isinstance(p, Span) for p in result.body):
            self._short(result)
            return
        self._head(result)
        self.write(b"")
        started = self._site.reactor.seconds()
        whole = False
        try:
            for piece in result.body:
                if isinstance(piece, bytes):
                    self.write(piece)
                elif piece.start < piece.end:
                    await self._send_span(content, piece)
            whole = True
        finally:
            seconds = self._site.reactor.seconds() - started
            self._tell(request, size, seconds, whole=whole)
        self.finish()

    async def _send_span(self, content: IContent, span: Span) -> None:
        source = sendfile_source(self.channel.transport, content)
        if source is not None:
            offset = content.info.offset
            here = Span(span.start + offset, span.end + offset)
            await FileSender(self, source, here).start()
        else:
            await ContentSender(self, content, span).run()

    def _tell(self, request: BootRequest, size: int, seconds: float, *, whole: bool) -> None:
        path = request.wanted
        if whole:
            kind = EventKind.ENDED
            summary = f"sent {requests.transferred(path, self.octets, seconds)}"
        else:
            kind = EventKind.FAILED
            done, total = requests.octets_text(self.octets), requests.octets_text(size)
            summary = f"stopped sending {path} after {done} of {total}: the connection is lost"
        details = {
            "status": self.code,
            "bytes": self.octets,
            "size": size,
            "seconds": seconds,
            "rate": self.octets / seconds / 1e6 if seconds else 0.0,  # MB/s
            "debug": whole and self.code == 206,  # sanboot reads a disk in hundreds of pieces
        }
        requests.tell(self._site, request, kind, summary, details)
