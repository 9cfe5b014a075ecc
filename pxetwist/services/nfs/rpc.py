"""RPC over TCP and UDP: what all programs share (RFC 5531). Replies leave in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pxetwist.errors import WireError
from pxetwist.exchange.nfs3 import DATAGRAM_READ, STREAM_READ, Session
from pxetwist.exchange.oncrpc import Body, Pieces, Program, Refused, choose
from pxetwist.model.recent import Recent
from pxetwist.services.sockets import Arrival, IDatagramSocket, Peer
from pxetwist.wire.oncrpc import AcceptStatus, Call, decode_call, reply_head

#: So many calls by UDP may wait for an answer, so many callers are told apart.
_IN_FLIGHT, _CALLERS = 256, 4096


@attrs.define(eq=False)
class Client:
    """Who calls: its address and port, and ours that it asked. `session` is there once it is known
    which machine that is, and is believed until a time.
    """

    address: str
    port: int
    local: str
    stream: bool = True
    session: Session | None = None
    until: float = 0.0

    @property
    def largest_read(self) -> int:
        """What one answer may carry."""
        return STREAM_READ if self.stream else DATAGRAM_READ


@attrs.define(eq=False)
class RpcServer:
    """Answers calls with its `programs`; `counters` say what became of calls and connections."""

    programs: Mapping[int, Program[Client]]
    log: Logger
    counters: Counter[str] = attrs.field(factory=Counter)

    def answer(
        self, call: Call, client: Client, send: Callable[[Pieces], None]
    ) -> Deferred[None] | None:
        """Send the reply to a call: at once, or (then that is returned) later."""
        try:
            body = choose(self.programs, call)(client, call)
        except Exception as error:
            send((self._failed(call, error),))
            return None
        if isinstance(body, (bytes, tuple)):
            send(_reply(call, body))
            return None
        return Deferred.fromCoroutine(self._later(call, body, send))

    async def _later(
        self, call: Call, body: Coroutine[Any, Any, Body], send: Callable[[Pieces], None]
    ) -> None:
        try:
            send(_reply(call, await body))
        except Exception as error:
            send((self._failed(call, error),))

    def _failed(self, call: Call, error: Exception) -> bytes:
        """Return the reply to a call that raised something."""
        if isinstance(error, Refused):
            return error.reply
        if isinstance(error, WireError):
            self.counters["garbled arguments"] += 1
            return reply_head(call.xid, AcceptStatus.GARBAGE_ARGS)
        self.log.failure("An RPC failed", Failure(error))
        return reply_head(call.xid, AcceptStatus.SYSTEM_ERR)


def _reply(call: Call, body: Body) -> Pieces:
    if isinstance(body, bytes):
        return (reply_head(call.xid) + body,)
    return (reply_head(call.xid), *body)


class RpcDatagrams:
    """Takes calls by UDP; `socket` is what it answers with. Nobody is told of what is no call."""

    socket: IDatagramSocket

    def __init__(self, server: RpcServer) -> None:
        self._server = server
        self._clients: Recent[tuple[str, int, str], Client] = Recent(_CALLERS)
        self._in_flight: set[Deferred[None]] = set()

    def drained(self) -> None:
        """Nothing is grouped."""

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Answer a call, unless too many wait for an answer."""
        counters = self._server.counters
        try:
            call = decode_call(data)
        except WireError:
            counters["no calls"] += 1
            return
        if len(self._in_flight) >= _IN_FLIGHT:
            counters["too many calls at once"] += 1
            return
        who = (peer[0], peer[1], arrival.local)
        client = self._clients.get(who)
        if client is None:
            client = Client(*who, stream=False)
            self._clients.put(who, client)

        def send(pieces: Pieces) -> None:
            self.socket.send(b"".join(pieces), peer, arrival.local, arrival.index)

        later = self._server.answer(call, client, send)
        if later is not None and not later.called:
            self._in_flight.add(later)
            later.addBoth(lambda _: self._in_flight.discard(later))

    def stop(self) -> None:
        """Let go of what waits."""
        for each in list(self._in_flight):
            each.addErrback(lambda _: None)
            each.cancel()
