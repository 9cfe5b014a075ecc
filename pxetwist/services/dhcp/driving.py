"""Coroutines that seldom wait: one that never does costs no Deferred, and no reactor sees it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


def begin(work: Coroutine[Deferred[Any], Any, None]) -> None:
    """Run a coroutine, which catches its own exceptions, until it waits; go on when it can."""
    try:
        awaited = work.send(None)
    except StopIteration:
        return

    def go_on(result: object) -> None:
        try:
            if isinstance(result, Failure):
                following: Deferred[Any] = result.throwExceptionIntoGenerator(work)
            else:
                following = work.send(result)
        except StopIteration:
            return
        following.addBoth(go_on)

    awaited.addBoth(go_on)
