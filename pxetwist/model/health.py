"""Whether something that is asked over and over still answers, and when to leave it in peace."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

_ROUNDING = 1.0  # seconds since the epoch are not exact


class HealthState(enum.Enum):
    """How well something works."""

    UP = "up"
    DEGRADED = "degraded"  # it failed lately, and is still asked
    DOWN = "down"  # it is left in peace, but for one trial after each back-off


@attrs.frozen
class Health:
    """What is known of something that is asked: `since` when (seconds) it is in its state.

    `error` is the last one, in words. `counters` are counted from the start of the server.
    """

    state: HealthState
    since: float
    error: str = ""
    counters: Mapping[str, int] = attrs.field(factory=dict)


def in_words(counters: Mapping[str, int]) -> str:
    """Spell counters for people."""
    counted = ", ".join(f"{name} {count}" for name, count in sorted(counters.items()))
    return counted or "nothing yet"


@attrs.define
class Breaker:
    """Counts failures in a row; from `limit` on it refuses for a back-off (seconds) that doubles
    from `shortest` to `longest` with each failed trial. Time is an argument.
    """

    since: float
    limit: int = 3
    shortest: float = 1.0
    longest: float = 60.0
    error: str = ""
    _failures: int = 0
    _pause: float = 0.0
    _until: float = 0.0
    _trial: bool = False

    @property
    def state(self) -> HealthState:
        """How well it works."""
        if not self._failures:
            return HealthState.UP
        return HealthState.DEGRADED if self._failures < self.limit else HealthState.DOWN

    def refuses(self, now: float) -> bool:
        """Whether nothing may be asked now."""
        return self._failures >= self.limit and self._waits(now)

    def _waits(self, now: float) -> bool:
        """Whether the back-off goes on; not if the clock was set back to before it."""
        return 0 < self._until - now < self._pause + _ROUNDING

    def admits(self, now: float) -> bool:
        """Whether this one may be asked: if it is a trial, nothing else may until its end."""
        if self._failures < self.limit:
            return True
        if self._waits(now):
            return False
        self._until, self._trial = now + self._pause, True
        return True

    def succeeded(self, now: float) -> bool:
        """Note an answer; return whether it is the first after failures."""
        if not self._failures:
            return False
        self._failures, self._pause, self._trial, self.since = 0, 0.0, False, now
        return True

    def failed(self, error: str, now: float) -> bool:
        """Note a failure; return whether it is the first after answers."""
        before = self.state
        self.error = error
        self._failures += 1
        if self._failures == self.limit or self._trial:  # not what was asked before it opened
            self._pause = min(max(self._pause * 2, self.shortest), self.longest)
            self._until, self._trial = now + self._pause, False
        if self.state is not before:
            self.since = now
        return before is HealthState.UP
