"""Paths in a tree, as patterns of an INI."""

from __future__ import annotations

import os
import re
from fnmatch import translate

import attrs

from pxetwist.config import fields
from pxetwist.config.fields import Line


@attrs.frozen
class PathPatterns:
    """Patterns by how many names they have; each name is an expression."""

    patterns: tuple[tuple[re.Pattern[bytes], ...], ...] = ()

    @classmethod
    def parse(cls, value: str) -> PathPatterns:
        """Read one path a line.

        :raises ValueError: if one is not absolute, or is the root.
        """
        return cls(tuple(_pattern(line) for line in fields.lines(value)))

    def match(self, names: tuple[bytes, ...]) -> bool:
        """Whether the path of these names is meant itself, not only something above it."""
        return any(
            len(each) == len(names)
            and all(part.fullmatch(name) for part, name in zip(each, names, strict=True))
            for each in self.patterns
        )


def _pattern(line: Line) -> tuple[re.Pattern[bytes], ...]:
    names = line.text.rstrip("/").split("/")[1:]
    if not line.text.startswith("/") or {"", ".", ".."}.intersection(names) or not names:
        raise ValueError(f"expected absolute paths like /etc/machine-id, got {line.text!r}")
    return tuple(re.compile(os.fsencode(translate(name)), re.DOTALL) for name in names)
