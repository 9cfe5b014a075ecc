"""Pictures of what was measured over time, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import attrs

_WIDTH, _HEIGHT = 420, 260  # of one picture, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 55, 15, 30, 45
_OURS, _OTHERS = "#1b6ca8", ("#b85c00", "#777777", "#7a3e9d")
_STEPS = (1, 2, 5)
_TICKS = 5
_POINTS = 200  # of a line, about


@attrs.frozen
class Line:
    """When things happened, in ascending order; lines of one `title` share a picture."""

    title: str
    label: str
    times: Sequence[float]
    ours: bool = False


def plot(lines: Sequence[Line], across: str, up: str) -> str:
    """Draw how many things have happened at each time, two pictures side by side."""
    titles = list(dict.fromkeys(line.title for line in lines))
    pictures = [
        _picture([line for line in lines if line.title == title], across, up) for title in titles
    ]
    rows = -(-len(pictures) // 2)
    moved = (
        f'<g transform="translate({number % 2 * _WIDTH},{number // 2 * _HEIGHT})">{picture}</g>'
        for number, picture in enumerate(pictures)
    )
    columns = min(len(pictures), 2)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * _WIDTH}"'
        f' height="{rows * _HEIGHT}" font-family="sans-serif" font-size="11">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(moved) + "\n</svg>\n"
    )


def _picture(lines: Sequence[Line], across: str, up: str) -> str:
    longest = max((line.times[-1] for line in lines if line.times), default=1.0)
    most = max((len(line.times) for line in lines), default=1) or 1
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(time: float, count: float) -> str:
        return f"{_LEFT + wide * time / longest:.1f},{_TOP + high * (1 - count / most):.1f}"

    parts = [
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(lines[0].title)}</text>',
        f'<path d="M{at(0, most)} L{at(0, 0)} L{at(longest, 0)}" fill="none" stroke="#333"/>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">{escape(across)}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="16" text-anchor="end">{escape(up)}</text>',
    ]
    for tick in _ticks(longest):
        x, y = at(tick, 0).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 14}" text-anchor="middle">{tick:g}</text>')
    for tick in _ticks(most):
        x, y = at(0, tick).split(",")
        parts.append(f'<text x="{float(x) - 5}" y="{y}" text-anchor="end">{tick:g}</text>')
    others = iter(_OTHERS * len(lines))
    for number, line in enumerate(lines):
        color = _OURS if line.ours else next(others)
        points = [at(0, 0)]
        for count in range(1, len(line.times) + 1, max(len(line.times) // _POINTS, 1)):
            points.append(at(line.times[count - 1], count))
        points += [at(line.times[-1], len(line.times))] if line.times else []
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}"'
            ' stroke-width="1.5"/>'
        )
        right, below = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM - 22 + 13 * number
        parts.append(
            f'<text x="{right}" y="{below}" fill="{color}" text-anchor="end">'
            f"{escape(line.label)}</text>"
        )
    return "".join(parts)


def _ticks(end: float) -> Sequence[float]:
    """Return round numbers from 0 to the end, some five of them."""
    step = 1e-3
    while True:
        for factor in _STEPS:
            if end / (step * factor) <= _TICKS:
                return [step * factor * number for number in range(int(end / (step * factor)) + 1)]
        step *= 10
