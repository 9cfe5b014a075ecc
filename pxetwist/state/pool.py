"""Which address of a network's pools comes next, without ever listing a pool."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from ipaddress import IPv4Address, IPv6Address
from zlib import crc32

from pxetwist.model.lease import Lease, Pool, address_of

#: How long an offer is held, and how long an avoided address is not looked at again, in seconds.
HOLD = 60.0

_PAGE = 1 << 16  # positions that are marked together


class FreeAddresses:
    """The addresses of some pools that nobody holds; memory grows with those given, not the pool.

    `records` is the table of all leases by address (as a number), kept by its owner. An address
    without a record has never been used. Pools are one line of positions; one that was passed
    by is marked with a byte, so that a nearly full pool costs no more. When all are marked, each
    waits in a heap for the end of its lease.
    """

    def __init__(self, pools: tuple[Pool, ...], records: Mapping[int, Lease]) -> None:
        self.pools = pools
        self._records = records
        self._ranges = _disjoint(pools)
        self._size = sum(last - first + 1 for first, last in self._ranges)
        self._pages: dict[int, bytearray] = {}
        self._avoided: dict[int, float] = {}
        self._queue: list[tuple[float, int]] | None = None  # until all are marked
        self._due: dict[int, float] = {}
        for number in records:
            position = self._position(number)
            if position is not None:
                self._mark(position)

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self._ranges)

    def choose(
        self, key: str, avoid: Collection[IPv4Address | IPv6Address], now: float
    ) -> int | None:
        """Return an address for a new client: one never used, the same for the same key if it
        can be; else the one whose lease ended first; `None` if all are held or avoided.
        """
        if not self._size:
            return None
        if self._queue is None:
            for start in (crc32(key.encode()) % self._size, 0):
                found = self._never_used(start, avoid, now)
                if found is not None:
                    return found
            self._queue = self._all_in_use()
        return self._longest_unused(self._queue, avoid, now)

    def hasten(self, number: int, ends: float) -> None:
        """Note that the lease of an address ends earlier than it said."""
        if self._queue is not None and number in self._due:
            self._due[number] = ends
            heappush(self._queue, (ends, number))
            if len(self._queue) > 2 * len(self._due) + 16:
                self._queue = [(due, number) for number, due in self._due.items()]
                heapify(self._queue)

    def _position(self, number: int) -> int | None:
        before = 0
        for first, last in self._ranges:
            if first <= number <= last:
                return before + number - first
            before += last - first + 1
        return None

    def _number(self, position: int) -> int:
        ranges = iter(self._ranges)
        first, last = next(ranges)
        while position > last - first:
            position -= last - first + 1
            first, last = next(ranges)
        return first + position

    def _mark(self, position: int) -> None:
        page, offset = divmod(position, _PAGE)
        marks = self._pages.get(page)
        if marks is None:
            marks = self._pages[page] = bytearray(min(_PAGE, self._size - page * _PAGE))
        marks[offset] = 1

    def _never_used(
        self, position: int, avoid: Collection[IPv4Address | IPv6Address], now: float
    ) -> int | None:
        """Return the first address from a position on that is not marked and was never used."""
        while position < self._size:
            page, offset = divmod(position, _PAGE)
            marks = self._pages.get(page)
            if marks is not None:
                offset = marks.find(0, offset)
                if offset < 0:
                    position = (page + 1) * _PAGE
                    continue
                position = page * _PAGE + offset
            number = self._number(position)
            if number not in self._records:
                if address_of(number) not in avoid:
                    return number
                self._avoided[number] = now + HOLD
            self._mark(position)
            position += 1
        return None

    def _all_in_use(self) -> list[tuple[float, int]]:
        self._due = {
            number: record.ends for number, record in self._records.items() if number in self
        }
        for number, until in self._avoided.items():
            self._due.setdefault(number, until)
        self._avoided.clear()
        queue = [(due, number) for number, due in self._due.items()]
        heapify(queue)
        return queue

    def _longest_unused(
        self,
        queue: list[tuple[float, int]],
        avoid: Collection[IPv4Address | IPv6Address],
        now: float,
    ) -> int | None:
        while queue and queue[0][0] <= now:
            due, number = queue[0]
            if self._due[number] != due:
                heappop(queue)  # it was hastened
                continue
            record = self._records.get(number)
            renewed = record is not None and record.ends > due
            due = record.ends if record is not None and renewed else now + HOLD
            self._due[number] = due
            heapreplace(queue, (due, number))
            if not renewed and address_of(number) not in avoid:
                return number
        return None


def _disjoint(pools: tuple[Pool, ...]) -> list[tuple[int, int]]:
    """Return the ranges in order, without what overlaps."""
    ranges: list[tuple[int, int]] = []
    for first, last in sorted((int(pool.first), int(pool.last)) for pool in pools):
        start = max(first, ranges[-1][1] + 1) if ranges else first
        if start <= last:
            ranges.append((start, last))
    return ranges
