"""What commands do with a file of leases: directly, or through the server that has it open."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from pxetwist.errors import LeaseConflict, StartError, StateUnavailable
from pxetwist.model.lease import Lease
from pxetwist.state.leasefile import BUSY, FileInUse, LeaseFile, read
from pxetwist.state.leases import LeaseTable

_PATIENCE = 10.0  # seconds that a server has to answer
_PAUSE = 0.1


@attrs.frozen
class FileDesk:
    """The leases of a file; a running server makes changes, and knows of them at once."""

    path: Path
    durability: str
    sleep: Callable[[float], None] = time.sleep

    def leases(self) -> list[Lease]:
        """Return every record; none if there is no file."""
        if not self.path.exists():
            return []
        name = f"file:{self.path}?mode=ro"
        try:
            with closing(sqlite3.connect(name, uri=True, timeout=BUSY)) as database:
                found = list(read(database, ""))
        except sqlite3.Error as error:
            raise StateUnavailable(f"cannot read {self.path}: {error}") from error
        return sorted(found, key=lambda lease: (lease.address.version, int(lease.address)))

    def carry_out(self, wishes: Sequence[Lease], now: float) -> list[str]:
        """Make these records, or let the server do it."""
        try:
            file = LeaseFile(self.path, self.durability)
        except FileInUse:
            return _asked_for(self.path, wishes, now, self.sleep)
        except StartError as error:
            raise StateUnavailable(str(error)) from error
        with closing(file):
            table, made, answers = LeaseTable(file.load(), in_order=True), [], []
            for wish in wishes:
                try:
                    made.append(table.apply(wish, now))
                    answers.append("")
                except LeaseConflict as conflict:
                    answers.append(str(conflict))
            file.store(made)
        return answers


def _asked_for(
    path: Path, wishes: Sequence[Lease], now: float, sleep: Callable[[float], None]
) -> list[str]:
    try:
        with closing(sqlite3.connect(path, timeout=BUSY, isolation_level=None)) as database:
            numbers = _ask(database, wishes, now)
            for _ in range(round(_PATIENCE / _PAUSE)):
                sleep(_PAUSE)
                answers = _answers(database, numbers)
                if None not in answers:
                    break
            marks = ",".join("?" * len(numbers))
            database.execute(
                f"delete from request where number in ({marks}) and answer is not null", numbers
            )
    except sqlite3.Error as error:
        raise StateUnavailable(f"cannot use {path}: {error}") from error
    late = "the server has not answered; it will be done when it can be, within a day"
    return [late if answer is None else answer for answer in answers]


def _ask(database: sqlite3.Connection, wishes: Sequence[Lease], now: float) -> list[int]:
    numbers = []
    database.execute("begin immediate")
    for w in wishes:
        row = (now, str(w.address), w.key, w.network, w.hostname, w.state.value, w.ends)
        made = database.execute(
            "insert into request (made, address, key, network, hostname, state, ends)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        assert made.lastrowid is not None
        numbers.append(made.lastrowid)
    database.execute("commit")
    return numbers


def _answers(database: sqlite3.Connection, numbers: Sequence[int]) -> list[str | None]:
    found = dict(
        database.execute(
            "select number, answer from request where number between ? and ?",
            (numbers[0], numbers[-1]),
        ).fetchall()
    )
    return [found.get(number) for number in numbers]
