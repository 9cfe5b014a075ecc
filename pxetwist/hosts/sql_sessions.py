"""Connections to databases, read only; they wait, and are used in threads.

A session asks at most one question at a time. `interrupt` may be called from another thread.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.facts import AnswerUnusable
from pxetwist.hosts.sql_query import Query
from pxetwist.state.database import cut, said

if TYPE_CHECKING:
    import psycopg

Values = Mapping[str, str | None]
Rows = list[dict[str, Any]]

#: One row is the machine; two are one too many.
_ROWS = 2


class SessionLost(DirectoryUnavailable):
    """The connection broke: the question may be put again with another one."""


class Session(Protocol):
    """One connection."""

    def usable(self) -> bool:
        """Whether it still leads where a new one would."""

    def check(self) -> None:
        """Let the database read the query.

        :raises ConfigError: at the line of the mistake.
        :raises DirectoryUnavailable: if it cannot be asked.
        """

    def ask(self, values: Values) -> Rows:
        """Return at most two rows.

        :raises DirectoryUnavailable: if it cannot be asked.
        """

    def interrupt(self) -> None:
        """Let what is asked end soon, with an error."""

    def close(self) -> None:
        """Let go of it."""


class Database(Protocol):
    """Where sessions lead."""

    @property
    def title(self) -> str:
        """What people call it."""

    def connect(self, query: Query, patience: float) -> Session:
        """Open a session, whose questions take at most `patience` seconds.

        :raises DirectoryUnavailable: if it cannot be reached.
        """


#: How its files begin (SQLite, file format 1.3.1); new ones are empty.
_MAGIC = b"SQLite format 3\0"


@attrs.frozen
class SqliteFile:
    """A file of SQLite's."""

    path: Path

    @property
    def title(self) -> str:
        """Its name, without folders."""
        return f"sqlite:{self.path.name}"

    def gap(self) -> str:
        """Say why the file is of no use now; empty if it may be."""
        try:
            with self.path.open("rb") as file:
                beginning = file.read(len(_MAGIC))
        except OSError as error:
            return f"{self.path}: {error.strerror}"
        return "" if beginning in (b"", _MAGIC) else f"{self.path} is no database of SQLite"

    def connect(self, query: Query, patience: float) -> Session:
        """Open the file; it is never made."""
        try:
            return _SqliteSession(self.path, query, patience)
        except (sqlite3.Error, OSError) as error:
            raise DirectoryUnavailable(f"{self.path}: {error}") from error


class _SqliteSession:
    def __init__(self, path: Path, query: Query, patience: float) -> None:
        self._path = path
        self._query = query
        self._patience = patience
        self._until = math.inf
        self._file = self._now()
        self._connection = sqlite3.connect(
            f"{path.as_uri()}?mode=ro",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection.execute("pragma query_only = on")
        self._connection.set_progress_handler(lambda: time.monotonic() > self._until, 10_000)

    def _now(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino

    def usable(self) -> bool:
        try:
            return self._now() == self._file  # inventories are replaced by renaming a new one
        except OSError:
            return False

    def check(self) -> None:
        try:
            cursor = self._run(self._query.named(0), dict.fromkeys(self._query.names))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR:
                raise self._query.error(str(error)) from error
            raise self._away(error) from error
        _check_columns(self._query, [column[0] for column in cursor.description])

    def ask(self, values: Values) -> Rows:
        try:
            cursor = self._run(self._query.named(_ROWS), values)
            names = [column[0].lower() for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.Error as error:
            raise self._away(error) from error

    def _run(self, statement: str, values: Values) -> sqlite3.Cursor:
        self._until = time.monotonic() + self._patience
        return self._connection.execute(
            statement, {name: values[name] for name in self._query.names}
        )

    def _away(self, error: sqlite3.Error) -> DirectoryUnavailable:
        slow = time.monotonic() > self._until
        why = f"no answer within {self._patience:g} s" if slow else str(error)
        return DirectoryUnavailable(f"{self._path}: {why}")

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


@attrs.frozen
class PostgresServer:
    """A database of PostgreSQL's, by its URL; `password` is not part of that."""

    url: str
    title: str
    password: str = attrs.field(default="", repr=False)

    def connect(self, query: Query, patience: float) -> Session:
        """Connect and log in."""
        return _PostgresSession(self, query, patience)


class _PostgresSession:
    def __init__(self, server: PostgresServer, query: Query, patience: float) -> None:
        import psycopg  # noqa: PLC0415  only who uses it needs it

        self._errors = psycopg
        self._server = server
        self._query = query
        try:
            self._connection: psycopg.Connection[Any] = psycopg.connect(
                server.url,
                autocommit=True,
                prepare_threshold=None,  # a changed table must not break a statement kept
                cursor_factory=psycopg.RawCursor,
                application_name="pxetwist",
                connect_timeout=max(2, math.ceil(patience / 2)),
                password=server.password or None,
            )
            self._connection.execute(
                "set default_transaction_read_only = on;"
                f" set statement_timeout = {round(patience * 1000)}"
            )
        except psycopg.Error as error:
            raise self._away(error) from error

    def usable(self) -> bool:
        return not self._connection.closed

    def check(self) -> None:
        psycopg = self._errors
        try:
            cursor = self._run(self._query.numbered(0), dict.fromkeys(self._query.names))
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
            position = error.diag.statement_position
            raise self._query.error(said(error), int(position) if position else None) from error
        except psycopg.Error as error:
            raise self._away(error) from error
        _check_columns(self._query, [column.name for column in cursor.description or ()])

    def ask(self, values: Values) -> Rows:
        try:
            cursor = self._run(self._query.numbered(_ROWS), values)
            names = [column.name.lower() for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except self._errors.DataError as error:  # of a value that is no MAC, number, date…
            raise AnswerUnusable(str(self._away(error))) from error
        except self._errors.Error as error:
            raise self._away(error) from error

    def _run(self, statement: str, values: Values) -> psycopg.Cursor[Any]:
        return self._connection.execute(statement, [values[name] for name in self._query.names])

    def _away(self, error: psycopg.Error) -> DirectoryUnavailable:
        lost = hasattr(self, "_connection") and self._connection.closed
        kind = SessionLost if lost else DirectoryUnavailable
        return kind(f"{self._server.title}: {said(error)}")

    def interrupt(self) -> None:
        cut(self._connection)

    def close(self) -> None:
        self._connection.close()


def _check_columns(query: Query, names: list[str]) -> None:
    if "name" not in map(str.lower, names):
        raise query.error(f"it returns no column 'name' (it returns {', '.join(names)})")
