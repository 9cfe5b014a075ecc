"""One timer for thousands of deadlines that are nearly always put off."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

_MOMENT = 1 / 256  # seconds
_LATE = 0.01  # seconds that the process was busy, or did not have the processor


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
    of one moment, :data:`_MOMENT` long, are told together, at its end.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, IWatched]] = []
        self._number = itertools.count()  # keeps entries of equal time apart
        self._call: IDelayedCall | None = None
        self._armed = math.inf

    def watch(self, watched: IWatched) -> None:
        """Look at an object's deadline; to be called whenever it may have come nearer."""
        wanted = watched.next_timeout()
        if wanted >= watched.watched:
            return
        due = math.ceil(wanted / _MOMENT) * _MOMENT
        if due < watched.watched:
            watched.watched = due
            heapq.heappush(self._heap, (due, next(self._number), watched))
            self._arm()

    def stop(self) -> None:
        """Forget all."""
        self._heap.clear()
        self._arm()

    def _arm(self) -> None:
        first = self._heap[0][0] if self._heap else math.inf
        if first == self._armed:
            return
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._armed = first
        if self._heap:
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
        while self._heap and self._heap[0][0] <= now:
            due, _, watched = heapq.heappop(self._heap)
            if due != watched.watched:
                continue  # there was an earlier entry for it
            watched.watched = math.inf
            if watched.next_timeout() <= now:
                watched.timed_out(now)
            self.watch(watched)
        self._arm()
