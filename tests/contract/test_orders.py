"""Orders in a file of SQLite's."""

from __future__ import annotations

from pathlib import Path

from pxetwist.state.database import Database, SqliteDatabase
from tests.contract.order_store import ContractCase


class SqliteTests(ContractCase):
    __test__ = True

    def make_database(self) -> Database:
        if not hasattr(self, "file"):
            self.file = Path(self.mktemp()).absolute() / "orders.sqlite"
        return SqliteDatabase(self.file)
