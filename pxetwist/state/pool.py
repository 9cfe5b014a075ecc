"""Which address of a network's pools comes next, without ever listing a pool."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from ipaddress import IPv4Address, IPv6Address
from zlib import crc32

from pxetwist.model.lease import Lease, Pool, address_of

#: How long an offer is held, and how long an avoided address is not looked at again, in seconds.
HOLD = 60.0

_END = 1 << 128  # one past the last address of all: the end of the last pool


class FreeAddresses:
    """The addresses of some pools that nobody holds; memory grows with those given, not the pool.

    `records` is the table of all leases by address (as a number), kept by its owner. An address
    without a record has never been used. Each is passed by at most once: `_jump` then leads
    beyond it (a union-find over the line of addresses, so a nearly full pool costs no more), and
    it waits in a heap for the end of its lease.
    """

    def __init__(self, pools: tuple[Pool, ...], records: Mapping[int, Lease]) -> None:
        self.pools = pools
        self._records = records
        self._ranges = _disjoint(pools)
        self._size = sum(last - first + 1 for first, last in self._ranges)
        starts = [first for first, _ in self._ranges[1:]] + [_END]
        self._after = {r[1]: start for r, start in zip(self._ranges, starts, strict=False)}
        self._jump: dict[int, int] = {}
        self._due: dict[int, float] = {}
        self._queue: list[tuple[float, int]] = []

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
        found = self._never_used(self._sticky(key), avoid, now)
        if found == _END:
            found = self._never_used(self._ranges[0][0], avoid, now)
        return found if found != _END else self._longest_unused(avoid, now)

    def hasten(self, number: int, ends: float) -> None:
        """Note that the lease of an address ends earlier than it said."""
        if number in self._due:
            self._wait(number, ends)

    def _sticky(self, key: str) -> int:
        position = crc32(key.encode()) % self._size
        ranges = iter(self._ranges)
        first, last = next(ranges)
        while position > last - first:
            position -= last - first + 1
            first, last = next(ranges)
        return first + position

    def _never_used(
        self, number: int, avoid: Collection[IPv4Address | IPv6Address], now: float
    ) -> int:
        path = []
        while number != _END:
            following = self._jump.get(number)
            if following is None:
                record = self._records.get(number)
                if record is not None:
                    self._wait(number, record.ends)
                elif address_of(number) in avoid:
                    self._wait(number, now + HOLD)
                else:
                    break
                following = self._after.get(number, number + 1)
            path.append(number)
            number = following
        for passed in path:
            self._jump[passed] = number
        return number

    def _longest_unused(
        self, avoid: Collection[IPv4Address | IPv6Address], now: float
    ) -> int | None:
        queue = self._queue
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

    def _wait(self, number: int, due: float) -> None:
        self._due[number] = due
        heappush(self._queue, (due, number))
        if len(self._queue) > 2 * len(self._due) + 16:
            self._queue = [(due, number) for number, due in self._due.items()]
            heapify(self._queue)


def _disjoint(pools: tuple[Pool, ...]) -> list[tuple[int, int]]:
    """Return the ranges in order, without what overlaps."""
    ranges: list[tuple[int, int]] = []
    for first, last in sorted((int(pool.first), int(pool.last)) for pool in pools):
        start = max(first, ranges[-1][1] + 1) if ranges else first
        if start <= last:
            ranges.append((start, last))
    return ranges
