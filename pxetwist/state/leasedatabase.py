"""One server's connection to the table of leases in PostgreSQL.

Who looks for news asks for all rows that were written by transactions which had not ended when he
looked last: none is missed, however they overlap, and one that is seen twice does no harm.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event, Lock, Thread

import attrs

from pxetwist.model.lease import Lease
from pxetwist.state.database import (
    ConnectionBroke,
    PostgresDatabase,
    PostgresSession,
    Rows,
    Session,
)
from pxetwist.state.groups import Change, Group, Outcome
from pxetwist.state.leasetables import NEWS, SCHEMA, horizon, leases_of, pages, present, store

#: A group that takes longer (seconds) is given up: who asked has gone.
PATIENCE = 2.5


class LeaseDatabase:
    """One server's connection, made anew whenever it is broken."""

    interval = 0.5
    alone = False

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._node = secrets.token_hex(4)
        self._session: PostgresSession | None = None
        self._horizon = 0
        self._unsure = False  # whether what we have stored last is stored
        self._looked = -self.interval
        self._watch = _Watch()

    def load(self) -> Iterable[Lease]:
        """Tell them with the first news."""
        return ()

    def exchange(self, group: Group) -> Outcome:
        """Store a group, and read what others have stored if that is wanted or due."""
        began = time.monotonic()
        while True:
            fresh = self._session is None
            try:
                return self._attempt(group)
            except ConnectionBroke:
                if fresh or time.monotonic() - began > 1:
                    raise

    def _attempt(self, group: Group) -> Outcome:
        try:
            if self._session is None:
                self._session = PostgresSession(self._database)
                with self._watch.over(self._session):
                    self._session.upgrade(SCHEMA)
            loaded = () if self._horizon else self._everything(self._session)
            with self._watch.over(self._session):
                outcome = self._exchanged(group, self._session)
            stored = {each.record.address for each in group.changes if each not in outcome.lost}
            before = [lease for lease in loaded if lease.address not in stored]
            after = () if self._horizon else self._everything(self._session)
            return attrs.evolve(outcome, news=[*before, *outcome.news, *after])
        except BaseException:
            self._unsure = True
            session, self._session = self._session, None
            if session is not None:
                session.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._watch.stop()
        if self._session is not None:
            self._session.close()

    def _exchanged(self, group: Group, session: PostgresSession) -> Outcome:
        lasting: list[Lease] = []
        lost = self._stored(group.changes, session, lasting) if group.changes else {}
        if group.prune > 0:
            statement = "delete from pxetwist_lease where ends < :before"
            session.alone(statement, before=group.prune)
        news: list[Lease] = []
        due = time.monotonic() - self._looked >= self.interval
        if group.looks or due or self._unsure:
            news = self._news(session)
        return Outcome(lost, [*lasting, *news])

    def _everything(self, session: PostgresSession) -> Sequence[Lease]:
        """Read all that is there, page by page; what is changed meanwhile will be news."""
        leases: list[Lease] = []
        with self._watch.over(session):
            number = horizon(session)
        asked = pages(session)
        while True:
            with self._watch.over(session):
                page = next(asked, None)
            if page is None:
                break
            leases += page
        self._horizon = number
        return sorted(leases, key=lambda lease: lease.ends)

    def _stored(
        self, changes: Sequence[Change], session: PostgresSession, lasting: list[Lease]
    ) -> dict[Change, Lease | None]:
        """Store changes; return those that another server's record excludes, and add to `lasting`
        what was not written again.
        """
        rounds = list(_rounds(changes))
        if len(rounds) == 1:
            lost = self._store(rounds[0], session.alone, lasting)
        else:
            lost = session.run(partial(self._all_rounds, rounds, lasting), change=True)
        if not lost:
            return {}
        found = present((str(change.record.address) for change in lost), session)
        return {change: found.get(str(change.record.address)) for change in lost}

    def _all_rounds(
        self, rounds: Sequence[Sequence[Change]], lasting: list[Lease], session: Session
    ) -> list[Change]:
        lasting.clear()  # it may be done twice
        lost: list[Change] = []
        for changes in rounds:
            # What comes later counts.
            addresses = {each.record.address for each in changes}
            lasting[:] = [each for each in lasting if each.address not in addresses]
            lost += self._store(changes, session.rows, lasting)
        return lost

    def _store(
        self, changes: Sequence[Change], rows: Callable[..., Rows], lasting: list[Lease]
    ) -> list[Change]:
        """Store changes of different addresses; return those that are not stored."""
        records = [(each.record, each.since, each.enough) for each in changes]
        refused, there = store(records, self._node, rows)
        lasting += there
        return [each for each in changes if str(each.record.address) in refused]

    def _news(self, session: PostgresSession) -> list[Lease]:
        """Read what others have stored since; everything, if the database is another one."""
        self._looked = time.monotonic()
        node = "" if self._unsure else self._node
        rows = session.alone(NEWS, horizon=self._horizon, node=node)
        number = rows[0][0]
        # A database that was restored on another server counts from another number on.
        self._horizon, self._unsure = number if number >= self._horizon else 0, False
        return list(leases_of(row[1:] for row in rows if row[1] is not None))


def _rounds(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Yield them so that no address is twice in one statement, in their order."""
    rest = list(changes)
    while rest:
        first: dict[object, Change] = {}
        later = []
        for change in rest:
            if first.setdefault(change.record.address, change) is not change:
                later.append(change)
        yield list(first.values())
        rest = later


class _Watch:
    """Breaks a connection whose server does not answer any more: nothing else ends the wait."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._session: Session | None = None
        self._until = 0.0
        self._stopped = Event()
        Thread(target=self._run, name="leases watch", daemon=True).start()

    @contextmanager
    def over(self, session: Session) -> Iterator[None]:
        """Watch over what is done with a session."""
        with self._lock:
            self._session, self._until = session, time.monotonic() + PATIENCE
        try:
            yield
        finally:
            with self._lock:
                self._session = None

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(PATIENCE / 5):
            with self._lock:
                if self._session is not None and time.monotonic() > self._until:
                    self._session.interrupt()
                    self._session = None
