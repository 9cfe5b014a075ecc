"""What was measured: one result per case and server, as a table with ratios or as JSON lines."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence

import attrs


@attrs.frozen
class Result:
    """One server in one case. More of `unit` is better, less of `cost` (processor time).

    `values` has one figure of each repeat; none means that the server failed, and `note` says
    why. `cost` is 0 where processor time cannot be told.
    """

    benchmark: str
    case: str
    server: str
    ours: bool
    unit: str
    values: tuple[float, ...]
    cost: float
    cost_unit: str
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the repeats."""
        return statistics.median(self.values) if self.values else 0.0


_HEAD = ("case", "server", "median", "spread", "unit", "processor", "ratio to", "note")


def ratios(result: Result, others: Iterable[Result]) -> dict[str, float]:
    """Return how many times as much ours does as each other server in the same case."""
    if not result.ours or not result.value:
        return {}
    return {
        other.server: result.value / other.value
        for other in others
        if other.case == result.case and not other.ours and other.value
    }


def json_line(result: Result, results: Sequence[Result]) -> str:
    """Return one result with its median and ratios as a line of JSON."""
    fields = attrs.asdict(result)
    return json.dumps(fields | {"value": result.value, "ratios": ratios(result, results)})


def table(results: Sequence[Result]) -> str:
    """Return all results as a Markdown table."""
    rows = [_HEAD, *(_row(result, results) for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _row(result: Result, results: Sequence[Result]) -> tuple[str, ...]:
    times = ratios(result, results).items()
    return (
        result.case,
        result.server,
        _number(result.value) if result.values else "failed",
        f"{_number(min(result.values))}-{_number(max(result.values))}" if result.values else "",
        result.unit,
        f"{_number(result.cost)} {result.cost_unit}" if result.cost else "",
        ", ".join(f"{name} {ratio:.2f}x" for name, ratio in times),
        result.note,
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"
