"""Reading a file of machines, with the line of every mistake."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import attrs

from pxetwist.errors import ConfigError, ConfigErrors, Location
from pxetwist.model.identity import machine_uuid, parse_mac, swapped
from pxetwist.model.machine import Machine

T = TypeVar("T")

_KNOWN = ("name", "mac", "uuid", "address")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LABEL = re.compile(r"[\w.-]+")


@attrs.frozen
class _Row:
    """What one machine's line or section says, column by column, and where it says so."""

    line: int
    values: Mapping[str, str]
    lines: Mapping[str, int] = attrs.field(factory=dict)  # of single keys, in an INI file

    def line_of(self, column: str) -> int:
        return self.lines.get(column, self.line)


class _Mistakes:
    """Collects the mistakes of one file."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self.errors: list[ConfigError] = []

    def add(self, line: int, message: str) -> None:
        self.errors.append(ConfigError(Location(self._file, line), message))


def read(file: Path, directory: str) -> tuple[Machine, ...]:
    """Read all machines of a ``.csv`` or ``.ini`` file, in its order.

    :raises ConfigErrors: with all mistakes, in the order of the file.
    """
    mistakes = _Mistakes(file)
    try:
        text = file.read_text("utf-8-sig")  # spreadsheets write a byte order mark
    except OSError as error:
        mistakes.add(0, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        mistakes.add(error.object.count(b"\n", 0, error.start) + 1, "expected UTF-8")
    machines: tuple[Machine, ...] = ()
    if not mistakes.errors:
        rows = _ini_rows if file.suffix.lower() == ".ini" else _csv_rows
        machines = _Reading(mistakes, directory).machines(rows(text, mistakes))
    if mistakes.errors:
        raise ConfigErrors(sorted(mistakes.errors, key=lambda error: error.location.line))
    return machines


def _csv_rows(text: str, mistakes: _Mistakes) -> Iterator[_Row]:
    """A header, then one machine a line."""
    plain = ("" if line.lstrip().startswith("#") else line for line in text.splitlines())
    reader = csv.reader(plain, strict=True, skipinitialspace=True)
    columns: list[str] = []
    start = 1
    try:
        for fields in reader:
            line, start = start, reader.line_num + 1
            cells = [cell.strip() for cell in fields]
            if not cells:
                continue
            if not columns:
                columns = [cell.lower() for cell in cells]
                if not _header_is_good(columns, line, mistakes):
                    return
            elif len(cells) != len(columns):
                mistakes.add(
                    line,
                    f"expected {len(columns)} fields ({', '.join(columns)}), got {len(cells)}",
                )
            else:
                yield _Row(line, dict(zip(columns, cells, strict=True)))
    except csv.Error as error:
        mistakes.add(start, f"malformed CSV: {error}")
    if not columns:
        mistakes.add(1, "expected a header line like: name,mac,address,profile")


def _header_is_good(columns: list[str], line: int, mistakes: _Mistakes) -> bool:
    before = len(mistakes.errors)
    example = "; the header is a line like: name,mac,address,profile"
    if "name" not in columns:
        mistakes.add(line, f"no column 'name' in the header{example}")
    elif not {"mac", "uuid"} & set(columns):
        mistakes.add(line, f"no column 'mac' or 'uuid' in the header{example}")
    for column in dict.fromkeys(columns):
        if not _LABEL.fullmatch(column):
            mistakes.add(line, f"expected a column of letters, digits, '.', '-', got {column!r}")
        if columns.count(column) > 1:
            mistakes.add(line, f"column {column!r} appears {columns.count(column)} times")
    return len(mistakes.errors) == before


def _ini_rows(text: str, mistakes: _Mistakes) -> Iterator[_Row]:
    """One section a machine; no continuation lines, so that every mistake has its line."""
    row: _Row | None = None
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            if row is not None:
                yield row
            values, lines = {"name": line[1:-1].strip()}, {}
            row = _Row(number, values, lines)
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        key = key.lower()
        if not equals or not _LABEL.fullmatch(key):
            mistakes.add(number, f"expected [name] or key = value, got {line!r}")
        elif row is None:
            mistakes.add(number, "expected a section [name] before the first key")
        elif key in values:
            first = f"first on line {lines[key]}" if key in lines else "it is the section's title"
            mistakes.add(number, f"{key!r} given twice ({first})")
        else:
            values[key], lines[key] = value, number
    if row is not None:
        yield row


class _Reading:
    """Turns rows into machines and sees that nothing belongs to two of them."""

    def __init__(self, mistakes: _Mistakes, directory: str) -> None:
        self._mistakes = mistakes
        self._directory = directory
        self._seen: dict[tuple[str, Hashable], int] = {}

    def machines(self, rows: Iterator[_Row]) -> tuple[Machine, ...]:
        return tuple(map(self._machine, rows))

    def _machine(self, row: _Row) -> Machine:
        values = row.values
        name = values["name"]
        if not _NAME.fullmatch(name):
            self._mistakes.add(
                row.line, f"expected a name of letters, digits, '.', '-' or '_', got {name!r}"
            )
        else:
            self._once(row, "name", name.lower(), name)
        macs = tuple(
            mac
            for word in re.split(r"[;\s]+", values.get("mac", ""))
            if word and (mac := self._value(row, "mac", word, parse_mac))
        )
        uuid = self._value(row, "uuid", values.get("uuid", ""), _uuid)
        address = self._value(row, "address", values.get("address", ""), _address)
        if not values.get("mac") and not values.get("uuid"):
            self._mistakes.add(row.line, f"{name!r} needs a mac or a uuid to be found by")
        labels = {k: v for k, v in values.items() if k not in _KNOWN and v}
        return Machine(name, macs, uuid, address, labels, self._directory)

    def _value(self, row: _Row, column: str, word: str, convert: Callable[[str], T]) -> T | None:
        if not word:
            return None
        try:
            value = convert(word)
        except ValueError as error:
            self._mistakes.add(row.line_of(column), f"{column}: {error}")
            return None
        # in either byte order a UUID means the same machine
        same = frozenset((value, swapped(value))) if isinstance(value, UUID) else value
        self._once(row, column, same, str(value))
        return value

    def _once(self, row: _Row, column: str, value: Hashable, shown: str) -> None:
        line = row.line_of(column)
        first = self._seen.setdefault((column, value), line)
        if first != line:
            self._mistakes.add(line, f"{column} {shown} is already on line {first}")


def _uuid(word: str) -> UUID:
    try:
        uuid = UUID(word)
    except ValueError:
        raise ValueError(
            f"expected a UUID like 4c4c4544-0051-3510-8052-b4c04f4d3232, got {word!r}"
        ) from None
    if machine_uuid(uuid.bytes_le) is None:
        raise ValueError(f"{word} is shared by many boards and identifies none")
    return uuid


def _address(word: str) -> IPv4Address:
    try:
        return IPv4Address(word)
    except ValueError:
        raise ValueError(f"expected an IPv4 address like 10.0.0.17, got {word!r}") from None
