"""A board on which processes of one server note what all of them must know at once.

What one has put there, all others read from then on: SQLite's transactions see to that. Nothing is
waited for the disk, since nothing outlives the server; the file is as quick as memory, so that it
is read and written where it is needed, without threads. Who puts a note must do so before the
answer leaves that makes others ask for it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.application.service import Service

from pxetwist.errors import StartError, StateUnavailable
from pxetwist.state.database import make_file

#: How long to wait for another process that is writing, in seconds.
BUSY = 1.0
_NONCE = 12  # bytes, as NIST SP 800-38D wants it
_SCHEMA = """
    create table if not exists note (
        key text primary key,
        stamp integer not null,
        planned integer not null,
        content blob not null
    );
    create table if not exists place (address blob primary key, key text not null)
"""
_READ = """
    select stamp, planned, case when stamp = ? then null else content end
    from note where key = ?
"""


class Board(Service):
    """Notes by key, each with a stamp that no other version has, and keys by address.

    The `owner` begins with an empty one. Notes hold what answers are filled with: on the disk they
    are sealed with a `key` that no file has.
    """

    def __init__(self, path: Path, key: bytes, *, owner: bool) -> None:
        self.path = path
        self.key = key
        self._seal = AESGCM(key)
        self._owner = owner
        self._database: sqlite3.Connection

    def startService(self) -> None:
        """Open it.

        :raises StartError: if that cannot be.
        """
        try:
            if self._owner:
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            make_file(self.path)
            database = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None)
            database.execute("pragma synchronous = off")
            if self._owner:
                database.execute("pragma journal_mode = wal")
                database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StartError(f"cannot use {self.path}: {error}") from error
        self._database = database
        super().startService()

    def stopService(self) -> None:
        """Close it."""
        super().stopService()
        self._database.close()

    def get(self, key: str, known: int = 0) -> tuple[int, bool, bytes | None] | None:
        """Return the stamp of a note, whether its plan still holds, and its content, unless that
        is the one with the `known` stamp; `None`: there is no such note.

        :raises StateUnavailable: if it cannot be read, as all methods do.
        """
        found = self._run(_READ, known, key).fetchone()
        if not found:
            return None
        stamp, planned, sealed = found
        try:
            content = sealed and self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], key.encode())
        except InvalidTag:
            raise StateUnavailable(f"{self.path}: somebody else writes there") from None
        return stamp, bool(planned), content

    def put(self, key: str, content: bytes) -> int:
        """Put a note, in the place of the one that was there; return its stamp."""
        stamp = time.monotonic_ns()  # no two: writers exclude one another
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._seal.encrypt(nonce, content, key.encode())
        self._run("insert or replace into note values (?, ?, 1, ?)", key, stamp, sealed)
        return stamp

    def drop(self, key: str) -> None:
        """Remove a note."""
        self._run("delete from note where key = ?", key)

    def forget_plans(self) -> None:
        """Let no plan hold any more."""
        self._run("update note set planned = 0, stamp = ? where planned", time.monotonic_ns())

    def locate(self, address: int, key: str) -> None:
        """Note whose an address is; none of IPv6 is below 2**32."""
        self._run("insert or replace into place values (?, ?)", address.to_bytes(16, "big"), key)

    def leave(self, address: int) -> None:
        """Forget whose an address is."""
        self._run("delete from place where address = ?", address.to_bytes(16, "big"))

    def key_at(self, address: int) -> str:
        """Return whose an address is; empty: nobody's."""
        where = "select key from place where address = ?"
        found = self._run(where, address.to_bytes(16, "big")).fetchone()
        return str(found[0]) if found else ""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other writers out, from before what is read until after what is written."""
        self._run("begin immediate")
        try:
            yield
            self._run("commit")
        finally:
            if self._database.in_transaction:
                self._database.rollback()

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise StateUnavailable(f"{self.path}: {error}") from error
