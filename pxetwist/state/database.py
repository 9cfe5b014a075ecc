"""Small databases that several processes share: a file of SQLite's, or PostgreSQL.

Statements are written once, with ``:name`` for parameters and standard types. All here waits, and
is used in the threads of a :class:`pxetwist.state.pooled.Pool`, or by commands.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from pxetwist.errors import StateUnavailable

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]

#: How long one statement, or the wait for somebody else's transaction, may take, in seconds.
BUSY = 2.0

#: Primary codes of SQLite's errors that pass when others have finished.
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


@attrs.frozen
class Schema:
    """The tables of one feature: `name` it, and say what brings each version to the next.

    Never change a script that was released. Each may hold several statements.
    """

    name: str
    upgrades: tuple[str, ...]


class Session(Protocol):
    """One connection, for one thread at a time."""

    def run(self, work: Callable[[Session], T], *, change: bool) -> T:
        """Do work in one transaction, durable when this returns; `change` if it writes.

        :raises StateUnavailable: if the database cannot be used; nothing was changed, unless
            the connection broke during the commit.
        """

    def rows(self, statement: str, **values: object) -> Rows:
        """Run one statement of the work, and return its rows."""

    def interrupt(self) -> None:
        """Let what runs in another thread end soon, with an error."""

    def close(self) -> None:
        """Let go of it."""


class Database(Protocol):
    """Where sessions lead."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def threads(self) -> int:
        """How many may use it at once."""

    def connect(self, schema: Schema, *, change: bool) -> Session | None:
        """Open a session, make the tables; `None`: nothing is there, and nothing to be changed.

        :raises StateUnavailable: if that cannot be done.
        """


@attrs.frozen
class SqliteDatabase:
    """A file of SQLite's, made when something is first stored; for nobody but its owner."""

    path: Path
    durability: str = "full"
    threads: int = 1

    @property
    def title(self) -> str:
        """Its path."""
        return str(self.path)

    def connect(self, schema: Schema, *, change: bool) -> Session | None:
        """Open the file. Who made an empty one could store nothing in it."""
        try:
            if not change and not (self.path.exists() and self.path.stat().st_size):
                return None
            make_file(self.path)
            session = SqliteSession(self.path, self.durability)
            try:
                session.upgrade(schema)
            except BaseException:
                session.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StateUnavailable(f"{self.path}: {error}") from error
        return session


def make_file(path: Path) -> None:
    """Make the file, and give it to the folder's owner: the server is not always root, but who
    runs commands may be.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            owner = path.parent.stat()
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        finally:
            os.close(descriptor)


class SqliteSession:
    """A connection to the file; other processes may have it open as well."""

    def __init__(self, path: Path, durability: str) -> None:
        self._path = path
        self._connection = sqlite3.connect(
            path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            self._use_wal()
            self._connection.execute(f"pragma synchronous = {durability}")
        except BaseException:
            self._connection.close()
            raise

    def _use_wal(self) -> None:
        """Switch to a write-ahead log. SQLite does not wait for others who do so as well."""
        until = time.monotonic() + BUSY
        while True:
            try:
                self._connection.execute("pragma journal_mode = wal")
                return
            except sqlite3.OperationalError as error:
                locked = error.sqlite_errorcode & 0xFF in _LOCKED
                if not locked or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    def upgrade(self, schema: Schema) -> None:
        """Bring the tables to their present version."""
        [(version,)] = self.rows("pragma user_version")
        if version == len(schema.upgrades):
            return
        self.rows("begin immediate")
        try:
            [(version,)] = self.rows("pragma user_version")
            if version > len(schema.upgrades):
                raise StateUnavailable(f"{self._path} was written by a newer pxetwist")
            for script in schema.upgrades[version:]:
                for statement in _statements(script):
                    self.rows(statement)
            self.rows(f"pragma user_version = {len(schema.upgrades)}")
            self.rows("commit")
        finally:
            if self._connection.in_transaction:
                self.rows("rollback")

    def run(self, work: Callable[[Session], T], *, change: bool) -> T:
        """Do work in one transaction; one that writes excludes all others from its beginning."""
        try:
            self.rows("begin immediate" if change else "begin")
            try:
                result = work(self)
                self.rows("commit")
            finally:
                if self._connection.in_transaction:
                    self.rows("rollback")
        except sqlite3.Error as error:
            raise StateUnavailable(f"{self._path}: {error}") from error
        return result

    def rows(self, statement: str, **values: object) -> Rows:
        """Run one statement."""
        return self._connection.execute(statement, values).fetchall()

    def interrupt(self) -> None:
        """Break off what runs; who waits for a lock gives up by himself."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@attrs.frozen
class PostgresDatabase:
    """A database of PostgreSQL's; the password is not part of the URL."""

    url: str
    title: str
    password: str = attrs.field(default="", repr=False)
    threads: int = 2

    def connect(self, schema: Schema, *, change: bool) -> PostgresSession:
        """Connect and log in; tables are made even if nothing is to be changed."""
        session = PostgresSession(self)
        try:
            session.upgrade(schema)
        except BaseException:
            session.close()
            raise
        return session


class PostgresSession:
    """A connection to a server; a broken one is closed, and no session any more."""

    def __init__(self, database: PostgresDatabase) -> None:
        import psycopg  # noqa: PLC0415  only who uses it needs it

        self._errors = psycopg
        self._title = database.title
        self._connection: psycopg.Connection[Any]
        milliseconds = round(BUSY * 1000)
        try:
            self._connection = psycopg.connect(
                database.url,
                autocommit=True,  # a transaction is begun where one is meant
                prepare_threshold=None,  # an upgraded table must not break a statement kept
                application_name="pxetwist",
                connect_timeout=2,
                password=database.password or None,
                options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
                " -c idle_in_transaction_session_timeout=10000",
            )
        except psycopg.Error as error:
            raise self._away(error) from error

    def upgrade(self, schema: Schema) -> None:
        """Bring the tables to their present version; several servers may start at once."""

        def work(session: Session) -> None:
            # One lock for all of pxetwist's schemas; it ends with the transaction.
            session.rows("select pg_advisory_xact_lock(7985)")
            session.rows(
                "create table if not exists pxetwist_schema (name text primary key, version int)"
            )
            found = session.rows(
                "select version from pxetwist_schema where name = :name", name=schema.name
            )
            version = found[0][0] if found else 0
            if version > len(schema.upgrades):
                raise StateUnavailable(f"{self._title} was written by a newer pxetwist")
            for script in schema.upgrades[version:]:
                for statement in _statements(script):
                    session.rows(statement)
            session.rows(
                "insert into pxetwist_schema values (:name, :version)"
                " on conflict (name) do update set version = :version",
                name=schema.name,
                version=len(schema.upgrades),
            )

        self.run(work, change=True)

    def run(self, work: Callable[[Session], T], *, change: bool) -> T:
        """Do work in one transaction; `work` orders writers by a row that all of them change."""
        try:
            with self._connection.transaction():
                return work(self)
        except self._errors.Error as error:
            raise self._away(error) from error

    def rows(self, statement: str, **values: object) -> Rows:
        """Run one statement."""
        return self._rows(statement, values, prepare=False)

    def alone(self, statement: str, **values: object) -> Rows:
        """Run one statement that is a transaction by itself, and is often run: the server keeps
        its plan. Its columns must not depend on what the tables are.
        """
        try:
            return self._rows(statement, values, prepare=True)
        except self._errors.Error as error:
            raise self._away(error) from error

    def _rows(self, statement: str, values: Mapping[str, object], *, prepare: bool) -> Rows:
        cursor = self._connection.execute(_percented(statement), values, prepare=prepare)
        return cursor.fetchall() if cursor.description else []

    def _away(self, error: psycopg.Error) -> StateUnavailable:
        lost = hasattr(self, "_connection") and self._connection.closed
        return (ConnectionBroke if lost else StateUnavailable)(f"{self._title}: {said(error)}")

    def interrupt(self) -> None:
        """Cut the connection."""
        cut(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class ConnectionBroke(StateUnavailable):
    """A connection was lost: with another one it may work."""


@contextlib.contextmanager
def opened(database: Database, schema: Schema, *, change: bool) -> Iterator[Session | None]:
    """Lend a session, as :meth:`Database.connect` returns it."""
    session = database.connect(schema, change=change)
    try:
        yield session
    finally:
        if session is not None:
            session.close()


def said(error: psycopg.Error) -> str:
    """Return what a server of PostgreSQL's said was wrong, on one line."""
    return " ".join((error.diag.message_primary or str(error)).split())


def cut(connection: psycopg.Connection[Any]) -> None:
    """Cut a connection: nothing else ends the wait for a server that is frozen."""
    import psycopg  # noqa: PLC0415  only who uses it needs it

    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as ours,
    ):
        ours.shutdown(socket.SHUT_RDWR)


@cache
def _percented(statement: str) -> bytes:
    """Return a statement with psycopg's kind of parameters."""
    return _PARAMETER.sub(r"%(\1)s", statement).encode()


def _statements(script: str) -> list[str]:
    return [statement for each in script.split(";") if (statement := each.strip())]


def counted(session: Session, table: str) -> int:
    """Return the number of this change: writers wait here for one another, in their order."""
    session.rows(f"update {table} set number = number + 1")
    [(number,)] = session.rows(f"select number from {table}")
    return int(number)
