"""How many clients of a service are connected at a time, in all and from one address."""

from __future__ import annotations

from collections import Counter
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from pxetwist.services.sockets6 import host_of

GRACE = 5.0  # seconds that running answers get when the service stops


class Session(Protocol):
    """One client's connection."""

    @property
    def busy(self) -> bool:
        """Whether it is being answered."""

    def leave(self) -> None:
        """End it."""


S = TypeVar("S", bound=Session)


class Sessions(Generic[S]):
    """Those that are there: at most so many, and so many `per_client`."""

    def __init__(self, most: int, per_client: int, counters: Counter[str], clock: Any) -> None:
        self._most = most
        self._per_client = per_client
        self._counters = counters
        self._clock = clock
        self._peers: dict[S, str] = {}
        self._of: Counter[str] = Counter()
        self._empty: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._peers)

    def admit(self, session: S, peer: IAddress | None) -> bool:
        """Take one up, unless there are too many; that is counted."""
        host = host_of(peer)
        if self._empty is not None or len(self._peers) >= self._most:
            self._counters["too many connections"] += 1
            return False
        if self._of[host] >= self._per_client:
            self._counters["too many connections of one client"] += 1
            return False
        self._peers[session] = host
        self._of[host] += 1
        self._counters["connections"] += 1
        return True

    def forget(self, session: S) -> None:
        """Know that one is over."""
        host = self._peers.pop(session, None)
        if host is None:
            return
        self._of[host] -= 1
        if not self._of[host]:
            del self._of[host]
        self.settle()

    def settle(self) -> None:
        """Let the server stop if nobody is left; those who are done leave then."""
        if self._empty is None:
            return
        for session in list(self._peers):
            if not session.busy:
                session.leave()
        if not self._peers and not self._empty.called:
            self._empty.callback(None)

    def drain(self) -> Deferred[None]:
        """End those that nothing is being done for, and the others after a grace time."""
        empty = self._empty = Deferred[None]()
        empty.addTimeout(GRACE, self._clock)
        empty.addBoth(self._drained)
        self.settle()
        return empty

    def _drained(self, result: object) -> None:
        for session in list(self._peers):
            session.leave()
