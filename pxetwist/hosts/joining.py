"""Rows of other servers' configurations: several may be about one machine, and some need more.

Their servers look for one fact at a time, so a name may stand in one file, the address in the
next, and two network cards in two blocks. What does not fit into one machine is reported.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import attrs

from pxetwist.errors import Location
from pxetwist.hosts.formats.rows import NamedAddress, Report, Row, Value


@attrs.frozen
class Placed:
    """A row and the report of its file."""

    row: Row
    report: Report

    @property
    def location(self) -> Location:
        """Where it stands."""
        return Location(self.report.file, self.row.line)

    def seen_from(self, file: str) -> str:
        """Spell its place for a message about a file."""
        return f"on line {self.row.line}" if self.report.file == file else f"on {self.location}"

    def leave_out(self, message: str) -> None:
        """Report what is not taken over of it."""
        self.report.leave_out(self.row.line, message)


def joined(rows: Iterable[Placed]) -> list[Placed]:
    """Return one row for each machine, in the order of the first ones."""
    joining = _Joining()
    for placed in rows:
        joining.add(placed)
    return joining.rows


class _Joining:
    """Puts together what has a MAC, an id, an address or a name in common."""

    def __init__(self) -> None:
        self.rows: list[Placed] = []
        self._found: dict[Hashable, int] = {}

    def add(self, placed: Placed) -> None:
        """Add a foreign row to the one that it belongs to; any other row stands alone."""
        row = placed.row
        if not row.foreign:
            self.rows.append(placed)
            return
        marks = [*_marks(row), ("address", row.text("address"))]
        number = next((self._found[mark] for mark in marks if mark in self._found), None)
        if number is None:
            placed, number = self._named(placed)
        if number is None:
            number = len(self.rows)
            self.rows.append(placed)
        else:
            self.rows[number] = _merged(self.rows[number], placed)
        row = self.rows[number].row
        for mark in (*_marks(row), ("address", row.text("address")), _name(row)):
            if mark[1]:
                self._found.setdefault(mark, number)

    def _named(self, placed: Placed) -> tuple[Placed, int | None]:
        """Look for the name, unless it has another address there: then it needs another name."""
        row = placed.row
        number = self._found.get(_name(row)) if row.text("name") else None
        if number is None:
            return placed, None
        other = self.rows[number]
        there, here = other.row.text("address"), row.text("address")
        if not there or not here:
            return placed, number
        free = (name for name in row.names if ("name", name.lower()) not in self._found)
        name = next(free, spare_name(row))
        where = other.seen_from(placed.report.file)
        placed.leave_out(
            f"the name {row.text('name')!r} has {there} {where}: with {here} it is named {name!r}"
        )
        return attrs.evolve(
            placed, row=attrs.evolve(row, values={**row.values, "name": name})
        ), None


def _marks(row: Row) -> Iterator[tuple[str, str]]:
    yield from (("mac", mac) for mac in row.words("mac"))
    if value := row.text("client-id"):
        yield "client-id", value
    if port := " ".join(filter(None, map(row.text, ("circuit-id", "remote-id")))):
        yield "port", port


def _name(row: Row) -> tuple[str, str]:
    return "name", row.text("name").lower()


def _merged(first: Placed, other: Placed) -> Placed:
    """Add the facts of another row, and report those that contradict."""
    values: dict[str, Value] = dict(first.row.values)
    for column, value in other.row.values.items():
        old = values.setdefault(column, value)
        if isinstance(old, tuple) and isinstance(value, tuple):
            values[column] = tuple(dict.fromkeys((*old, *value)))
        elif old != value:
            where = first.seen_from(other.report.file)
            other.leave_out(
                f"{column} {value} is not taken over: it is the machine {where}, with {old}"
            )
    names = (*first.row.names, *other.row.names)
    return attrs.evolve(first, row=attrs.evolve(first.row, values=values, names=names))


def spare_name(row: Row) -> str:
    """Return a name for a machine that has none: its MAC with hyphens."""
    macs = row.words("mac")
    if macs:
        return macs[0].replace(":", "-")
    ids = map(row.text, ("client-id", "circuit-id", "remote-id"))
    return "id-" + next(filter(None, ids), "").replace(":", "-")


class Addresses:
    """Gives machines the addresses of their names, and names to those that have but an address."""

    def __init__(self, facts: Iterable[tuple[NamedAddress, Report]]) -> None:
        self._facts = list(facts)
        self._by_name: dict[str, NamedAddress] = {}
        self._by_address: dict[str, str] = {}
        self._used: set[int] = set()
        for fact, _ in self._facts:
            for name in fact.names:
                self._by_name.setdefault(name.lower(), fact)
            self._by_address.setdefault(str(fact.address), fact.names[0])

    def completed(self, rows: list[Placed]) -> list[Placed]:
        """Return the rows with what was missing, and report what helped nobody."""
        taken = {row.row.text("address"): row for row in rows} if self._facts else {}
        complete = [self._complete(placed, taken) for placed in rows]
        for fact, report in self._facts:
            if fact.promised and id(fact) not in self._used:
                message = "a machine known by nothing but a name is not taken over"
                report.leave_out(fact.line, message)
        return complete

    def _complete(self, placed: Placed, taken: dict[str, Placed]) -> Placed:
        row, added = placed.row, dict[str, Value]()
        if row.foreign and not row.text("name"):
            added["name"] = self._by_address.get(row.text("address"), "") or spare_name(row)
        if self._by_name and not row.text("address"):
            address = self._address(row, placed, taken)
            if address:
                added["address"] = address
        if row.foreign and not row.text("address") and "address" not in added and row.names[1:]:
            names = ", ".join(row.names[1:])
            placed.leave_out(f"the address of {names} is not known: name a hosts file in 'file'")
        if not added:
            return placed
        return attrs.evolve(placed, row=attrs.evolve(row, values={**row.values, **added}))

    def _address(self, row: Row, placed: Placed, taken: dict[str, Placed]) -> str:
        names = (row.text("name"), *row.names)
        facts = (self._by_name.get(name.lower()) for name in names if name)
        fact = next(filter(None, facts), None)
        if fact is None:
            return ""
        address = str(fact.address)
        holder = taken.setdefault(address, placed)
        if holder is not placed:
            where = holder.seen_from(placed.report.file)
            placed.leave_out(f"address {address} is not taken over: it is the machine's {where}")
            return ""
        self._used.add(id(fact))
        return address
