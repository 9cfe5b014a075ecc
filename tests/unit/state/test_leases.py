"""The table of leases where contracts do not look: shapes of pools, records of one client."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState, Network, Pool
from pxetwist.state.leases import LeaseTable
from pxetwist.state.pool import FreeAddresses
from pxetwist.state.unclaimed import KEPT
from tests.contract.test_many_leases import lines_run

NOW = 1_700_000_000.0
DAY = 86400.0
FIRST = int(IPv4Address("10.0.0.0"))


def network(size: int) -> Network:
    pool = Pool(IPv4Address(FIRST), IPv4Address(FIRST + size - 1))
    return Network("lab", IPv4Network("10.0.0.0/8"), (pool,))


def client(number: int) -> ClientIdentity:
    return ClientIdentity(mac=f"02:00:{number.to_bytes(4, 'big').hex(':')}")


class StickyTests(SynchronousTestCase):
    """The same client gets the same address, also from a server that has lost its leases."""

    def test_same_key_same_address(self) -> None:
        lab = network(1000)
        given = []
        for order in (range(20), reversed(range(20))):
            table = LeaseTable()
            offers = {n: table.offer(client(n), lab, None, None, (), NOW) for n in order}
            given.append({n: lease.address for n, lease in offers.items() if lease})
        same = [n for n in range(20) if given[0][n] == given[1][n]]
        self.assertGreater(len(same), 15)  # but for those who meet by chance


class MovedTests(SynchronousTestCase):
    """A client between its reservation and the pool."""

    def test_what_it_left_is_still_its_own(self) -> None:
        """In a full pool it gets back what it holds, not silence."""
        lab, reserved = network(2), IPv4Address(FIRST + 9)
        table = LeaseTable()

        def offer(
            number: int, reserved: IPv4Address | IPv6Address | None = None
        ) -> IPv4Address | IPv6Address | None:
            lease = table.offer(client(number), lab, None, reserved, (), NOW)
            return lease.address if lease else None

        first = offer(0)
        offer(1)
        self.assertEqual(offer(0, reserved), reserved)
        self.assertIsNone(offer(2))
        self.assertEqual(offer(0), first)

    def test_what_it_left_counts_again_when_it_is_back(self) -> None:
        lab, reserved = network(2), IPv4Address(FIRST + 9)
        table = LeaseTable()
        taken = []
        for wanted in (None, reserved):
            lease = table.offer(client(0), lab, None, wanted, (), NOW)
            assert lease is not None
            taken.append(table.commit(attrs.evolve(lease, ends=NOW + 1000), NOW))
        self.assertEqual(table.held(client(0).key, lab, NOW), taken[1])
        self.assertEqual(table.offer(client(0), lab, None, None, (), NOW), taken[0])
        self.assertEqual(table.held(client(0).key, lab, NOW), taken[0])


class PoolTests(SynchronousTestCase):
    """The shape of pools."""

    def choices(self, *pools: tuple[int, int]) -> list[int]:
        records: dict[int, Lease] = {}
        free = FreeAddresses(
            tuple(Pool(IPv4Address(a), IPv4Address(b)) for a, b in pools), records
        )
        chosen: list[int] = []
        while (number := free.choose(f"key {len(chosen)}", (), NOW)) is not None:
            chosen.append(number)
            records[number] = Lease(IPv4Address(number), "k", NOW + 60)
        return sorted(chosen)

    def test_several_pools_in_any_order(self) -> None:
        self.assertEqual(self.choices((20, 22), (10, 12)), [10, 11, 12, 20, 21, 22])

    def test_overlapping_pools(self) -> None:
        self.assertEqual(self.choices((10, 14), (12, 16), (13, 13)), [10, 11, 12, 13, 14, 15, 16])

    def test_neighbours_and_the_last_address_of_all(self) -> None:
        top = (1 << 32) - 1
        self.assertEqual(self.choices((5, 6), (7, 7), (top, top)), [5, 6, 7, top])

    def test_no_pool(self) -> None:
        self.assertEqual(self.choices(), [])

    def test_who_comes_and_goes_all_day_leaves_nothing_behind(self) -> None:
        """Ends that were announced and then changed do not pile up for the next client."""
        work = []
        for times in (20, 5000):
            records: dict[int, Lease] = {}
            free = FreeAddresses((Pool(IPv4Address(1), IPv4Address(2)),), records)
            for key in "ab":
                number = free.choose(key, (), NOW)
                assert number is not None
                records[number] = Lease(IPv4Address(number), key, NOW + DAY)
            self.assertIsNone(free.choose("c", (), NOW))
            for time in range(times):
                free.hasten(1, NOW + 1 + time / times)
            records[1] = attrs.evolve(records[1], ends=NOW + 2)
            work.append(lines_run(partial(free.choose, "d", (), NOW + 9)))
            self.assertEqual(free.choose("e", (), NOW + 9), None)
        self.assertLess(work[1], 3 * work[0])


class RecordTests(SynchronousTestCase):
    """Records that tell of the same client."""

    def test_an_older_lease_does_not_hide_the_newer_one(self) -> None:
        lab = network(8)
        old, new = (
            Lease(IPv4Address(FIRST + n), client(1).key, NOW + 100 - n, "lab", "", state)
            for n, state in ((5, LeaseState.RELEASED), (2, LeaseState.LEASED))
        )
        for records in ([old, new], [new, old]):
            self.assertEqual(LeaseTable(records).held(client(1).key, lab, NOW), new)

    def test_the_host_name_is_the_last_one_said(self) -> None:
        table, lab = LeaseTable(), network(8)
        table.offer(client(1), lab, None, None, (), NOW)
        named = attrs.evolve(client(1), hostname="ws12")
        lease = table.offer(named, lab, None, None, (), NOW)
        assert lease is not None
        self.assertEqual(table.commit(lease, NOW).hostname, "ws12")


class UnclaimedTests(SynchronousTestCase):
    """Offers that nobody takes."""

    def test_a_flood_in_a_large_pool(self) -> None:
        """Memory grows with those who ask within a minute, not with all who ever asked."""
        table, lab = LeaseTable(), network(1 << 20)
        for n in range(20 * KEPT):
            self.assertTrue(table.offer(client(n), lab, None, None, (), NOW + n / 10))
        self.assertLess(len(list(table.leases())), 1.7 * KEPT)  # 600 of them are still held

    def test_who_took_it_keeps_it(self) -> None:
        table, lab = LeaseTable(), network(1 << 20)
        offer = table.offer(client(1), lab, None, None, (), NOW)
        assert offer is not None
        lease = table.commit(attrs.evolve(offer, ends=NOW + DAY), NOW)
        self.assertFalse(table.remembers(client(2).key))
        for n in range(2, 3 * KEPT):
            table.offer(client(n), lab, None, None, (), NOW + n)
        self.assertEqual(table.holder(lease.address, NOW + DAY / 2), lease)
        self.assertTrue(table.remembers(client(1).key))
        self.assertFalse(table.remembers(client(2).key))
        self.assertFalse(table.remembers(client(3 * KEPT).key))
