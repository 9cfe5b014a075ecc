"""What machines and installers report over HTTP, at URLs that were made for them.

``POST /callback/TOKEN/done`` (``failed``, ``progress``, ``order``), with a short text as its body,
and ``GET /discover/TOKEN?…``. iPXE and small programs can do no more than GET, so that all but
``order`` come that way as well, with ``?text=…``. A wrong token is answered as any path that is
not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pxetwist.errors import StateUnavailable
from pxetwist.exchange.http import Answer, text_answer
from pxetwist.interfaces import Site
from pxetwist.model.boot import Endpoints
from pxetwist.model.order import NOTE
from pxetwist.model.report import MachineReport
from pxetwist.services.http.target import Target
from pxetwist.wire.http1 import KEPT

_NOT_FOUND = text_answer(404, "Not found")
LATER = text_answer(503, "Try again", ("Retry-After", "5"))
#: The topics: the words that their paths end with, and the methods of each.
TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "callback": {
        **dict.fromkeys(("done", "failed", "progress"), ("POST", "GET")),
        "order": ("POST",),
    },
    "discover": {"": ("GET",)},
}


@attrs.frozen
class Said:
    """A request, as far as it matters here; `endpoints` are where it came in."""

    method: str
    body: bytes
    endpoints: Endpoints


async def report_answer(site: Site, target: Target, said: Said) -> Answer | None:
    """Take a report and answer it; `None`: the path is not one for reports."""
    topic, *rest = target.path.parts
    if topic not in TOPICS or not rest:
        return None
    token, word = rest[0], "/".join(rest[1:])
    methods = TOPICS[topic].get(word)
    if methods is None:
        return None
    if said.method not in methods:
        return _not_allowed(methods) if "POST" in methods else None
    now = site.reactor.seconds()
    redeemed = site.boot.redeem(token, now, topic)
    if redeemed is None:
        return _NOT_FOUND
    identity, boot_id = redeemed
    told = said.body if said.method == "POST" else target.query.get("text", "").encode()[:KEPT]
    report = MachineReport(
        topic, identity, boot_id, now, word, _line(told)[:NOTE], target.query, said.endpoints
    )
    try:
        text = await site.boot.hear(report)
    except StateUnavailable as error:
        site.log.error("a report of {who} is not stored: {error}", who=str(identity), error=error)
        return LATER
    return _NOT_FOUND if text is None else text_answer(200, text or "Noted")


def _not_allowed(methods: Sequence[str]) -> Answer:
    return text_answer(405, f"Only {' and '.join(methods)}", ("Allow", ", ".join(methods)))


def _line(body: bytes) -> str:
    """Make one line of a body; bytes that are no text are shown as such."""
    words = body.decode("utf-8", "replace").split()
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(words))
