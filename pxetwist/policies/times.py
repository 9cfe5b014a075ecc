"""Times of the week and days of the year, by the clock on the wall."""

from __future__ import annotations

import re
from datetime import date, datetime, tzinfo
from typing import Any

import attrs

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def wall(now: float, zone: tzinfo | None) -> datetime:
    """Return what the clock on the wall shows; without a zone it is the server's."""
    return datetime.fromtimestamp(now, zone)


@attrs.frozen
class Window:
    """A time of the week: `days` on which it begins, minutes of the day from `begin` to `end`.

    The end does not belong to it. An end that is not later than the begin is on the next day.
    """

    text: str = attrs.field(eq=False)
    days: frozenset[int]
    begin: int
    end: int
    zone: tzinfo | None = attrs.field(default=None, eq=False)

    @classmethod
    def parse(cls, text: str, zone: tzinfo | None = None) -> Window:
        """Read ``mon-fri/08:00-18:00``, ``22:00-06:00`` or ``sat``.

        :raises ValueError: if it is none.
        """
        days, slash, clock = text.lower().partition("/")
        if not slash and ":" in days:
            days, clock = "", days
        elif slash and not (days and clock):
            raise ValueError(f"expected a time like mon-fri/08:00-18:00, got {text!r}")
        begin, end = _span(clock) if clock else (0, 24 * 60)
        return cls(text, _days(days) if days else frozenset(range(7)), begin, end, zone)

    def passes(self, value: Any) -> bool:
        """Whether a moment, in seconds since the epoch, lies in it."""
        now = wall(value, self.zone)
        minute, day = now.hour * 60 + now.minute, now.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        if minute >= self.begin:
            return day in self.days
        return minute < self.end and (day - 1) % 7 in self.days

    def covers(self, other: Window) -> bool:
        """Whether the other one begins on days of this one, and neither earlier nor ends later."""
        return (
            other.days <= self.days
            and self.begin <= other.begin
            and self._length_from_begin() >= other._length_from_begin()
        )

    def _length_from_begin(self) -> int:
        return self.end if self.begin < self.end else self.end + 24 * 60

    def excludes(self, other: Window) -> bool:
        """Whether they have no minute of the week in common."""
        return not self._minutes() & other._minutes()

    def _minutes(self) -> set[int]:
        week = 7 * 24 * 60
        length = self._length_from_begin()
        starts = (day * 24 * 60 for day in self.days)
        return {(s + n) % week for s in starts for n in range(self.begin, length)}

    def seen(self, value: Any) -> str:
        """Return day and time."""
        now = wall(value, self.zone)
        return f"{DAYS[now.weekday()]} {now:%H:%M}"


def _span(text: str) -> tuple[int, int]:
    ends = text.split("-")
    if len(ends) != 2:
        raise ValueError(f"expected a span of time like 08:00-18:00, got {text!r}")
    begin, end = map(_minute, ends)
    if begin in (end, 24 * 60):
        raise ValueError(f"{text} is empty; leave it out for the whole day")
    return begin, end


def _minute(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None or int(found[2]) > 59 or int(found[1]) * 60 + int(found[2]) > 24 * 60:
        raise ValueError(f"expected a time of the day from 00:00 to 24:00, got {text!r}")
    return int(found[1]) * 60 + int(found[2])


def _days(text: str) -> frozenset[int]:
    first, dash, last = text.partition("-")
    for name in (first, last) if dash else (first,):
        if name not in DAYS:
            raise ValueError(f"unknown day {name!r} (known: {', '.join(DAYS)})")
    begin = DAYS.index(first)
    length = (DAYS.index(last) - begin) % 7 if dash else 0
    return frozenset((begin + n) % 7 for n in range(length + 1))


@attrs.frozen
class Dates:
    """Days from `first` to `last`, both included."""

    text: str = attrs.field(eq=False)
    first: date
    last: date
    zone: tzinfo | None = attrs.field(default=None, eq=False)

    @classmethod
    def parse(cls, text: str, zone: tzinfo | None = None) -> Dates:
        """Read ``2026-12-01..2026-12-24``, with one end left out, or a single day.

        :raises ValueError: if it is none.
        """
        first, dots, last = text.partition("..")
        if not first and not last:
            raise ValueError(f"expected dates like 2026-12-01..2026-12-24, got {text!r}")
        begin = _date(first) if first else date.min
        end = (_date(last) if last else date.max) if dots else begin
        if end < begin:
            raise ValueError(f"{text} ends before it begins")
        return cls(text, begin, end, zone)

    def passes(self, value: Any) -> bool:
        """Whether a moment, in seconds since the epoch, lies in it."""
        return self.first <= wall(value, self.zone).date() <= self.last

    def covers(self, other: Dates) -> bool:
        """Whether it begins no later and ends no earlier."""
        return self.first <= other.first and other.last <= self.last

    def excludes(self, other: Dates) -> bool:
        """Whether they have no day in common."""
        return self.last < other.first or other.last < self.first

    def is_over(self, now: float) -> bool:
        """Whether it can never come again."""
        return self.last < wall(now, self.zone).date()

    def seen(self, value: Any) -> str:
        """Return the day."""
        return wall(value, self.zone).date().isoformat()


def _date(text: str) -> date:
    try:
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"expected a day like 2026-12-24, got {text!r}")
