"""A folder of files that were fetched, up to a size: the one longest unused makes room.

Each file has a record beside it, which is written last: what has none is half a file of a crash,
and removed at the next start. Names are random, so that no path of anybody is one of the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Any

import attrs

_PART, _DATA, _RECORD = ".part", ".data", ".json"


@attrs.frozen
class Record:
    """What is known of a file: its path in the mirror, what the mirror said of it, and when
    (seconds since the epoch) it was last there unchanged. `sha256` is in hexadecimal.
    """

    name: str
    path: str
    size: int
    sha256: str
    checked: float
    modified: float = 0.0
    tag: str = ""
    etag: str = ""
    last_modified: str = ""


@attrs.define(eq=False)
class Part:
    """A file on its way; it is open for reading and writing, and may become `reserved` long."""

    name: str
    descriptor: int
    reserved: int = 0


class CacheFolder:
    """The files, which take up to `limit` bytes together with those on their way."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._taken = 0

    def load(self) -> None:
        """Read the records, and remove what belongs to none.

        :raises OSError: if it cannot be read or written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        found = []
        for file in self._folder.glob(f"*{_RECORD}"):
            record = _read(file)
            if record is not None:
                found.append((file.stat().st_mtime, record))
        self._records.clear()
        self._taken = 0
        for _, record in sorted(found, key=lambda each: (each[0], each[1].checked)):
            self.add(record)
        names = {record.name for record in self._records.values()}
        for file in self._folder.iterdir():
            if file.suffix in (_PART, _DATA, _RECORD) and file.stem not in names:
                file.unlink()
        self._make_room(0)

    def get(self, path: str) -> Record | None:
        """Return what is known of a path."""
        return self._records.get(path)

    def open(self, record: Record, now: float) -> int | None:
        """Return a descriptor of its file, which is in use now; `None` if somebody removed it."""
        try:
            descriptor = os.open(self._file(record.name, _DATA), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.drop(record.path)
            return None
        self._records.move_to_end(record.path)
        self._touch(record, now)
        return descriptor

    def _touch(self, record: Record, now: float) -> None:
        """Remember, over a restart as well, when a file was used."""
        with contextlib.suppress(OSError):
            os.utime(self._file(record.name, _RECORD), (now, now))

    def begin(self) -> Part:
        """Begin a file.

        :raises OSError: if it cannot be made.
        """
        name = secrets.token_hex(16)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return Part(name, os.open(self._file(name, _PART), flags, 0o644))

    def reserve(self, part: Part, size: int) -> bool:
        """Make room for a part of that size; false if it cannot fit in."""
        more = max(size - part.reserved, 0)
        if not self._make_room(more):
            return False
        part.reserved += more
        self._taken += more
        return True

    def discard(self, part: Part) -> None:
        """Remove a part, and close it."""
        self._taken -= part.reserved
        part.reserved = 0
        os.close(part.descriptor)
        with contextlib.suppress(OSError):
            self._file(part.name, _PART).unlink()

    def finish(self, part: Part, record: Record) -> None:
        """Let a part be a file that survives a crash, in a thread; :meth:`add` comes after it.

        :raises OSError: if it cannot be written.
        """
        os.fsync(part.descriptor)
        self._file(part.name, _PART).rename(self._file(part.name, _DATA))
        self.write(record, durable=True)

    def settle(self, part: Part, record: Record) -> None:
        """Let a finished part take the place of what was there before, and close it."""
        self._taken -= part.reserved
        os.close(part.descriptor)
        self.add(record)
        self._touch(record, record.checked)
        self._make_room(0)

    def add(self, record: Record) -> None:
        """Know a file."""
        self.drop(record.path)
        self._records[record.path] = record
        self._taken += record.size

    def note(self, record: Record) -> None:
        """Replace what is known of a file."""
        self._records[record.path] = record
        with contextlib.suppress(OSError):  # it is asked for anew after a start, that is all
            self.write(record)

    def write(self, record: Record, *, durable: bool = False) -> None:
        """Write a record, at once or not at all.

        :raises OSError: if it cannot be written.
        """
        file = self._file(record.name, _RECORD)
        temporary = file.with_suffix(f"{_RECORD}{_PART}")
        with temporary.open("w") as into:
            json.dump(attrs.asdict(record), into)
            into.flush()
            if durable:
                os.fsync(into.fileno())
        temporary.replace(file)
        if durable:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def drop(self, path: str) -> None:
        """Remove a file; who has it open keeps it."""
        record = self._records.pop(path, None)
        if record is None:
            return
        self._taken -= record.size
        for suffix in (_RECORD, _DATA):
            with contextlib.suppress(OSError):
                self._file(record.name, suffix).unlink()

    def _make_room(self, size: int) -> bool:
        """Remove what is unused for long until so many bytes fit in; nothing if they never do."""
        if self._taken + size <= self._limit:
            return True
        removable = sum(record.size for record in self._records.values())
        if self._taken - removable + size > self._limit:
            return False
        while self._taken + size > self._limit:
            self.drop(next(iter(self._records)))
        return True

    def _file(self, name: str, suffix: str) -> Path:
        return self._folder / f"{name}{suffix}"


def _read(file: Path) -> Record | None:
    """Return a record whose file is there, and whole."""
    try:
        said: dict[str, Any] = json.loads(file.read_text())
        record = Record(**said)
        whole = file.with_suffix(_DATA).stat().st_size == record.size
    except (OSError, ValueError, TypeError):
        return None
    return record if whole and record.name == file.stem else None
