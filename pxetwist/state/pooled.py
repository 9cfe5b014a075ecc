"""A database behind a bounded pool of threads of its own, so that the reactor never waits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger

from pxetwist.errors import StateUnavailable
from pxetwist.state.database import ConnectionBroke, Database, Schema, Session
from pxetwist.threads import Errand, GivenUp, Threads

T = TypeVar("T")
Work = Callable[[Session], T]

#: Who waits longer than this (seconds) is told that the database is away; ROMs wait for 4 s.
PATIENCE = 2.5
#: So much may wait for a thread.
QUEUE = 500


class Pool:
    """Runs work in transactions; at most `database.threads` at once."""

    def __init__(self, database: Database, schema: Schema, reactor: Any, name: str) -> None:
        self.database = database
        self._schema = schema
        self._reactor = reactor
        self._idle: deque[Session] = deque()
        self._waiting = 0
        self._stopped = False
        self._threads = Threads(reactor, name, database.threads)

    async def change(self, work: Work[T]) -> T:
        """Do work that writes; it is durable when this returns. It may be done twice, if the
        connection breaks: it must not matter.

        :raises StateUnavailable: if that is not sure.
        """
        return await self._run(partial(self._changed, work))

    async def read(self, work: Work[T], nothing: T) -> T:
        """Do work that only reads; return `nothing` if there is no database yet.

        :raises StateUnavailable: if it cannot be read.
        """
        return await self._run(partial(self._found, work, nothing))

    async def _run(self, work: Callable[[Errand], T]) -> T:
        title = self.database.title
        if self._stopped or self._waiting >= QUEUE:
            raise StateUnavailable(f"{title}: {'stopped' if self._stopped else 'too busy'}")
        errand = Errand()
        self._waiting += 1
        try:
            working = self._threads.run(work, errand)
            working.addTimeout(PATIENCE, self._reactor)
            return await working
        except DeferredTimeout:
            errand.give_up()
            raise StateUnavailable(f"{title}: no answer within {PATIENCE:g} s") from None
        except CancelledError:
            errand.give_up()
            raise
        finally:
            self._waiting -= 1

    def _changed(self, work: Work[T], errand: Errand) -> T:
        return self._through(errand, work, change=True)

    def _found(self, work: Work[T], nothing: T, errand: Errand) -> T:
        if not self._idle:
            session = self.database.connect(self._schema, change=False)
            if session is None:
                return nothing
            self._idle.append(session)
        return self._through(errand, work, change=False)

    def _through(self, errand: Errand, work: Work[T], *, change: bool) -> T:
        """Do work with an idle session, and anew with a fresh one if that was broken."""
        while True:
            try:
                session, fresh = self._idle.pop(), False
            except IndexError:
                made = self.database.connect(self._schema, change=True)
                assert made is not None
                session, fresh = made, True
            try:
                return self._asked(errand, session, work, change=change)
            except ConnectionBroke:
                if fresh or errand.given_up:
                    raise

    def _asked(self, errand: Errand, session: Session, work: Work[T], *, change: bool) -> T:
        try:
            with errand.waiting_for(session):
                result = session.run(work, change=change)
        except GivenUp:
            self._idle.append(session)
            raise StateUnavailable(f"{self.database.title}: given up") from None
        except BaseException:
            session.close()
            raise
        self._idle.append(session)
        return result

    def stop(self) -> Deferred[None] | None:
        """Take no more work; fire when what runs has ended."""
        self._stopped = True
        return self._threads.stop(last=self._close)

    def _close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class Refreshed:
    """Keeps a copy of a database in memory that is never older than `age` seconds, unless the
    database is away: then the old one has to do, and nobody waits. One question serves all who
    ask meanwhile; nothing is asked while nobody does.

    `load` brings the copy up to date.
    """

    def __init__(
        self, load: Callable[[], Coroutine[Any, Any, None]], reactor: Any, log: Logger
    ) -> None:
        self.age = 1.0
        self._load = load
        self._reactor = reactor
        self._log = log
        self._read = -math.inf  # when the reading began that the copy is of
        self._tried = -math.inf
        self._loaded = False
        self._error = ""
        self._waiting: list[Deferred[None]] | None = None

    async def fresh(self) -> None:
        """Return when the copy is fresh enough, or has to do.

        :raises StateUnavailable: if there is none at all.
        """
        for _ in range(2):  # a reading that began too early is followed by one more
            now = self._reactor.seconds()
            if self.current:
                return
            self._begin(now)
            if self._waiting is None or (self._error and self._loaded):
                break
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
        if not self._loaded:
            raise StateUnavailable(self._error)

    def wanted(self) -> bool:
        """Whether nobody who asks now has to wait; if not, let it be so soon."""
        current = self.current
        if not current:
            self._begin(self._reactor.seconds())
        return current

    def _begin(self, now: float) -> None:
        """Read, unless that goes on, or was tried just now."""
        if self._waiting is None and now - self._tried >= self.age:
            self._waiting, self._tried = [], now
            Deferred.fromCoroutine(self._attempt(now))

    @property
    def current(self) -> bool:
        """Whether nobody who asks now has to wait."""
        return bool(self._reactor.seconds() - self._read < self.age)

    def expire(self) -> None:
        """Let the next one who asks wait for a new copy: this one is known to be old."""
        self._read = self._tried = -math.inf

    async def _attempt(self, began: float) -> None:
        """Load; it goes on if who asked first has left, since others may wait."""
        before = self._error  # while there is one, nobody waits who can do with the old copy
        try:
            await self._load()
        except StateUnavailable as error:
            self._error = str(error)
            if not before:
                self._log.error("{error}; what was read before has to do", error=error)
        except Exception as bug:  # who waits must not wait for ever
            self._error = repr(bug)
            self._log.failure("reading the database")
        else:
            self._read, self._loaded, self._error = began, True, ""
            if before:
                self._log.info("the database can be read again")
        waiting, self._waiting = self._waiting or [], None
        for each in waiting:
            if not each.called:
                each.callback(None)
