"""The SQLite file of leases: its schema, its lock, its transactions."""

from __future__ import annotations

import fcntl
import heapq
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain
from pathlib import Path
from typing import Any

from pxetwist.errors import StartError
from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.database import Schema, Session
from pxetwist.state.groups import Group, Outcome, StoredNoMore, Wish

#: How long to wait for a database that somebody else has locked, in seconds.
BUSY = 2.0
#: So much of the write-ahead log is kept when it has become longer.
_LOG = 64 << 20

#: What brings the schema from each version to the next; never change one that was released.
UPGRADES = (
    """
    create table lease (
        address integer primary key,
        key text not null,
        network text not null,
        hostname text not null,
        state text not null,
        ends real not null
    )
    """,
    """
    create table lease6 (
        address blob primary key,
        key text not null,
        network text not null,
        hostname text not null,
        state text not null,
        ends real not null
    )
    """,
    """
    create table request (
        number integer primary key autoincrement,
        made real not null,
        address text not null,
        key text not null,
        network text not null,
        hostname text not null,
        state text not null,
        ends real not null,
        taken integer not null default 0,
        answer text
    )
    """,
)
SCHEMA = Schema("leases", UPGRADES)
_TABLES = ("lease", "lease6")
_ROW = "(?, ?, ?, ?, ?, ?)"
#: So many rows go into one statement: between two of them the reactor may want to work.
_ROWS = 64
_STATES = {state.value: state for state in LeaseState}
#: What a command is told when it is done; anything else says why not.
DONE = ""
#: A command that was killed leaves its requests behind: those that were answered go after an hour,
#: the others after a day (seconds).
_ANSWERED, _UNANSWERED = 3600.0, 86400.0


class FileInUse(StartError):
    """Another server has the file open."""


class LeaseFile:
    """The database, locked against other servers; commands may ask something of it.

    :raises StartError: if it cannot be opened, is of a newer version, or is in use.
    """

    interval = 1.0
    alone = True

    def __init__(self, path: Path, durability: str) -> None:
        with ExitStack() as undo:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._lock = _locked(path)
                undo.callback(os.close, self._lock)
                # Made here, for nobody but us, and before SQLite: to close any descriptor of
                # a database drops the process's locks on it.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                self._database = sqlite3.connect(
                    path, timeout=BUSY, isolation_level=None, check_same_thread=False
                )
                undo.callback(self._database.close)
                self._database.execute("pragma journal_mode = wal")
                self._database.execute(f"pragma journal_size_limit = {_LOG}")
                self._database.execute(f"pragma synchronous = {durability}")
                self._upgrade(path)
                self._expire()
                # What was taken by a server that ended was not answered by it.
                self._database.execute("update request set taken = 0 where answer is null")
            except (OSError, sqlite3.Error) as error:
                raise StartError(f"cannot use {path}: {error}") from error
            undo.pop_all()
        self._path = path
        self._place = _place(path)
        self._version = -1
        self._failing = False  # the last time that something was to be stored

    def load(self) -> Iterable[Lease]:
        """Return every record, those that end first first."""
        return read(self._database, "order by ends")

    def exchange(self, group: Group) -> Outcome:
        """Store what has changed, forget what is too old, and look what commands have asked.

        :raises StoredNoMore: if somebody has removed or exchanged the file.
        """
        if _place(self._path) != self._place:
            raise StoredNoMore("it was removed or exchanged; start the server again")
        answers = [(DONE, change.request) for change in group.changes if change.request]
        answers += [(refusal.reason, refusal.number) for refusal in group.refusals]
        if group.changes or answers or self._failing:
            self.store((change.record for change in group.changes), answers)
        if group.prune > 0:
            for table in _TABLES:
                self._database.execute(f"delete from {table} where ends < ?", (group.prune,))
        if time.monotonic() - self._expired > _ANSWERED:
            self._expire()
        [(version,)] = self._database.execute("pragma data_version")
        if version == self._version:
            return Outcome()
        wishes = self._wishes()
        self._version = version
        return Outcome(wishes=wishes)

    def close(self) -> None:
        """Close the database and let go of the lock."""
        self._database.close()
        os.close(self._lock)

    def store(self, records: Iterable[Lease], answers: Iterable[tuple[str, int]] = ()) -> None:
        """Store records, and answers to commands, in one transaction; it is durable when this
        returns.

        :raises sqlite3.Error: if nothing was stored.
        """
        rows: dict[str, list[tuple[object, ...]]] = {table: [] for table in _TABLES}
        for r in records:
            # SQLite's whole numbers have 64 bits
            four = r.address.version == 4
            where = int(r.address) if four else r.address.packed
            row = (where, r.key, r.network, r.hostname, r.state.value, r.ends)
            rows[_TABLES[0] if four else _TABLES[1]].append(row)
        database = self._database
        failed, self._failing = self._failing, True
        database.execute("begin immediate")
        try:
            if failed:  # what can be read may still not be written
                database.execute(f"pragma user_version = {len(UPGRADES)}")
            for table, changed in rows.items():
                for start in range(0, len(changed), _ROWS):
                    self._upsert(table, changed[start : start + _ROWS])
            database.executemany("update request set answer = ? where number = ?", answers)
            database.execute("commit")
        except BaseException:
            if database.in_transaction:
                database.execute("rollback")
            raise
        self._failing = False

    def _expire(self) -> None:
        """Remove requests that nobody waits for any more."""
        self._expired, now = time.monotonic(), time.time()
        self._database.execute(
            "delete from request where made < ? or (made < ? and answer is not null)",
            (now - _UNANSWERED, now - _ANSWERED),
        )

    def _upsert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        values = ", ".join([_ROW] * len(rows))
        statement = f"insert or replace into {table} values {values}"
        self._database.execute(statement, [*chain.from_iterable(rows)])

    def _wishes(self) -> list[Wish]:
        """Take what commands have written since, each once."""
        where = "from request where not taken and answer is null"
        database = self._database
        [(waiting,)] = database.execute(f"select count(*) {where}")
        if not waiting:
            return []
        database.execute("begin immediate")
        try:
            found = database.execute(f"select number, {_COLUMNS} {where} order by number")
            wishes = [Wish(number, _lease(row)) for number, *row in found.fetchall()]
            database.execute("update request set taken = 1 where answer is null")
            database.execute("commit")
        finally:
            if database.in_transaction:
                database.execute("rollback")
        return wishes

    def _upgrade(self, path: Path) -> None:
        database = self._database
        [(version,)] = database.execute("pragma user_version")
        if version > len(UPGRADES):
            raise StartError(f"{path} was written by a newer pxetwist (schema {version})")
        for number, script in enumerate(UPGRADES[version:], version + 1):
            database.execute("begin immediate")
            database.execute(script)
            database.execute(f"pragma user_version = {number}")
            database.execute("commit")


_COLUMNS = "address, key, ends, network, hostname, state"


def read(database: sqlite3.Connection, how: str) -> Iterator[Lease]:
    """Return every record of a database, sorted as `how` says."""
    four = database.execute(f"select {_COLUMNS} from lease {how}")
    six = database.execute(f"select {_COLUMNS} from lease6 {how}")
    intern, states = sys.intern, _STATES
    # Millions of them: no text twice, nothing looked up that is known.
    leases4 = (
        Lease(IPv4Address(number), key, ends, intern(network), hostname, states[state])
        for number, key, ends, network, hostname, state in four
    )
    leases6 = (
        Lease(IPv6Address(packed), key, ends, intern(network), hostname, states[state])
        for packed, key, ends, network, hostname, state in six
    )
    return heapq.merge(leases4, leases6, key=lambda lease: lease.ends)


def find(address: IPv4Address | IPv6Address, session: Session) -> Lease | None:
    """Return the record of an address, in any process."""
    four = address.version == 4
    table, where = (_TABLES[0], int(address)) if four else (_TABLES[1], address.packed)
    statement = f"select {_COLUMNS} from {table} where address = :where"
    return next((_lease(row) for row in session.rows(statement, where=where)), None)


def _lease(row: Iterable[Any]) -> Lease:
    address, key, ends, network, hostname, state = row
    return Lease(ip_address(address), key, ends, network, hostname, _STATES[state])


def _place(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from all others; `None`: it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _locked(path: Path) -> int:
    """Lock out other servers and return the lock's descriptor."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise FileInUse(f"{path} is in use by another pxetwist") from error
    return lock
