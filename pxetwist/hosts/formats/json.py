"""JSON with the line of every value, which the parser of the standard library does not tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import attrs

from pxetwist.hosts.formats import tree
from pxetwist.hosts.formats.rows import Report, Row
from pxetwist.hosts.formats.tree import Items, Key, Malformed, Node, Pairs, Scalar

_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(
    r"""[\[\]{},:] | "(?:[^"\\\x00-\x1f] | \\.)*" | true | false | null
      | -?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?""",
    re.VERBOSE | re.ASCII,
)


def rows(text: str, report: Report) -> Iterator[Row]:
    """Yield the machines of a list of objects, or of an object of objects by name."""
    try:
        root = _Parser(text).parse()
    except Malformed as error:
        report.add(error.line, f"malformed JSON: {error.message}")
    else:
        yield from tree.rows(root, report)


@attrs.define
class _Parser:
    """Reads token by token; `token` is the next one, empty at the end."""

    text: str
    token: str = ""
    line: int = 1
    _end: int = 0

    def parse(self) -> Node:
        """Return the whole text as a tree.

        :raises Malformed: if it is no JSON.
        """
        self._next()
        root = self._node(0)
        if self.token:
            raise self._unexpected("the end")
        return root

    def _next(self) -> str:
        """Go on; return the token before."""
        before = self.token
        blank = _SPACE.match(self.text, self._end)
        start = blank.end() if blank else self._end
        self.line += self.text.count("\n", self._end, start)
        found = _TOKEN.match(self.text, start)
        if found is None and start < len(self.text):
            raise Malformed(self.line, f"not expected: {self.text[start : start + 20]!r}")
        self.token = found[0] if found else ""
        self._end = found.end() if found else start
        return before

    def _unexpected(self, wanted: str) -> Malformed:
        return Malformed(self.line, f"expected {wanted}, got {self.token or 'the end'}")

    def _node(self, depth: int) -> Node:
        line, token = self.line, self.token
        if depth > tree.DEEPEST:
            raise Malformed(line, "nested too deep")
        if token == "[":
            return Items(line, tuple(self._several("]", depth)))
        if token == "{":
            return Pairs(line, tuple(self._pairs(depth)))
        if token in ("", "]", "}", ",", ":"):
            raise self._unexpected("a value")
        self._next()
        return Scalar(line, "" if token == "null" else self._decoded(token, line))

    def _several(self, end: str, depth: int) -> Iterator[Node]:
        self._next()
        while self.token != end:
            yield self._node(depth + 1)
            self._separated(end)
        self._next()

    def _pairs(self, depth: int) -> Iterator[tuple[Key, Node]]:
        self._next()
        while self.token != "}":
            if not self.token.startswith('"'):
                raise self._unexpected("a key in quotes")
            line = self.line
            key = Key(line, self._decoded(self._next(), line))
            if self.token != ":":
                raise self._unexpected("':'")
            self._next()
            yield key, self._node(depth + 1)
            self._separated("}")
        self._next()

    def _separated(self, end: str) -> None:
        """Take a comma, after which something must come, or stand before the end."""
        if self.token == ",":
            self._next()
            if self.token == end:
                raise self._unexpected("a value after the comma")
        elif self.token != end:
            raise self._unexpected(f"',' or '{end}'")

    def _decoded(self, token: str, line: int) -> str:
        if not token.startswith('"'):
            return token
        if "\\" not in token:
            return token[1:-1]
        try:
            return str(json.loads(token))
        except ValueError as error:
            raise Malformed(line, f"{token[:40]}: {error}") from error
