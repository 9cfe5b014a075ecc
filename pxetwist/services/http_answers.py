"""Answer files of installers over HTTP: ``GET /answer/TOKEN/FILE``.

Who may not have one is told what everybody is told who asks for a path that is not there, and
not before some time has passed: neither the words nor the time it took say how near a guess was.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from collections import Counter
from typing import Any

from twisted.internet import tcp
from twisted.internet.task import deferLater

from pxetwist.exchange.http import Answer
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.redemption import AnswerQuestion, AnswerRefused, Redemption
from pxetwist.services.http_target import Target

FOLDER = "answer"
#: A refusal leaves this long (seconds) after its question came, whatever its reason.
REFUSED_AFTER = 0.25
#: So long the client has to take the answer, after which its connection is given up.
PATIENCE = 10.0
_LOOK_EVERY = 0.05
_SIOCOUTQ = termios.TIOCOUTQ  # of a socket: bytes that its peer has not acknowledged (tcp(7))


def asked_for(target: Target, peer: str, request: BootRequest) -> AnswerQuestion | None:
    """Return the question for an answer file; `None`: it is one for something else."""
    folder, *rest = target.path.parts
    if folder != FOLDER:
        return None
    token, file = (rest[0], "/".join(rest[1:])) if rest else ("", "")
    return AnswerQuestion(token, file, peer, request)


async def judged(
    site: Site, question: AnswerQuestion, counters: Counter[str]
) -> Redemption | None:
    """Return what is to be given, or `None`, at its time; refusals are counted by reason.

    :raises StateUnavailable: if it cannot be noted that it is given.
    """
    now = site.reactor.seconds()
    try:
        redemption: Redemption = await site.boot.redeem_answer(question, now)
    except AnswerRefused as refused:
        counters[f"refused-{refused.reason.word}"] += 1
        left = now + REFUSED_AFTER - site.reactor.seconds()
        await deferLater(site.reactor, max(left, 0.0))
        return None
    return redemption


def whole_answer(body: bytes) -> Answer:
    """Answer with the whole, whatever part was asked for; nobody on the way may keep it."""
    headers = (
        ("Content-Length", str(len(body))),
        ("Content-Type", "text/plain"),
        ("Cache-Control", "no-store"),
    )
    return Answer(200, headers, (body,))


async def delivered(transport: Any, reactor: Any) -> bool:
    """Return whether the client's system has acknowledged all that was written to it, as soon as
    it has; `False`: it does not.
    """
    wire = getattr(transport, "transport", transport)  # below TLS
    if not isinstance(wire, tcp.Connection):
        return True  # nothing that could lose it
    until = reactor.seconds() + PATIENCE
    while reactor.seconds() < until:
        await deferLater(reactor, _LOOK_EVERY)
        if not _waiting(wire):
            return True
    return False


def _waiting(wire: tcp.Connection) -> int:
    """Return how many bytes are on the way to the peer."""
    raw = fcntl.ioctl(wire.fileno(), _SIOCOUTQ, bytes(4))
    return int(struct.unpack("=i", raw)[0])
