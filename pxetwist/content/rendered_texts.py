"""Texts that were made for machines, given again until something that they were made of changes.

A text is made of who asks, by which way, and of the plan. What a template asks for beyond that,
such as a token, is another in each moment: such a text is made each time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jinja2

from pxetwist.content.text import TextContent
from pxetwist.model.boot import BootRequest
from pxetwist.model.recent import Recent

#: So many texts are kept at least, and none that is longer (bytes).
_TEXTS = 1024
_LONGEST = 8192

_Seen = tuple[object, ...]


def _seen(request: BootRequest) -> _Seen:
    """Return all that templates, and what they call, can look at. What says for people where
    something comes from counts as well, though it does not when things are compared.
    """
    plan, machine = request.plan, request.machine
    return (
        *(request.identity, request.stage, request.protocol, request.endpoints, request.secure),
        *(plan, plan.settings if plan else ()),
        *(machine, machine.provenance if machine else ""),
    )


class RenderedTexts:
    """The latest text of each machine, by its template."""

    def __init__(self) -> None:
        self._texts: Recent[tuple[str, str], tuple[_Seen, TextContent]] = Recent(_TEXTS)
        self._lasts = True

    def watch(self, environment: jinja2.Environment) -> None:
        """Know when a template uses what Jinja has for chance."""
        chance: Any = environment.filters["random"]
        lines: Any = environment.globals["lipsum"]
        environment.filters["random"] = jinja2.pass_context(partial(self.of_this_moment, chance))
        environment.globals["lipsum"] = partial(self.of_this_moment, lines)

    def get(self, template: str, request: BootRequest) -> TextContent | None:
        """Return the text for a request, if it is what would be made now."""
        seen, content = self._texts.get((template, request.identity.key)) or (None, None)
        return content if seen == _seen(request) else None

    def make(
        self, template: str, request: BootRequest, now: float, work: Callable[[], str]
    ) -> TextContent:
        """Make a text, and keep it unless it is of this moment alone."""
        self._lasts = True
        content = TextContent(work(), now)
        if self._lasts and content.info.size <= _LONGEST:
            self._texts.put((template, request.identity.key), (_seen(request), content))
        return content

    def of_this_moment(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do for a template what has another result each time."""
        self._lasts = False
        return work(*args, **kwargs)
