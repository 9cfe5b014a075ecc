"""Orders in a file of SQLite's."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import StateUnavailable
from pxetwist.state.database import Database, SqliteDatabase
from pxetwist.state.orders import SCHEMA
from tests.contract.order_store import ContractCase


class SqliteTests(ContractCase):
    __test__ = True

    def make_database(self) -> Database:
        if not hasattr(self, "file"):
            self.file = Path(self.mktemp()).absolute() / "orders.sqlite"
        return SqliteDatabase(self.file)


class FileTests(SynchronousTestCase):
    def test_an_empty_file(self) -> None:
        """Who made it could not write into it, for the disk was full: there are no orders."""
        file = Path(self.mktemp()).absolute()
        file.touch()
        self.assertIsNone(SqliteDatabase(file).connect(SCHEMA, change=False))
        self.assertEqual(file.stat().st_size, 0)

    def test_only_who_is_locked_out_waits(self) -> None:
        """All machines wait for the answer."""

        class Full:
            def execute(self, statement: str) -> None:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error

            def close(self) -> None:
                pass

        self.patch(sqlite3, "connect", lambda *_, **__: Full())
        self.patch(time, "sleep", lambda _: self.fail())
        database = SqliteDatabase(Path(self.mktemp()).absolute())
        self.assertRaises(StateUnavailable, database.connect, SCHEMA, change=True)
