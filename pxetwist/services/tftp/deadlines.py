"""One timer for thousands of deadlines that are nearly always put off."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

_MOMENT = 1 / 256  # seconds
_LATE = 0.01  # seconds that the process was busy, or did not have the processor
#: Who was put off is looked at again no sooner than after so many seconds for each of those: to
#: look at all takes a hundredth of the time. Who waits meanwhile for a repetition leaves its share
#: to the others.
_EACH = 0.0005
_LONGEST = 0.25


class IWatched(Protocol):
    """Something with a deadline that moves."""

    #: The earliest time it is already watched for; kept by :class:`Deadlines`, at first infinite.
    watched: float

    def next_timeout(self) -> float:
        """Return when it wants to be told; infinite if never."""

    def timed_out(self, now: float) -> None:
        """Know that its time has come."""


class Deadlines:
    """Tells every watched object when its time has come.

    Putting a deadline off costs one comparison: an entry that comes too early is put back. Those
    of one moment, :data:`_MOMENT` long, are told together, at its end, or a little later if many
    are put off.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._due: dict[int, list[IWatched]] = {}  # by the number of their moment
        self._moments: list[int] = []  # a heap of these
        self._put_off: Counter[int] = Counter()  # those of `due` that came too early before
        self._call: IDelayedCall | None = None
        self._armed = math.inf

    def watch(self, watched: IWatched) -> None:
        """Look at an object's deadline; to be called whenever it may have come nearer."""
        wanted = watched.next_timeout()
        if wanted < watched.watched:
            self._put(watched, wanted)
            self._arm()

    def stop(self) -> None:
        """Forget all."""
        self._due.clear()
        self._moments.clear()
        self._put_off.clear()
        self._arm()

    def _put(self, watched: IWatched, wanted: float) -> int:
        moment = math.ceil(wanted / _MOMENT)
        due = moment * _MOMENT
        if due < watched.watched:
            watched.watched = due
            if moment not in self._due:
                self._due[moment] = []
                heapq.heappush(self._moments, moment)
            self._due[moment].append(watched)
        return moment

    def _arm(self) -> None:
        first = self._moments[0] * _MOMENT if self._moments else math.inf
        if first == self._armed:
            return
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._armed = first
        if self._moments:
            wait = max(first - self._clock.seconds(), 0)
            self._call = self._clock.callLater(wait, self._fire)

    def _fire(self) -> None:
        late = self._clock.seconds() - self._armed > _LATE
        self._armed = math.inf
        if late:  # so answers wait to be read: first these
            self._call = self._clock.callLater(0, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        now = self._clock.seconds()
        soonest = now + min(self._put_off.total() * _EACH, _LONGEST)
        while self._moments and self._moments[0] * _MOMENT <= now:
            moment = heapq.heappop(self._moments)
            del self._put_off[moment]
            for watched in self._due.pop(moment):
                if watched.watched != moment * _MOMENT:
                    continue  # there was an earlier entry for it
                watched.watched = math.inf
                wanted = watched.next_timeout()
                if wanted <= now:
                    watched.timed_out(now)
                    self.watch(watched)
                elif wanted < math.inf:
                    self._put_off[self._put(watched, max(wanted, soonest))] += 1
        self._arm()
