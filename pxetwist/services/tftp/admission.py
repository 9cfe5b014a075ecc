"""Which TFTP requests are answered at once, and which wait for their turn.

In a storm of boots the first machines are to be up early, rather than all of them late: so many
transfers run at a time as can be fed, and the other requests wait in the order of their arrival.
In a flood of forged requests the machines that were seen here lately come first, and all others
share what time is left.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall

from pxetwist.services.sockets import Arrival, IDatagramSocket, Peer
from pxetwist.wire.tftp import ReadRequest, WriteRequest

#: So many requests are taken from one address in a second: loaders look for some twenty names.
PER_ADDRESS = 256
#: So many requests wait, and so many of them of machines that were not seen lately.
WAITING, OTHERS_WAITING = 8192, 1024

_SPELL = 0.004  # seconds that others get before the ports are read again
_SAMPLE = 0.1  # seconds over which it is measured how busy the process is
_BUSY = 0.8  # of a core
_REMEMBERED = 65536  # addresses of the present second


@attrs.define(eq=False)
class Asked:
    """A request, the socket it came to, and when; `known`: its machine was seen lately."""

    packet: ReadRequest | WriteRequest
    socket: IDatagramSocket
    peer: Peer
    arrival: Arrival
    since: float
    known: bool


@attrs.frozen
class Bounds:
    """So many transfers `at_once` while the process is busy, and no request waits for more than
    `patience` seconds: its client would give up.
    """

    at_once: int = 200
    patience: float = 10.0


class TransferAdmission:
    """Passes requests on to `begin`, as long as `load` (of transfers) is not too much.

    `used` returns the processor time of this process in seconds.
    """

    def __init__(
        self,
        clock: Any,
        counters: Counter[str],
        bounds: Bounds,
        *,
        begin: Callable[[Asked], None],
        load: Callable[[], int],
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._bounds = bounds
        self._begin = begin
        self._load = load
        self._used = used
        self._known: deque[Asked] = deque()
        self._others: deque[Asked] = deque()
        self._waiting: dict[Peer, Asked] = {}
        self._second = 0
        self._heard: Counter[str] = Counter()
        self._later: IDelayedCall | None = None
        self._sampled = (clock.seconds(), used())
        self._extra = 0  # transfers that may be begun beyond the bound until the next sample

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, asked: Asked) -> None:
        """Begin a transfer, let the request wait, or drop it and count why."""
        waiting = self._waiting.get(asked.peer)
        if waiting is not None:
            waiting.packet = asked.packet  # it keeps its place
            return
        if self._too_often(asked.peer[0], asked.since):
            self._counters["too many requests of one client"] += 1
            return
        if asked.known and not self._known and self._room():
            self._begin(asked)
            return
        queue, most = self._known, WAITING
        if not asked.known:
            queue, most = self._others, OTHERS_WAITING
        if len(queue) >= most:
            self._counters["no room to wait"] += 1
            return
        queue.append(asked)
        self._waiting[asked.peer] = asked
        self._look_after(0)

    def go_on(self) -> None:
        """Look who may begin, in the next turn of the reactor: something has ended."""
        if self._waiting:
            self._look_after(0)

    def stop(self) -> None:
        """Forget all that wait."""
        for queue in (self._known, self._others, self._waiting):
            queue.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _too_often(self, address: str, now: float) -> bool:
        if int(now) != self._second or len(self._heard) >= _REMEMBERED:
            self._second = int(now)
            self._heard.clear()
        self._heard[address] += 1
        return self._heard[address] > PER_ADDRESS

    def _room(self) -> bool:
        """Whether one more can be fed; it is begun then."""
        if self._load() < self._bounds.at_once:
            return True
        self._sample()
        if self._extra > 0:
            self._extra -= 1
            return True
        return False

    def _sample(self) -> None:
        """Slow clients leave the process idle: let in some more then."""
        since, before = self._sampled
        now = self._clock.seconds()
        if now - since < _SAMPLE:
            return
        used = self._used()
        idle = used - before < _BUSY * (now - since)
        self._extra = max(self._bounds.at_once // 10, 1) if idle else 0
        self._sampled = now, used

    def _work(self) -> None:
        end = self._clock.seconds() + _SPELL
        for queue in (self._known, self._others):
            while queue and (self._overdue(queue[0]) or self._room()):
                self._start(queue.popleft())
                if self._clock.seconds() >= end:
                    break
        if self._waiting:
            self._look_after(0 if self._load() < self._bounds.at_once else _SAMPLE)

    def _look_after(self, seconds: float) -> None:
        if self._later is not None:
            if self._later.getTime() <= self._clock.seconds() + seconds:
                return
            self._later.cancel()
        self._later = self._clock.callLater(seconds, self._again)

    def _again(self) -> None:
        self._later = None
        self._work()

    def _overdue(self, asked: Asked) -> bool:
        late: bool = self._clock.seconds() - asked.since >= self._bounds.patience
        if late:
            self._counters["waited for long"] += 1
        return late

    def _start(self, asked: Asked) -> None:
        self._waiting.pop(asked.peer, None)
        if self._clock.seconds() - asked.since >= _SAMPLE:
            self._counters["had to wait"] += 1
        self._begin(asked)
