"""Where the files behind keys are, for servers that the kernel lets open no handles.

Kept on the disk, so that the keys mean something after a restart.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pxetwist.model.recent import Recent

#: So many are looked up without asking the file.
_KNOWN = 50_000


class Places:
    """The directory and name under which each key was found last. A place is in the system's
    hands once noted: it outlives our process, whatever happens to that.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: Recent[bytes, tuple[bytes, bytes]] = Recent(_KNOWN)
        self._database: sqlite3.Connection | None = None

    def note(self, key: bytes, directory: bytes, name: bytes) -> None:
        """Remember a place."""
        if self._known.get(key) == (directory, name):
            return
        self._open().execute(
            "INSERT INTO places VALUES (?, ?, ?) ON CONFLICT (key)"
            " DO UPDATE SET directory = excluded.directory, name = excluded.name",
            (key, directory, name),
        )
        self._known.put(key, (directory, name))

    def of(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Return directory and name; `None`: the key is not of here."""
        found = self._known.get(key)
        if found is None:
            wanted = "SELECT directory, name FROM places WHERE key = ?"
            found = self._open().execute(wanted, (key,)).fetchone()
            if found is not None:
                self._known.put(key, found)
        return found

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._database = made = sqlite3.connect(self._file, isolation_level=None)
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = OFF")
            made.execute(
                "CREATE TABLE IF NOT EXISTS places"
                " (key BLOB PRIMARY KEY, directory BLOB, name BLOB) WITHOUT ROWID"
            )
        return self._database

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
