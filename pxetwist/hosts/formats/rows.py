"""What the formats yield: rows of text that say where they stand, and a report."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import ConfigError, Location

#: By what a machine may be found; columns of these names, and the others of `KNOWN`, are facts.
MARKS = ("mac", "uuid", "certificate", "serial", "asset", "client-id", "circuit-id", "remote-id")
KNOWN = ("name", "address", "address6", "groups", *MARKS)
#: The name of a column or key: of a fact, or of a label.
LABEL = re.compile(r"[\w.-]+")

#: A text, or the items of a format that has lists.
Value = str | tuple[str, ...]

_SHOWN = 5  # lines that a warning names, besides the first


@attrs.frozen
class Row:
    """What is said of one machine, column by column, and on which lines.

    `foreign` rows are of another server's configuration: several may be about one machine, and
    `names` are others that they give it.
    """

    line: int
    values: Mapping[str, Value]
    lines: Mapping[str, int] = attrs.field(factory=dict)  # of single keys, where they have one
    foreign: bool = False
    names: tuple[str, ...] = ()

    def line_of(self, column: str) -> int:
        """Return the line of one column."""
        return self.lines.get(column, self.line)

    def text(self, column: str) -> str:
        """Return a column that is no list; empty if it is missing."""
        value = self.values.get(column, "")
        return value if isinstance(value, str) else " ".join(value)

    def words(self, column: str) -> tuple[str, ...]:
        """Return the items of a column, also of a text with ``;``, ``,`` or blanks between."""
        value = self.values.get(column, "")
        if isinstance(value, str):
            return tuple(word for word in re.split(r"[;,\s]+", value) if word)
        return value


@attrs.frozen
class NamedAddress:
    """The address of whoever has one of these names; `promised` by a DHCP server, else by DNS."""

    line: int
    names: tuple[str, ...]
    address: IPv4Address
    promised: bool = False


@attrs.define
class Report:
    """The mistakes in one file, and what of it is not taken over."""

    file: str
    errors: list[ConfigError] = attrs.field(factory=list)
    _left_out: dict[str, list[int]] = attrs.field(factory=dict)

    def add(self, line: int, message: str) -> None:
        """Add a mistake."""
        self.errors.append(ConfigError(Location(self.file, line), message))

    def leave_out(self, line: int, message: str) -> None:
        """Note what is not taken over; equal messages become one."""
        lines = self._left_out.setdefault(message, [])
        if line not in lines[-1:]:
            lines.append(line)

    def warnings(self) -> Iterator[str]:
        """Yield what is not taken over, in the order of the file: ``hosts:3: …``."""
        for message, lines in sorted(self._left_out.items(), key=lambda item: item[1][0]):
            place = Location(self.file, lines[0])
            yield f"{place}: {message}{_also(lines[1:])}"


def _also(lines: list[int]) -> str:
    if not lines:
        return ""
    shown = ", ".join(map(str, lines[:_SHOWN]))
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return f" (also on line{'s' if len(lines) > 1 else ''} {shown}{more})"


#: A format: yields what a text says, and adds to the report what is wrong with it.
Format = Callable[[str, Report], Iterator[Row | NamedAddress]]
