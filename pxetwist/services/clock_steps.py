"""Timers that keep their time when the clock is set.

Twisted's timers are of the wall clock, whose time leases and logs need as well. Set back by an
hour, it would hold up all that is to happen after a second; set forward, it would end all waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

#: What the clock is set by at least, in seconds; less is no harm, and adds up to this.
STEP = 1.0

_log = Logger(namespace="pxetwist")


def keep_timers(
    reactor: Any,
    wall: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
) -> None:
    """Let a reactor move its timers by what its clock is set."""
    apart = wall() - steady()

    def seconds() -> float:
        nonlocal apart
        now = wall()
        step = now - steady() - apart
        if not -STEP < step < STEP:
            apart += step
            for call in reactor.getDelayedCalls():
                call.reset(max(call.getTime() + step - now, 0))
            way = "forward" if step > 0 else "back"
            _log.warn(
                "the clock was set {way} by {step:.0f} s: leases end by it, what waits goes on",
                way=way,
                step=abs(step),
            )
        return now

    reactor.seconds = seconds
