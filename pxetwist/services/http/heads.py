"""Heads of requests, and what they ask for.

A rack that is switched on asks a hundred times for the same, in the same words: those are read
once.
"""

from __future__ import annotations

import attrs

from pxetwist.exchange.http import CONDITIONS, Answer, text_answer
from pxetwist.model.recent import Recent
from pxetwist.services.http.answers import FOLDER
from pxetwist.services.http.callback import TOPICS
from pxetwist.services.http.target import BadTarget, Target
from pxetwist.wire.http1 import Head, read_head

#: So many heads are kept at least, and none that is longer (bytes).
_HEADS = 512
_SHORT = 512
#: What is below these folders has a token in its path: no other machine asks for it.
_OWN = frozenset({FOLDER, "install", *TOPICS})
_BAD_REQUEST = text_answer(400, "Bad request")
NOT_FOUND = text_answer(404, "Not found")


@attrs.frozen(eq=False)
class Asked:
    """A head; `target` is what it asks for, or how that is refused. One that is `whole` gets the
    whole content, without any condition. A `common` one may be sent by many machines: it has no
    token, no login and no body, and is not long.
    """

    head: Head
    target: Target | Answer
    whole: bool
    common: bool

    @classmethod
    def of(cls, raw: bytes) -> Asked:
        """Read a head, and what it asks for.

        :raises BadRequest: if it is none.
        """
        head = read_head(raw)
        whole = head.method == "GET" and CONDITIONS.isdisjoint(head.fields)
        try:
            target = Target.parse(head.target)
        except BadTarget:
            return cls(head, _BAD_REQUEST, whole, common=False)
        except ValueError:
            return cls(head, NOT_FOUND, whole, common=False)
        own = target.token or target.query or target.path.parts[0] in _OWN
        personal = own or head.length or "authorization" in head.fields
        common = len(raw) <= _SHORT and not personal
        return cls(head, target, whole, common)


class Heads:
    """Reads heads, and remembers those that many machines may send."""

    def __init__(self) -> None:
        self._known: Recent[bytes, Asked] = Recent(_HEADS)

    def get(self, data: bytearray) -> Asked | None:
        """Return what these bytes ask for if they are one head, and that is remembered."""
        return self._known.get(bytes(data)) if len(data) <= _SHORT else None

    def read(self, raw: bytes) -> Asked:
        """Read a head.

        :raises BadRequest: if it is none.
        """
        asked = Asked.of(raw)
        if asked.common:
            self._known.put(raw, asked)
        return asked
