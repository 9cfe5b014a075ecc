"""The tables of leases in PostgreSQL, and one server's connection to them.

No lock is held by anybody for longer than one statement. Who looks for news asks for all rows
that were written by transactions which had not ended when he looked last: none is missed, however
they overlap, and one that is seen twice does no harm.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from threading import Event, Lock, Thread
from typing import Any

import attrs

from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.database import (
    ConnectionBroke,
    PostgresDatabase,
    PostgresSession,
    Rows,
    Schema,
    Session,
)
from pxetwist.state.grouped import Change, Group, Outcome

#: A group that takes longer (seconds) is given up: who asked has gone.
PATIENCE = 2.5

SCHEMA = Schema(
    "lease",
    (
        """
        create table pxetwist_lease (
            address inet primary key,
            key text not null,
            network text not null,
            hostname text not null,
            state text not null,
            ends double precision not null,
            since double precision not null,
            node text not null,
            written bigint not null
        );
        create index pxetwist_lease_written on pxetwist_lease (written);
        create index pxetwist_lease_ends on pxetwist_lease (ends)
        """,
    ),
)
_THIS = "pg_current_xact_id()::text::bigint"
#: A record takes the place of one that has ended, or of what the same client holds.
_STORE = f"""
    insert into pxetwist_lease as old
        (address, key, ends, network, hostname, state, since, node, written)
    select address, key, ends, network, hostname, state, since, :node, {_THIS}
    from unnest(
        :addresses::text[]::inet[], :keys::text[], :ends::float8[], :networks::text[],
        :hostnames::text[], :states::text[], :since::float8[]
    ) as new (address, key, ends, network, hostname, state, since)
    order by address
    on conflict (address) do update set
        key = excluded.key, ends = excluded.ends, network = excluded.network,
        hostname = excluded.hostname, state = excluded.state, since = excluded.since,
        node = excluded.node, written = excluded.written
    where old.ends <= excluded.since
        or (old.key = excluded.key and old.state in ('offered', 'leased'))
    returning host(address)
"""
_NEWS = """
    with now as (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon)
    select now.horizon, host(address), key, ends, network, hostname, state
    from now left join pxetwist_lease on written >= :horizon and node <> :node
    order by ends
"""
_PAGE = """
    select host(address), key, ends, network, hostname, state from pxetwist_lease
    where address > :last::inet order by address limit 20000
"""
_PRESENT = """
    select host(address), key, ends, network, hostname, state from pxetwist_lease
    where address = any(:addresses::text[]::inet[])
"""
_STATES = {state.value: state for state in LeaseState}


class LeaseDatabase:
    """One server's connection, made anew whenever it is broken."""

    interval = 0.5

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
        lost = self._stored(group.changes, session) if group.changes else {}
        if group.prune > 0:
            statement = "delete from pxetwist_lease where ends < :before"
            session.alone(statement, before=group.prune)
        news: list[Lease] = []
        due = time.monotonic() - self._looked >= self.interval
        if group.looks or due or self._unsure:
            news = self._news(session)
        return Outcome(lost, news)

    def _everything(self, session: PostgresSession) -> Sequence[Lease]:
        """Read all that is there, page by page; what is changed meanwhile will be news."""
        leases: list[Lease] = []
        with self._watch.over(session):
            horizon = _horizon(session)
        last = "0.0.0.0"
        while True:
            with self._watch.over(session):
                page = list(_leases(session.alone(_PAGE, last=last)))
            if not page:
                break
            leases += page
            last = str(page[-1].address)
        self._horizon = horizon
        return sorted(leases, key=lambda lease: lease.ends)

    def _stored(
        self, changes: Sequence[Change], session: PostgresSession
    ) -> dict[Change, Lease | None]:
        """Store changes; return those that another server's record excludes."""
        rounds = list(_rounds(changes))
        if len(rounds) == 1:
            lost = self._store(rounds[0], session.alone)
        else:
            lost = session.run(
                lambda whole: [each for some in rounds for each in self._store(some, whole.rows)],
                change=True,
            )
        if not lost:
            return {}
        addresses = [str(change.record.address) for change in lost]
        found = _leases(session.alone(_PRESENT, addresses=addresses))
        present = {str(record.address): record for record in found}
        return {change: present.get(str(change.record.address)) for change in lost}

    def _store(self, changes: Sequence[Change], rows: Callable[..., Rows]) -> list[Change]:
        """Store changes of different addresses; return those that are not stored."""
        records = [change.record for change in changes]
        addresses = [str(record.address) for record in records]
        found = rows(
            _STORE,
            addresses=addresses,
            keys=[record.key for record in records],
            ends=[record.ends for record in records],
            networks=[record.network for record in records],
            hostnames=[record.hostname.replace("\0", "") for record in records],
            states=[record.state.value for record in records],
            since=[change.since for change in changes],
            node=self._node,
        )
        if len(found) == len(changes):
            return []
        done = {address for (address,) in found}
        return [
            change for change, where in zip(changes, addresses, strict=True) if where not in done
        ]

    def _news(self, session: PostgresSession) -> list[Lease]:
        """Read what others have stored since; everything, if the database is another one."""
        self._looked = time.monotonic()
        node = "" if self._unsure else self._node
        rows = session.alone(_NEWS, horizon=self._horizon, node=node)
        horizon = rows[0][0]
        # A database that was restored on another server counts from another number on.
        self._horizon, self._unsure = horizon if horizon >= self._horizon else 0, False
        return list(_leases(row[1:] for row in rows if row[1] is not None))


def _horizon(session: PostgresSession) -> int:
    """Return the number of the oldest transaction that may not have ended."""
    [(number,)] = session.alone("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return int(number)


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


def _leases(rows: Iterable[Sequence[Any]]) -> Iterator[Lease]:
    for address, key, ends, network, hostname, state in rows:
        yield Lease(ip_address(address), key, ends, sys.intern(network), hostname, _STATES[state])


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
