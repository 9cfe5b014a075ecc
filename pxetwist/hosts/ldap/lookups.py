"""Look-ups of many machines: those that come while all connections are busy go together.

A thread that becomes free takes its share of them and asks for all at once on its connection
(RFC 4511 §3.1), so that threads, packets and the way to the server cost each of them little.
Servers tell the answers apart by number, so no machine ever gets what belongs to another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap.conversations import Conversation, Round, Talk
from pxetwist.hosts.ldap.faults import ServerFault
from pxetwist.hosts.ldap.pool import SessionPool
from pxetwist.hosts.ldap.session import Session
from pxetwist.model.machine import Machine

#: A server that needs no more for each (seconds) answers as fast as one thread can ask.
_QUICK = 0.0005

#: What comes of a look-up.
Outcome = Machine | None | Exception
#: How a look-up is begun anew with a session, for servers are not all alike.
Begin = Callable[[Session], Conversation[Machine | None]]


@attrs.define(eq=False)
class _Lookup:
    """One machine that is looked for, on behalf of somebody who waits."""

    begin: Begin
    asker: Deferred[Machine | None] = attrs.field(factory=Deferred)
    told: bool = False


@attrs.define(eq=False)
class Lookups:
    """Answers look-ups from `connections` threads, which `in_thread` starts.

    At most `most` are under way on a connection. They are fewer if the server is slow and answers
    one after the other, so that the last one still has its answer in half the time (`timeout`,
    seconds) that a server may take.
    """

    reactor: Any
    sessions: SessionPool
    in_thread: Callable[[Callable[[], object]], object]
    connections: int
    most: int
    timeout: float
    _lock: Lock = attrs.field(factory=Lock)
    _waiting: deque[_Lookup] = attrs.field(factory=deque)
    _threads: int = 0
    _ahead: int = 1
    _quick: bool = False

    async def find(self, begin: Begin) -> Machine | None:
        """Look for a machine.

        :raises DirectoryUnavailable: if no server answers.
        """
        lookup = _Lookup(begin)
        with self._lock:
            self._waiting.append(lookup)
            start = self._threads < self._useful
            self._threads += start
        if start:
            self.in_thread(self._serve)
        return await lookup.asker

    @property
    def _useful(self) -> int:
        """How many connections are of use: more than one thread has no time for a quick server."""
        return 1 if self._quick else self.connections

    @property
    def room(self) -> int:
        """How many look-ups are of use at a time: as many wait as are under way."""
        return 2 * self.connections * self._ahead

    def _serve(self) -> None:
        """Run in a thread: answer look-ups until there are no more."""
        while lookups := self._share():
            began = self.reactor.seconds()
            whole = self._answer(lookups, began + 2 * self.timeout)
            each = (self.reactor.seconds() - began) / len(lookups)
            if len(lookups) > 1 or not whole:  # a single one says little
                self._quick = whole and each < _QUICK * self._threads
            ahead = int(self.timeout / 2 / each) if each > 0 else self.most
            if whole:
                self._ahead = max(1, min(ahead, self.most))

    def _share(self, open_: int = 0) -> list[_Lookup]:
        """Take so many look-ups that all connections have the same, beside those that are open.

        If there are none, nor any open, the thread ends.
        """
        with self._lock:
            share = min(
                -(-len(self._waiting) // max(self._useful, self._threads)), self._ahead - open_
            )
            found: list[_Lookup] = []
            while self._waiting and len(found) < share:
                lookup = self._waiting.popleft()
                if not lookup.asker.called:  # nobody waits any more
                    found.append(lookup)
            if not found and not open_:
                self._threads -= 1
            return found

    def _answer(self, lookups: list[_Lookup], latest: float) -> bool:
        """Answer look-ups, or fail; say whether all went well.

        One of them may be what breaks connections: then halves are asked for, and so on, but not
        for longer than `latest` (seconds).
        """
        broken = False

        def work(session: Session) -> None:
            nonlocal broken
            broken = False
            try:
                fault = self._talk(session, lookups, latest)
            except ServerFault as breach:
                broken = not breach.silent
                raise
            if fault is not None:
                raise fault

        error: Exception
        try:
            self.sessions.ask(work)
            return True
        except DirectoryUnavailable as unavailable:
            error = unavailable
        except Exception as bug:
            error, broken = bug, False
        self._ahead = 1
        left = [each for each in lookups if not each.told]
        if broken and len(left) > 1 and self.reactor.seconds() < latest:
            half = len(left) // 2
            for part in (left[:half], left[half:]):
                self._answer(part, latest)
        else:
            self._hand_over([(each, error) for each in left])
        return False

    def _talk(self, session: Session, lookups: list[_Lookup], latest: float) -> ServerFault | None:
        """Have all talks at once, and hand over what comes of them, whatever happens.

        If the server is quick others join for a while, so that it always has questions; they are
        added to the look-ups.
        """
        talks = {each: Talk(each.begin(session)) for each in lookups if not each.told}

        def more(open_: int) -> list[Talk[Machine | None]]:
            if not 0 < 2 * open_ <= self._ahead == self.most:
                return []
            if self.reactor.seconds() > latest - self.timeout:
                return []
            self._hand_over_ended(talks)
            others = {each: Talk(each.begin(session)) for each in self._share(open_)}
            talks.update(others)
            lookups.extend(others)
            return list(others.values())

        try:
            return Round[Machine | None](session).talk(list(talks.values()), more)
        finally:
            self._hand_over_ended(talks)

    def _hand_over_ended(self, talks: dict[_Lookup, Talk[Machine | None]]) -> None:
        ended = [each for each, talk in talks.items() if talk.ended]
        self._hand_over([(each, talks.pop(each).outcome) for each in ended])

    def _hand_over(self, outcomes: list[tuple[_Lookup, Outcome]]) -> None:
        if outcomes:
            for lookup, _ in outcomes:
                lookup.told = True
            self.reactor.callFromThread(_tell, outcomes)


def _tell(outcomes: list[tuple[_Lookup, Outcome]]) -> None:
    """Run in the reactor's thread: tell those who still wait."""
    for lookup, outcome in outcomes:
        if lookup.asker.called:
            continue
        if isinstance(outcome, Exception):
            lookup.asker.errback(outcome)
        else:
            lookup.asker.callback(outcome)
