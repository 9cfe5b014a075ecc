"""Answer files of installers over HTTP: ``GET /answer/TOKEN/FILE``.

Who may not have one is told what everybody is told who asks for a path that is not there, and
not before some time has passed: neither the words nor the time it took say how near a guess was.
"""

from __future__ import annotations

from collections import Counter

from twisted.internet.task import deferLater

from pxetwist.exchange.http import Answer
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.redemption import AnswerQuestion, AnswerRefused
from pxetwist.services.http.target import Target

FOLDER = "answer"
#: A refusal leaves this long (seconds) after its question came, whatever its reason.
REFUSED_AFTER = 0.25


def asked_for(target: Target, peer: str, request: BootRequest) -> AnswerQuestion:
    """Return the question for an answer file: the path is one below the folder of these."""
    _, *rest = target.path.parts
    token, file = (rest[0], "/".join(rest[1:])) if rest else ("", "")
    return AnswerQuestion(token, file, peer, request)


async def refusal_due(
    site: Site, refused: AnswerRefused, asked: float, counters: Counter[str]
) -> None:
    """Count a refusal by its reason, and wait until it may leave; `asked` is when its question
    came.
    """
    counters[f"refused-{refused.reason.word}"] += 1
    left = asked + REFUSED_AFTER - site.reactor.seconds()
    await deferLater(site.reactor, max(left, 0.0))


def secret_answer(body: bytes) -> Answer:
    """Answer with the whole, whatever part was asked for; nobody on the way may keep it."""
    headers = (
        ("Content-Length", str(len(body))),
        ("Content-Type", "text/plain"),
        ("Cache-Control", "no-store"),
    )
    return Answer(200, headers, (body,))
