"""Allocation costs the same whatever the number of leases and the size of the pool."""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from types import FrameType
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network, Pool
from pxetwist.state.leases import LeaseTable

NOW = 1_700_000_000.0
DAY = 86400.0
FIRST = int(IPv4Address("10.0.0.0"))


def network(size: int) -> Network:
    pool = Pool(IPv4Address(FIRST), IPv4Address(FIRST + size - 1))
    return Network("lab", IPv4Network("10.0.0.0/8"), (pool,))


def client(number: int) -> ClientIdentity:
    return ClientIdentity(mac=f"02:00:{number.to_bytes(4, 'big').hex(':')}")


def lines_run(call: Callable[[], object]) -> int:
    """Count the lines of Python that a call runs: its work, however fast the machine is."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


class SizeTests(SynchronousTestCase):
    """Work is counted in lines of Python, so that a slow machine changes nothing."""

    def allocate(self, table: LeaseTable, lab: Network, clients: range, now: float) -> None:
        for number in clients:
            lease = table.offer(client(number), lab, None, None, (), now)
            assert lease is not None
            table.commit(attrs.evolve(lease, ends=now + DAY), now)

    def work(self, table: LeaseTable, lab: Network, clients: range, now: float) -> float:
        """How many lines one allocation runs."""
        return lines_run(lambda: self.allocate(table, lab, clients, now)) / len(clients)

    def test_many_leases(self) -> None:
        """A full table gives away leases that have ended: no search for them."""
        work = []
        for size in (1 << 10, 1 << 17):
            lab = network(size)
            table = LeaseTable(
                Lease(IPv4Address(FIRST + n), f"k{n}", NOW + n % 1000, "lab") for n in range(size)
            )
            self.assertIsNone(table.offer(client(0), lab, None, None, (), NOW - 1))
            work.append(self.work(table, lab, range(500), NOW + 2000))
        self.assertLess(work[1], 1.5 * work[0])

    def test_to_the_last_address(self) -> None:
        """To fill a pool costs the same for each address, also for the last ones."""
        work = [
            self.work(LeaseTable(), network(size), range(size), NOW) for size in (1 << 8, 1 << 13)
        ]
        self.assertLess(work[1], 1.5 * work[0])

    def test_a_whole_class_a_network_is_never_listed(self) -> None:
        small, large = (
            self.work(LeaseTable(), network(size), range(100), NOW) for size in (1 << 10, 1 << 24)
        )
        self.assertLess(large, 1.5 * small)

    def test_many_reservations_are_passed_by_once(self) -> None:
        """A block of avoided addresses is not walked through again by every client."""
        lab = network(1 << 12)
        avoid = frozenset(IPv4Address(FIRST + n) for n in range(4000))
        table = LeaseTable()

        def ask(clients: range) -> None:
            for number in clients:
                lease = table.offer(client(number), lab, None, None, avoid, NOW)
                assert lease is not None
                self.assertNotIn(lease.address, avoid)

        ask(range(60))
        self.assertLess(lines_run(lambda: ask(range(60, 90))) / 30, 400)
