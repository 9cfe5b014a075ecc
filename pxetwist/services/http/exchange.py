"""One HTTP request and its answer."""

from __future__ import annotations

import secrets
from collections import Counter
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from pxetwist.boot.guard import rest_of
from pxetwist.errors import ContentError, LoginNeeded, PolicyError, StateUnavailable
from pxetwist.exchange.http import (
    Answer,
    Span,
    answer,
    basic_login,
    head_bytes,
    text_answer,
    whole_answer,
)
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest, Endpoints, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.recent import Recent
from pxetwist.model.redemption import AnswerQuestion, AnswerRefused, Redemption
from pxetwist.services import requests
from pxetwist.services.blocks import read_exactly
from pxetwist.services.http.admission import HttpAdmission, queues
from pxetwist.services.http.answers import FOLDER, asked_for, refusal_due, secret_answer
from pxetwist.services.http.callback import LATER, TOPICS, Said, report_answer
from pxetwist.services.http.delivery import Delivery
from pxetwist.services.http.heads import NOT_FOUND, Asked
from pxetwist.services.http.standing import Standing
from pxetwist.services.http.target import Target, identify
from pxetwist.services.sending import send_span

_NOT_ALLOWED = text_answer(405, "Only GET and HEAD", ("Allow", "GET, HEAD"))
_LOGIN = text_answer(401, "Login needed", ("WWW-Authenticate", 'Basic realm="boot menu"'))
_BROKEN = text_answer(500, "Internal trouble")
#: So many bytes of contents are read at once, and leave together with the head.
_SMALL = 1 << 16


def _boundary() -> str:
    return secrets.token_hex(16)


def _spans(result: Answer) -> list[Span]:
    return [piece for piece in result.body if isinstance(piece, Span)]


class ContentExchange:
    """One request; what it needs of its site and its client is the connection's, `channel`.

    Nothing is kept here from one request to the next: who asks, what that machine boots and what
    it may have is asked for each time. `octets` counts what was sent of the content.
    """

    def __init__(self, channel: Any, asked: Asked, body: bytes) -> None:
        head = asked.head
        self.channel = channel
        self.octets = 0
        self._method = head.method
        self._header = head.fields.get
        self._asked = asked
        self._body = body
        self._site: Site = channel.factory.site
        self._standing: Recent[tuple[Asked, str, str], Standing] = channel.factory.standing
        self._question = (asked, channel.peer, channel.local)
        self._counters: Counter[str] = channel.factory.counters
        self._work: Deferred[None] | None = None
        self._status = 0  # once there is one

    def begin(self) -> None:
        """Begin to answer; one that has to wait for nothing is finished then."""
        work = self._run()
        try:
            awaited = work.send(None)
        except StopIteration:
            return
        self._work = Deferred.fromCoroutine(rest_of(work, awaited))

    def abandon(self) -> None:
        """Stop working for a client that has left."""
        if self._work is not None:
            self._work.cancel()

    async def _run(self) -> None:
        try:
            await self._answer()
        except CancelledError:
            pass
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        target = self._asked.target
        path = target.path if isinstance(target, Target) else "?"
        if not isinstance(error, ContentError | OSError):
            self._site.log.failure("An HTTP request for {path} failed", Failure(error), path=path)
        elif not isinstance(error, ConnectionError):  # that is the client's, and was told
            self._site.log.warn("Sending {path} broke off: {error}", path=path, error=error)
        if self.channel.lost:
            return
        if self._status:
            self.channel.abort()
        else:
            self._short(_BROKEN)

    async def _answer(self) -> None:
        target = self._asked.target
        if isinstance(target, Answer):
            self._short(target)
            return
        if target.path.parts[0] in TOPICS:
            report = await report_answer(self._site, target, self._said())
            if report is not None:
                self._short(report)
                return
        if self._method not in ("GET", "HEAD"):
            self._short(_NOT_ALLOWED)
            return
        if target.path.parts[0] == FOLDER:
            request = self._request(target, ClientIdentity(), "")
            await self._answer_file(asked_for(target, self.channel.peer, request))
            return
        who = await self._who(target)
        if who is None:
            self._short(NOT_FOUND)
            return
        boot = self._site.boot
        standing = self._standing.get(self._question) if self._asked.common else None
        if standing is not None and standing.holds(who, boot):
            await self._send(standing.content, standing.request, *self._result(standing.content))
            return
        edition = boot.edition()
        request = self._request(target, *who)
        resolution = await boot.resolve(request)
        resolved = resolution.request
        try:
            content = await boot.open(target.path, resolved)
        except LoginNeeded:
            self._short(_LOGIN)
            return
        except ContentError as error:
            self._short(NOT_FOUND)
            requests.tell_missing(self._site, resolution, error)
            return
        except PolicyError as error:
            self._short(_BROKEN)
            requests.tell_failed(self._site, resolved, error)
            return
        if self._asked.common and boot.lasts(target.path, content, resolved):
            self._standing.put(self._question, Standing(who, resolved, edition, content))
        try:
            await self._send_in_turn(content, resolved)
        finally:
            content.close()

    async def _send_in_turn(self, content: IContent, request: BootRequest) -> None:
        result, size = self._result(content)
        if not queues(self._header("user-agent") or "", size):
            await self._send(content, request, result, size)
            return
        admission: HttpAdmission = self.channel.factory.admission
        wait = admission.enter(self.channel.peer, self._site.reactor.seconds())
        if wait:
            self._short(text_answer(503, "Try again", ("Retry-After", str(wait))))
            return
        try:
            await self._send(content, request, result, size)
        finally:
            admission.leave(self.channel.peer)

    async def _answer_file(self, question: AnswerQuestion) -> None:
        """Give an answer file to who may have it."""
        if self._method == "HEAD":  # to look is not to redeem
            self._short(NOT_FOUND)
            return
        boot, reactor = self._site.boot, self._site.reactor
        asked = reactor.seconds()
        try:
            redemption = await boot.judge_answer(question, asked)
            body = await self._made(redemption)
            if body is None:
                return
            await boot.redeem_answer(redemption, reactor.seconds())
        except AnswerRefused as refused:
            await refusal_due(self._site, refused, asked, self._counters)
            self._short(NOT_FOUND)
            return
        except StateUnavailable as error:
            self._site.log.error("no answer is given: {error}", error=error)
            self._short(LATER)
            return
        whole = False
        try:
            whole = await self._give(redemption.request, body)
        finally:
            Deferred.fromCoroutine(self._settle(redemption, whole=whole))

    async def _settle(self, redemption: Redemption, *, whole: bool) -> None:
        try:
            await self._site.boot.settle_answer(redemption, whole=whole)
        except Exception as error:
            self._failed(error)

    async def _made(self, redemption: Redemption) -> bytes | None:
        """Return a file; `None`: it cannot be made, and the client was told."""
        request = redemption.request
        try:
            content = await self._site.boot.open(ContentPath.parse(redemption.file), request)
        except (ContentError, PolicyError) as error:
            self._short(_BROKEN)
            requests.tell_failed(self._site, request, error)
            return None
        try:
            return await read_exactly(content, 0, content.info.size)
        finally:
            content.close()

    async def _give(self, request: BootRequest, body: bytes) -> bool:
        """Send a file, and return whether all of it has arrived."""
        reactor = self._site.reactor
        started = reactor.seconds()
        self._write(secret_answer(body), body)
        self.octets = len(body)
        delivery = Delivery(self.channel.transport)
        with suppress(CancelledError):  # the client has left, maybe because it has all
            await delivery.complete(reactor)
        whole = delivery.arrived()
        delivery.close()
        seconds = reactor.seconds() - started
        self._tell(request, self.octets, seconds, whole=whole, why="the connection is lost")
        if whole and not self.channel.lost:
            self.channel.answered()
        elif not self.channel.lost:
            self.channel.abort()
        return whole

    def _said(self) -> Said:
        local = self.channel.local.partition("%")[0]
        return Said(self._method, self._body, Endpoints(local, self._site.http_port))

    def _request(self, target: Target, identity: ClientIdentity, boot_id: str) -> BootRequest:
        request = requests.content_request(
            self._site,
            Protocol.HTTP,
            target.path,
            identity=identity,
            boot_id=boot_id,
            local=self.channel.local,
        )
        authorization = self._header("authorization")
        if authorization is None and not self.channel.secure:
            return request
        login = basic_login(authorization)
        return attrs.evolve(request, login=login, secure=self.channel.secure)

    async def _who(self, target: Target) -> tuple[ClientIdentity, str] | None:
        agent = self._header("user-agent") or ""
        who = await identify(self._site, target, self.channel.peer, agent)
        if who is None or not self.channel.certificate:
            return who
        identity, boot_id = who
        return attrs.evolve(identity, certificate=self.channel.certificate), boot_id

    # Answers

    def _short(self, result: Answer) -> None:
        """Send an answer without a content."""
        pieces = result.body if self._method != "HEAD" else ()
        self._write(result, *[piece for piece in pieces if isinstance(piece, bytes)])
        self.channel.answered()

    def _write(self, result: Answer, *body: bytes) -> None:
        """Write status and headers, and what there is already of the body, in one piece."""
        self._status = result.status
        self._counters[str(result.status)] += 1
        head = head_bytes(result, self._site.reactor.seconds(), last=self.channel.last)
        self.channel.write(b"".join((head, *body)))

    def _result(self, content: IContent) -> tuple[Answer, int]:
        """Return the answer, and how many bytes of the content go with it."""
        info = content.info
        if self._asked.whole:
            return whole_answer(info), info.size
        result = answer(info, self._method, self._header, _boundary)
        if self._method == "HEAD":
            return attrs.evolve(result, body=()), 0
        return result, sum([piece.end - piece.start for piece in _spans(result)])

    async def _send(
        self, content: IContent, request: BootRequest, result: Answer, size: int
    ) -> None:
        if not (self._asked.whole or _spans(result)):
            self._short(result)
            return
        started = self._site.reactor.seconds()
        whole, why = False, "the connection is lost"
        try:
            if size <= _SMALL:
                await self._send_at_once(result, content)
                self.octets += size
            else:
                await self._send_pieces(result, content)
            whole = True
        except ContentError as error:
            why = str(error)
            raise
        finally:
            seconds = self._site.reactor.seconds() - started
            self._tell(request, size, seconds, whole=whole, why=why)
        self.channel.answered()

    async def _send_at_once(self, result: Answer, content: IContent) -> None:
        self._status = result.status  # nothing else is answered, whatever happens now
        body = []
        for piece in result.body:
            if isinstance(piece, Span):
                body.append(await read_exactly(content, piece.start, piece.end - piece.start))
            else:
                body.append(piece)
        self._write(result, *body)

    async def _send_pieces(self, result: Answer, content: IContent) -> None:
        if content.fileno() is None:
            self.channel.use_buffer()
        self._write(result)
        for piece in result.body:
            if isinstance(piece, bytes):
                self.channel.write(piece)
            elif piece.start < piece.end:
                await send_span(self, content, piece)

    def _tell(
        self, request: BootRequest, size: int, seconds: float, *, whole: bool, why: str
    ) -> None:
        if not self._site.boot.observed:
            return
        more = {
            "status": self._status,
            "debug": whole and self._status == 206,  # sanboot reads a disk in hundreds of pieces
        }
        requests.tell_sent(
            *(self._site, request, self.octets, size),
            seconds=seconds,
            whole=whole,
            more=more,
            why=why,
        )
