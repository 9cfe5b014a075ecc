"""The SQLite file of leases: its schema, its lock, its transactions."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

from pxetwist.errors import StartError
from pxetwist.model.lease import Lease, LeaseState

#: How long to wait for a database that somebody else has locked, in seconds.
BUSY = 2.0

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
)
_TABLES = ("lease", "lease6")
_UPSERT = "insert or replace into {} values (?, ?, ?, ?, ?, ?)"


class LeaseFile:
    """The database, locked against other processes.

    :raises StartError: if it cannot be opened, is of a newer version, or is in use.
    """

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
                self._database.execute(f"pragma synchronous = {durability}")
                self._upgrade(path)
            except (OSError, sqlite3.Error) as error:
                raise StartError(f"cannot use {path}: {error}") from error
            undo.pop_all()

    def load(self) -> list[Lease]:
        """Return every record."""
        return [
            Lease(ip_address(address), key, ends, network, hostname, LeaseState(state))
            for table in _TABLES
            for address, key, ends, network, hostname, state in self._database.execute(
                f"select address, key, ends, network, hostname, state from {table}"
            )
        ]

    def store(self, records: Iterable[Lease]) -> None:
        """Store records in one transaction; it is durable when this returns.

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
        database.execute("begin immediate")
        try:
            for table, changed in rows.items():
                database.executemany(_UPSERT.format(table), changed)
            database.execute("commit")
        except BaseException:
            if database.in_transaction:
                database.execute("rollback")
            raise

    def close(self) -> None:
        """Close the database and let go of the lock."""
        self._database.close()
        os.close(self._lock)

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


def _locked(path: Path) -> int:
    """Lock out other processes and return the lock's descriptor."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StartError(f"{path} is in use by another pxetwist") from error
    return lock
