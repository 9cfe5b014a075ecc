"""Texts that were made for machines, given again until something that they were made of changes.

A text is made of who asks, where, and of the plan. Whatever a template asks for beyond that, such
as a token, is another in each moment: such a text is made each time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import jinja2

from pxetwist.content.text import TextContent
from pxetwist.model.boot import BootPlan, BootRequest, Endpoints
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.model.recent import Recent

#: So many texts are kept at least, and none that is longer (bytes).
_TEXTS = 1024
_LONGEST = 8192


@attrs.frozen
class _Kept:
    """A text, and all of its request that templates can look at."""

    identity: ClientIdentity
    endpoints: Endpoints
    machine: Machine | None
    plan: BootPlan | None
    content: TextContent

    def suits(self, request: BootRequest) -> bool:
        """Whether the same text would be made for a request."""
        plan, machine = request.plan, request.machine
        return (
            (plan is self.plan or _plan_facts(plan) == _plan_facts(self.plan))
            and (machine is self.machine or _facts(machine) == _facts(self.machine))
            and self.identity == request.identity
            and self.endpoints == request.endpoints
        )


# What says for people where something comes from does not count when they are compared.


def _plan_facts(plan: BootPlan | None) -> tuple[object, ...]:
    return (plan, plan.settings) if plan else ()


def _facts(machine: Machine | None) -> tuple[object, ...]:
    return (machine, machine.provenance) if machine else ()


class RenderedTexts:
    """The latest text of each machine, by its template."""

    def __init__(self) -> None:
        self._texts: Recent[tuple[str, str], _Kept] = Recent(_TEXTS)
        self._lasts = True

    def watch(self, environment: jinja2.Environment) -> None:
        """Know when a template uses what Jinja has for chance."""
        chance: Any = environment.filters["random"]
        lines: Any = environment.globals["lipsum"]
        environment.filters["random"] = jinja2.pass_context(partial(self.of_this_moment, chance))
        environment.globals["lipsum"] = partial(self.of_this_moment, lines)

    def get(self, template: str, request: BootRequest) -> TextContent | None:
        """Return the text for a request, if it is what would be made now."""
        kept = self._texts.get((template, request.identity.key))
        return kept.content if kept is not None and kept.suits(request) else None

    def make(
        self, template: str, request: BootRequest, now: float, work: Callable[[], str]
    ) -> TextContent:
        """Make a text, and keep it unless it is of this moment alone."""
        self._lasts = True
        content = TextContent(work(), now)
        if self._lasts and content.info.size <= _LONGEST:
            kept = _Kept(
                *(request.identity, request.endpoints, request.machine, request.plan), content
            )
            self._texts.put((template, request.identity.key), kept)
        return content

    def of_this_moment(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do for a template what has another result each time."""
        self._lasts = False
        return work(*args, **kwargs)
