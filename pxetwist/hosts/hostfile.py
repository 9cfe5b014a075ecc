"""Reading files of machines, in whatever format, with file and line of every mistake."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar
from uuid import UUID

import attrs

from pxetwist.errors import ConfigError, ConfigErrors, Location
from pxetwist.hosts.formats.detection import AUTO, FORMATS, format_of
from pxetwist.hosts.formats.ethers import is_address
from pxetwist.hosts.formats.rows import KNOWN, MARKS, NamedAddress, Report, Row
from pxetwist.hosts.joining import Addresses, Placed, joined
from pxetwist.hosts.marks import octets, port_mark
from pxetwist.model.identity import inventory_mark, machine_uuid, parse_mac, swapped
from pxetwist.model.machine import Machine

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_DOTTED = re.compile(r"\d+(\.\d+){3}")
_NOBODYS = ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")
_LONGEST_NAME = 253  # characters of a host name, 63 between its dots (RFC 1035 §2.3.4)
_LONGEST_PART = 63
#: What editors and package managers leave behind in folders.
_LEFTOVER = re.compile(r"\..*|.*~|#.*#|.*\.(bak|orig|old|rej|swp|tmp|dpkg-\w+|rpm(new|save|orig))")

#: What tells one state of a file from another: time (ns), size and inode.
Stamps = Mapping[Path, tuple[int, int, int] | None]


@attrs.frozen
class Reading:
    """What files say: the machines in their order, what was not taken over, by line, and how much
    is said of machines in each file that says anything.
    """

    machines: tuple[Machine, ...]
    warnings: tuple[str, ...] = ()
    entries: Mapping[str, int] = attrs.field(factory=dict)


def stamps(sources: Sequence[Path]) -> Stamps:
    """Return the state of all files; `None` for what is not there."""
    return {path: _stamp(path) for source in sources for path in (source, *_files_in(source))}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _files_in(source: Path) -> list[Path]:
    """Return the files of a folder by name, without what editors leave; none if it is a file."""
    try:
        inside = list(source.iterdir())
    except OSError:
        return []
    return sorted(path for path in inside if not _LEFTOVER.fullmatch(path.name))


def _gap(folder: Path) -> str:
    """Say why a folder has nothing to be read; a file system that is not mounted looks empty."""
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if _files_in(folder) else "no file of machines is in this folder"


def read(sources: Sequence[Path], directory: str, form: str = AUTO) -> Reading:
    """Read all machines of files and folders, in their order.

    :raises ConfigErrors: with all mistakes, by file and line.
    """
    reports: list[Report] = []
    rows: list[Placed] = []
    facts: list[tuple[NamedAddress, Report]] = []
    for source in sources:
        folder = source.is_dir()
        if folder and (gap := _gap(source)):
            reports.append(Report(str(source)))
            reports[-1].add(0, gap)
        for file in _files_in(source) if folder else [source]:
            report = Report(str(file))
            reports.append(report)
            for row in _rows(file, form, report, folder=folder):
                if isinstance(row, Row):
                    rows.append(Placed(row, report))
                else:
                    facts.append((row, report))
    complete = Addresses(facts).completed(joined(rows))
    reading = _Machines(directory)
    machines = tuple(map(reading.machine, complete))
    errors = [
        error
        for report in reports
        for error in sorted(report.errors, key=lambda error: error.location.line)
    ]
    if errors:
        raise ConfigErrors(errors)
    warnings = tuple(line for report in reports for line in report.warnings())
    entries = Counter(placed.report.file for placed in rows)
    return Reading(machines, warnings, entries)


def emptied(before: Reading, now: Reading) -> ConfigErrors | None:
    """Say which files have lost all that they said of machines, but are still there: a script that
    writes them failed, more often than not.
    """
    lost = [file for file in before.entries if file not in now.entries and Path(file).is_file()]
    if not lost:
        return None
    said = "has no machines any more, it had {}; if they are to be gone, start the server again"
    return ConfigErrors(
        [ConfigError(Location(file), said.format(before.entries[file])) for file in lost]
    )


def _rows(file: Path, form: str, report: Report, *, folder: bool) -> Iterator[Row | NamedAddress]:
    """Yield the rows of one file, by its format."""
    if folder and file.is_dir():
        report.leave_out(0, "a folder in a folder is not read")
        return
    text = _text(file, report)
    if text is None:
        return
    name = format_of(file, text) if form == AUTO else form
    if name:
        yield from FORMATS[name](text, report)
    elif name is None and folder:
        report.leave_out(0, "not read: its format is not known")
    elif name is None:
        report.add(0, f"its format is not known; mend: format = {', '.join(FORMATS)}")


def _text(file: Path, report: Report) -> str | None:
    try:
        if not S_ISREG(file.stat().st_mode):  # a pipe would be waited for
            report.add(0, "is no plain file")
            return None
        return file.read_bytes().decode("utf-8-sig")  # spreadsheets write a byte order mark
    except OSError as error:
        report.add(0, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        report.add(error.object.count(b"\n", 0, error.start) + 1, "expected UTF-8")
    return None


class _Machines:
    """Turns rows into machines and sees that nothing belongs to two of them."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._seen: dict[tuple[str, Hashable], Placed] = {}

    def machine(self, placed: Placed) -> Machine:
        """Make a machine; with mistakes it is not to be used."""
        row, report = placed.row, placed.report
        name = self._name(placed)
        macs = [self._value(placed, "mac", word, _mac) for word in row.words("mac")]
        uuid = self._one(placed, "uuid", _uuid)
        address = self._one(placed, "address", _address)
        client_id = self._one(placed, "client-id", octets) or b""
        circuit_id = self._one(placed, "circuit-id", octets, alone=False) or b""
        remote_id = self._one(placed, "remote-id", octets, alone=False) or b""
        self._port(placed, circuit_id, remote_id)
        serial = self._inventory(placed, "serial")
        asset = self._inventory(placed, "asset")
        certificate = self._certificate(placed)
        if uuid is None and len(client_id) == 17 and not client_id[0]:
            uuid = machine_uuid(client_id[1:])  # so PXE ROMs spell it (RFC 4578 §2.3)
        given = row.text("mac") or row.text("uuid")  # though it may be wrong
        marks = (client_id, circuit_id, remote_id, serial, asset, certificate)
        if not (given or any(marks)):
            report.add(row.line, f"{name!r} needs {_found_by(row)}")
        return Machine(
            name=name,
            macs=tuple(mac for mac in macs if mac),
            uuid=uuid,
            address=address,
            labels={
                k: self._label(placed, k) for k, v in row.values.items() if v and k not in KNOWN
            },
            directory=self._directory,
            groups=tuple(dict.fromkeys(row.words("groups"))),
            serial=serial,
            asset=asset,
            client_id=client_id,
            circuit_id=circuit_id,
            remote_id=remote_id,
            provenance=str(placed.location),
            address6=self._one(placed, "address6", _address6),
            certificate=certificate,
        )

    def _name(self, placed: Placed) -> str:
        name = placed.row.text("name")
        wanted = ""
        if not _NAME.fullmatch(name):
            wanted = "a name of letters, digits, '.', '-' or '_'"
        elif len(name) > _LONGEST_NAME or max(map(len, name.split("."))) > _LONGEST_PART:
            wanted = f"a name of {_LONGEST_PART} characters at most"
        elif _DOTTED.fullmatch(name) and not is_address(name):
            wanted = "a name, or an IPv4 address like 10.0.0.17"
        if wanted:
            placed.report.add(placed.row.line, f"expected {wanted}, got {name!r}")
        else:
            self._once(placed, "name", name.lower(), name)
        return name

    def _label(self, placed: Placed, column: str) -> str:
        if isinstance(placed.row.values[column], tuple):
            line = placed.row.line_of(column)
            placed.report.add(line, f"{column}: expected one value, got a list")
        return placed.row.text(column)

    def _inventory(self, placed: Placed, column: str) -> str:
        """Return a serial number or asset tag, unless it identifies nobody."""
        text = self._label(placed, column) if column in placed.row.values else ""
        mark = inventory_mark(text)
        if not mark:
            return ""
        self._once(placed, column, mark, text)
        return text

    def _certificate(self, placed: Placed) -> str:
        """Return the name in a certificate, which is compared without case."""
        name = self._one(placed, "certificate", str, alone=False) or ""
        if name:
            self._once(placed, "certificate", name.lower(), name)
        return name

    def _port(self, placed: Placed, circuit_id: bytes, remote_id: bytes) -> None:
        """See that a port has one machine: switches number theirs alike, so both ids count."""
        columns = [name for name in ("circuit-id", "remote-id") if placed.row.text(name)]
        mark = port_mark(circuit_id, remote_id)
        if mark:
            shown = " with ".join(f"{name} {placed.row.text(name)}" for name in columns)
            self._once(placed, columns[0], mark, shown.removeprefix(f"{columns[0]} "))

    def _one(
        self, placed: Placed, column: str, convert: Callable[[str], T], *, alone: bool = True
    ) -> T | None:
        text = self._label(placed, column) if column in placed.row.values else ""
        return self._value(placed, column, text, convert, alone=alone)

    def _value(
        self,
        placed: Placed,
        column: str,
        word: str,
        convert: Callable[[str], T],
        *,
        alone: bool = True,
    ) -> T | None:
        """Read a value; one that identifies a machine `alone` may stand there once."""
        if not word:
            return None
        try:
            value = convert(word)
        except ValueError as error:
            placed.report.add(placed.row.line_of(column), f"{column}: {error}")
            return None
        # in either byte order a UUID means the same machine
        same = frozenset((value, swapped(value))) if isinstance(value, UUID) else value
        if alone:
            self._once(placed, column, same, word if isinstance(value, bytes) else str(value))
        return value

    def _once(self, placed: Placed, column: str, value: Hashable, shown: str) -> None:
        first = self._seen.setdefault((column, value), placed)
        if first is placed:
            return
        file, line = first.report.file, first.row.line_of(column)
        where = f"line {line}" if file == placed.report.file else str(Location(file, line))
        here = placed.row.line_of(column)
        placed.report.add(here, f"{column} {shown} is already on {where}")


def _found_by(row: Row) -> str:
    """Say what a machine lacks that has nothing to be found by."""
    shared = [f"{name} {row.text(name)!r}" for name in ("serial", "asset") if row.text(name)]
    if shared:
        return f"a mac or a uuid to be found by: {' and '.join(shared)} is on many boards"
    return f"a mac or a uuid to be found by, or another of {', '.join(MARKS[2:])}"


def _mac(word: str) -> str:
    """Read a MAC that a network card can have, not what stands where somebody knew none."""
    mac = parse_mac(word)
    if mac in _NOBODYS:
        raise ValueError(f"{word} is no network card's")
    return mac


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


def _address6(word: str) -> IPv6Address:
    try:
        return IPv6Address(word)
    except ValueError:
        raise ValueError(f"expected an IPv6 address like fd00::17, got {word!r}") from None
