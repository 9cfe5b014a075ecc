"""CSV: a header, then one machine a line; comments start with ``#``. The header tells whether
commas, semicolons or tabs stand between the columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from pxetwist.hosts.formats.rows import LABEL, MARKS, Report, Row


def rows(text: str, report: Report) -> Iterator[Row]:
    """Yield the machines."""
    plain = ["" if line.lstrip().startswith("#") else line for line in text.splitlines()]
    header = next((line for line in plain if line.strip()), "")
    reader = csv.reader(plain, strict=True, skipinitialspace=True, delimiter=_separator(header))
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
                if not _header_is_good(columns, line, report):
                    return
            elif len(cells) != len(columns):
                report.add(
                    line,
                    f"expected {len(columns)} fields ({', '.join(columns)}), got {len(cells)}",
                )
            else:
                yield Row(line, dict(zip(columns, cells, strict=True)))
    except csv.Error as error:
        said = 'a " has no end' if "end of data" in str(error) else error
        report.add(start, f"malformed CSV: {said}")
    if not columns and not report.errors:
        report.add(1, "expected a header line like: name,mac,address,profile")


def _separator(header: str) -> str:
    """Tell what stands between the columns: spreadsheets of some countries write semicolons."""
    return next((each for each in ",;\t" if each in header), ",")


def _header_is_good(columns: list[str], line: int, report: Report) -> bool:
    before = len(report.errors)
    example = "; the header is a line like: name,mac,address,profile"
    if "name" not in columns:
        report.add(line, f"no column 'name' in the header{example}")
    elif not set(MARKS) & set(columns):
        others = ", ".join(MARKS[2:])
        report.add(line, f"no column 'mac' or 'uuid' in the header, nor one of {others}{example}")
    for column in dict.fromkeys(columns):
        if not LABEL.fullmatch(column):
            report.add(line, f"expected a column of letters, digits, '.', '-', got {column!r}")
        if columns.count(column) > 1:
            report.add(line, f"column {column!r} appears {columns.count(column)} times")
    return len(report.errors) == before
