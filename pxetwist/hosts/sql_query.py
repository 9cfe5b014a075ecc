"""A site's own query: its named parameters, bound and never formatted, and where its lines are."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from pxetwist.config.fields import OptionText
from pxetwist.errors import ConfigError, Location
from pxetwist.hosts.parameters import PARAMETERS

#: Texts, quoted names, comments and casts are left alone; whatever else `:word` is, we bind it.
_TOKEN = re.compile(
    r"""
      (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    | ::
    | :(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE = "select * from (\n"


@attrs.frozen
class Query:
    """The text of a ``query`` option; `places` are those of its lines.

    It stands in a subquery wherever it is run: that takes nothing but one SELECT, and limits it.
    """

    text: str
    places: tuple[Location, ...]
    names: tuple[str, ...]

    def numbered(self, limit: int) -> str:
        """Return the statement with ``$1`` for the first of `names`, and so on."""
        return self._wrapped(limit, lambda name: f"${self.names.index(name) + 1}")

    def named(self, limit: int) -> str:
        """Return the statement with ``:mac`` and so on."""
        return self._wrapped(limit, lambda name: f":{name}")

    def error(self, message: str, position: int | None = None) -> ConfigError:
        """Make an error that points to the option, or to the line of a position (from 1) in
        what :meth:`numbered` returned; ``$1`` in the message becomes the parameter's name.
        """
        line = self.numbered(0).count("\n", 0, position - 1) - 1 if position else 0
        place = self.places[min(max(line, 0), len(self.places) - 1)]
        told = re.sub(r"\$(\d+)", lambda found: f":{self.names[int(found[1]) - 1]}", message)
        return ConfigError(place, f"query: {told}")

    def _wrapped(self, limit: int, mark: Callable[[str], str]) -> str:
        marked = _TOKEN.sub(
            lambda found: mark(found["name"]) if found["name"] else found[0], self.text
        )
        return f"{_BEFORE}{marked}\n) as machine limit {limit}"


def query(value: str) -> Query:
    """Expect one SELECT with parameters like :mac, whose columns are fields and labels."""
    source = OptionText.of(value)
    text = "\n".join(line.text for line in source.lines).rstrip("; \n")
    places = tuple(line.location for line in source.lines)
    if not text:
        raise ValueError("expected a query like: select name, mac from machines where mac = :mac")
    found = {match["name"]: match.start() for match in _TOKEN.finditer(text) if match["name"]}
    for name, start in found.items():
        if name not in PARAMETERS:
            known = ", ".join(f":{each}" for each in PARAMETERS)
            place = places[text.count("\n", 0, start)]
            raise ConfigError(place, f"query: unknown parameter :{name} (known: {known})")
    if not found:
        raise ValueError("it names no parameter like :mac, and would find every machine")
    return Query(text, places, tuple(found))
