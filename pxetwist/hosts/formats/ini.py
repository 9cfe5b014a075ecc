"""INI: one section a machine; no continuation lines, so that every mistake has its line."""

from __future__ import annotations

from collections.abc import Iterator

from pxetwist.hosts.formats.rows import LABEL, Report, Row, Value


def rows(text: str, report: Report) -> Iterator[Row]:
    """Yield the machines."""
    row: Row | None = None
    values: dict[str, Value] = {}
    lines: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            if row is not None:
                yield row
            values, lines = {"name": line[1:-1].strip()}, {}
            row = Row(number, values, lines)
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        key = key.lower()
        if not equals or not LABEL.fullmatch(key):
            report.add(number, f"expected [name] or key = value, got {line!r}")
        elif row is None:
            report.add(number, "expected a section [name] before the first key")
        elif key in values:
            first = f"first on line {lines[key]}" if key in lines else "it is the section's title"
            report.add(number, f"{key!r} given twice ({first})")
        else:
            values[key], lines[key] = value, number
    if row is not None:
        yield row
