# ruff: noqa: D102  # the names of tests are sentences
"""What every lease store must do, as test cases to mix into your own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs
from zope.interface.verify import verifyObject

from pxetwist.errors import LeaseConflict
from pxetwist.interfaces import ILeaseStore, INotes
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState, Network, Pool
from pxetwist.testing.contracts import Contract

NOW = 1_700_000_000.0
DAY = 86400.0
LAB = Network(
    "lab",
    IPv4Network("10.0.0.0/24"),
    (
        Pool(IPv4Address("10.0.0.10"), IPv4Address("10.0.0.11")),
        Pool(IPv4Address("10.0.0.20"), IPv4Address("10.0.0.21")),
    ),
)
OFFICE = Network(
    "office",
    IPv4Network("10.0.1.0/24"),
    (Pool(IPv4Address("10.0.1.10"), IPv4Address("10.0.1.19")),),
)
#: The same wire in IPv6, with a pool that nobody could list.
LAB6 = Network(
    "lab6",
    IPv6Network("fd77::/64"),
    (Pool(IPv6Address("fd77::100"), IPv6Address("fd77::ffff:ffff:ffff:ffff")),),
)
#: The whole pool of LAB.
POOL = [address for pool in LAB.pools for address in pool]
RESERVED = IPv4Address("10.0.0.200")


def client(number: int) -> ClientIdentity:
    """Return one of many clients."""
    return ClientIdentity(mac=f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}")


class LeaseStoreContract(Contract):
    """What every lease store must do; `store` is a fresh one for each test."""

    @abstractmethod
    def make_store(self) -> ILeaseStore:
        """Return an empty store, started."""

    def setUp(self) -> None:
        """Make the store."""
        super().setUp()
        self.store = self.make_store()

    def offer(
        self,
        number: int,
        now: float = NOW,
        *,
        network: Network = LAB,
        wanted: IPv4Address | IPv6Address | None = None,
        reserved: IPv4Address | IPv6Address | None = None,
        avoid: Collection[IPv4Address | IPv6Address] = (),
    ) -> Lease | None:
        """Let a client ask for an offer."""
        return self.result(self.store.offer(client(number), network, wanted, reserved, avoid, now))

    def offered(self, number: int, now: float = NOW, network: Network = LAB) -> Lease:
        """Let a client ask for an offer, which it must get."""
        lease = self.offer(number, now, network=network)
        assert lease is not None
        return lease

    def commit(self, lease: Lease, now: float = NOW, seconds: float = 3600.0) -> Lease:
        """Let a client take an offer."""
        return self.result(self.store.commit(attrs.evolve(lease, ends=now + seconds), now))

    def holder(self, address: IPv4Address | IPv6Address, now: float = NOW) -> str | None:
        """Return the key of an address's holder."""
        lease = self.result(self.store.holder(address, now))
        return None if lease is None else lease.key

    def test_provides_the_interface(self) -> None:
        verifyObject(ILeaseStore, self.store)

    def test_an_offer_is_from_the_pool_and_held_for_a_minute(self) -> None:
        lease = self.offered(1)
        self.assertIn(lease.address, POOL)
        self.assertEqual((lease.key, lease.network), (client(1).key, "lab"))
        self.assertEqual(self.holder(lease.address, NOW + 59), client(1).key)
        self.assertIsNone(self.holder(lease.address, NOW + 60))
        self.assertEqual(self.offered(1, NOW + 1).address, lease.address)

    def test_everyone_gets_another_address_until_the_pool_is_empty(self) -> None:
        self.assertCountEqual([self.offered(n).address for n in range(4)], POOL)
        self.assertIsNone(self.offer(4))
        self.assertIsNotNone(self.offer(4, NOW + 60))

    def test_nobody_without_identity(self) -> None:
        self.assertIsNone(
            self.result(self.store.offer(ClientIdentity(), LAB, None, None, (), NOW))
        )

    def test_a_lease_is_held_until_it_ends(self) -> None:
        lease = self.commit(self.offered(1))
        self.assertIs(lease.state, LeaseState.LEASED)
        self.assertTrue(NOW + 3600 <= lease.ends <= NOW + 4050, lease.ends)
        self.assertEqual(self.result(self.store.holder(lease.address, lease.ends - 1)), lease)
        self.assertEqual(self.result(self.store.held(client(1), LAB, lease.ends - 1)), lease)
        self.assertIsNone(self.holder(lease.address, lease.ends))
        self.assertIsNone(self.result(self.store.held(client(1), LAB, lease.ends)))
        self.assertIsNone(self.result(self.store.held(client(2), LAB, NOW)))
        self.assertEqual(list(self.store.leases()), [lease])

    def test_a_new_discover_does_not_shorten_a_lease(self) -> None:
        """A machine that reboots asks anew while its system's lease still runs."""
        lease = self.commit(self.offered(1))
        self.assertEqual(self.offered(1, NOW + 10).address, lease.address)
        self.assertEqual(self.holder(lease.address, NOW + 3000), client(1).key)

    def test_renewal(self) -> None:
        lease = self.commit(self.offered(1))
        self.commit(lease, NOW + 1800)
        self.assertEqual(self.holder(lease.address, NOW + 5000), client(1).key)

    def test_conflict(self) -> None:
        """An offer that lapsed and went to another client is not to be had any more."""
        late = [self.offered(n) for n in range(4)]
        taken = {lease.address for lease in (self.offered(n, NOW + 61) for n in range(4, 8))}
        for lease in late:
            self.assertIn(lease.address, taken)
            with self.assertRaises(LeaseConflict):
                self.commit(lease, NOW + 62)

    def test_a_former_address_comes_back(self) -> None:
        address = self.commit(self.offered(1)).address
        self.offered(2)
        self.assertEqual(self.offered(1, NOW + 30 * DAY).address, address)

    def test_unused_addresses_first_then_the_one_unused_longest(self) -> None:
        leases = [self.offered(n) for n in range(4)]
        for lease, seconds in zip(leases[:3], (300, 100, 200), strict=True):
            self.commit(lease, NOW, seconds)
        self.commit(leases[3], NOW, 2 * DAY)
        expected = [leases[n].address for n in (1, 2, 0)]
        self.assertEqual([self.offered(n, NOW + DAY).address for n in (5, 6, 7)], expected)
        self.assertIsNone(self.offer(8, NOW + DAY))

    def test_renewal_counts_for_the_order(self) -> None:
        leases = [self.commit(self.offered(n), NOW, 100 + n) for n in range(4)]
        self.commit(leases[0], NOW + 50, 1000)
        self.assertEqual(self.offered(9, NOW + DAY).address, leases[1].address)

    def test_wanted(self) -> None:
        self.assertEqual(getattr(self.offer(1, wanted=POOL[2]), "address", None), POOL[2])
        other = self.offer(2, wanted=POOL[2])
        assert other is not None
        self.assertNotEqual(other.address, POOL[2])
        outside = self.offer(3, wanted=IPv4Address("10.0.0.99"))
        assert outside is not None
        self.assertIn(outside.address, POOL)

    def test_avoided_addresses_are_never_given_from_a_pool(self) -> None:
        avoid = frozenset(POOL[:3])
        lease = self.offer(1, wanted=POOL[0], avoid=avoid)
        assert lease is not None
        self.assertEqual(lease.address, POOL[3])
        self.assertIsNone(self.offer(2, avoid=avoid))
        again = self.offer(2, NOW + DAY)  # avoided no longer
        self.assertIsNotNone(again)

    def test_reservation(self) -> None:
        for reserved in (RESERVED, POOL[0]):
            self.assertEqual(
                getattr(self.offer(1, reserved=reserved, avoid={reserved}), "address", None),
                reserved,
            )

    def test_a_reservation_wins_over_the_current_lease(self) -> None:
        self.commit(self.offered(1))
        lease = self.offer(1, reserved=RESERVED)
        assert lease is not None
        self.assertEqual(self.commit(lease).address, RESERVED)
        held = self.result(self.store.held(client(1), LAB, NOW))
        assert held is not None
        self.assertEqual(held.address, RESERVED)

    def test_a_reserved_address_that_somebody_else_still_holds(self) -> None:
        """He keeps it till his lease ends; the machine gets one from the pool meanwhile."""
        taken = self.commit(self.offered(1)).address
        other = self.offer(2, reserved=taken, avoid={taken})
        assert other is not None
        self.assertNotEqual(other.address, taken)
        later = self.offer(2, NOW + DAY, reserved=taken, avoid={taken})
        self.assertEqual(getattr(later, "address", None), taken)

    def test_a_former_reservation_is_not_offered_again(self) -> None:
        lease = self.offer(1, reserved=RESERVED)
        assert lease is not None
        self.commit(lease)
        self.assertIn(self.offered(1, NOW + DAY).address, POOL)

    def test_release(self) -> None:
        leases = [self.commit(self.offered(n)) for n in range(4)]
        address = leases[2].address
        self.assertFalse(self.result(self.store.release(address, client(1), NOW + 5)))
        self.assertTrue(self.result(self.store.release(address, client(2), NOW + 5)))
        self.assertFalse(self.result(self.store.release(address, client(2), NOW + 5)))
        self.assertIsNone(self.holder(address, NOW + 5))
        self.assertEqual(self.offered(2, NOW + 6).address, address)  # remembered
        self.assertTrue(self.result(self.store.release(address, client(2), NOW + 7)))
        self.assertEqual(self.offered(9, NOW + 8).address, address)  # free

    def test_a_clock_that_is_set_back_after_a_release(self) -> None:
        """What was free when it was offered is still free."""
        leases = [self.commit(self.offered(n)) for n in range(4)]
        for number, address in enumerate([leases[1].address, leases[2].address], 1):
            self.assertTrue(self.result(self.store.release(address, client(number), NOW + 50)))
        self.assertEqual(self.offered(1, NOW + 51).address, leases[1].address)
        other = self.offered(9, NOW + 51)
        self.assertEqual(other.address, leases[2].address)
        self.commit(other, NOW)
        self.assertTrue(self.result(self.store.release(leases[1].address, client(1), NOW)))

    def test_decline(self) -> None:
        leases = [self.commit(self.offered(n)) for n in range(4)]
        address = leases[2].address
        self.assertFalse(self.result(self.store.decline(address, client(1), NOW)))
        self.assertTrue(self.result(self.store.decline(address, client(2), NOW)))
        self.assertIsNone(self.holder(address))
        self.assertIsNone(self.offer(2, NOW + 1, wanted=address))
        with self.assertRaises(LeaseConflict):
            self.commit(leases[2], NOW + 2)
        got = {self.offered(n, NOW + DAY - 1).address for n in (5, 6, 7)}
        self.assertNotIn(address, got)
        self.assertIsNone(self.offer(8, NOW + DAY - 1))
        self.assertEqual(self.offered(8, NOW + DAY).address, address)

    def test_a_client_that_moves_gets_an_address_of_the_other_network(self) -> None:
        first = self.commit(self.offered(1))
        second = self.commit(self.offered(1, NOW, OFFICE))
        self.assertIn(second.address, OFFICE.network)
        self.assertEqual(self.offered(1, NOW + 1).address, first.address)
        self.assertEqual(self.offered(1, NOW + 1, OFFICE).address, second.address)
        stranger = self.offer(2, network=OFFICE, reserved=RESERVED)
        assert stranger is not None
        self.assertIn(stranger.address, OFFICE.network)

    def test_ipv6(self) -> None:
        four = self.commit(self.offered(1))
        first, second = self.offered(1, network=LAB6), self.offered(2, network=LAB6)
        self.assertNotEqual(first.address, second.address)
        for lease in (first, second):
            self.assertTrue(LAB6.in_pool(lease.address))
        self.assertEqual(self.offered(1, NOW + 1, LAB6).address, first.address)
        reserved = IPv6Address("fd77::9")
        mine = self.offer(3, network=LAB6, reserved=reserved)
        self.assertEqual(mine and mine.address, reserved)
        self.commit(first)
        self.assertEqual(self.holder(first.address, NOW + 3000), client(1).key)
        self.assertEqual(self.holder(four.address, NOW + 3000), client(1).key)
        self.assertTrue(self.result(self.store.release(first.address, client(1), NOW + 1)))
        self.assertIsNone(self.holder(first.address, NOW + 2))

    def test_records_are_in_the_order_of_addresses(self) -> None:
        for number in (3, 1, 2, 0):
            self.commit(self.offered(number))
        self.assertEqual([lease.address for lease in self.store.leases()], POOL)


class NotesContract(LeaseStoreContract):
    """What a lease store must do that keeps notes as well."""

    def remember(self, limit: int = 9, now: float = NOW, **notes: str) -> None:
        """Keep notes of one topic."""
        self.result(INotes(self.store).remember("topic", notes, limit, now))

    def recalled(self, topic: str = "topic") -> list[tuple[str, str]]:
        """Return notes in their order."""
        return list(self.result(INotes(self.store).recall(topic)).items())

    def test_notes(self) -> None:
        verifyObject(INotes, self.store)
        self.assertEqual(self.recalled(), [])
        self.remember(a="1", b="2")
        self.remember(now=NOW + 1, a="%s 'ä' :x")
        self.assertEqual(self.recalled(), [("b", "2"), ("a", "%s 'ä' :x")])
        self.assertEqual(self.recalled("other"), [])

    def test_the_oldest_notes_are_forgotten(self) -> None:
        for number, name in enumerate("cab"):
            self.remember(limit=2, now=NOW + number, **{name: "x"})
        self.assertEqual(self.recalled(), [("a", "x"), ("b", "x")])


class DurableLeaseStoreContract(NotesContract):
    """What a lease store that survives a restart must do as well."""

    @abstractmethod
    def reopen(self, store: ILeaseStore) -> ILeaseStore:
        """Stop the store, and return another one on the same data."""

    def test_what_was_acknowledged_survives(self) -> None:
        lease = self.commit(self.offered(1))
        released, declined = self.commit(self.offered(2)), self.commit(self.offered(3))
        self.result(self.store.release(released.address, client(2), NOW + 1))
        self.result(self.store.decline(declined.address, client(3), NOW + 1))
        self.store = self.reopen(self.store)
        self.assertEqual(self.result(self.store.held(client(1), LAB, NOW + 2)), lease)
        self.assertIsNone(self.holder(released.address, NOW + 2))
        self.assertEqual(self.offered(2, NOW + 2).address, released.address)
        self.assertIsNone(self.holder(declined.address, NOW + 2))
        self.assertNotEqual(self.offered(3, NOW + 2).address, declined.address)
        states = [record.state for record in self.store.leases()]
        self.assertIn(LeaseState.DECLINED, states)

    def test_notes_survive(self) -> None:
        self.remember(a="1")
        self.store = self.reopen(self.store)
        self.assertEqual(self.recalled(), [("a", "1")])

    def test_the_last_renewal_survives(self) -> None:
        lease = self.commit(self.offered(1))
        renewed = self.commit(lease, NOW + 1800)
        six = self.commit(self.offered(1, network=LAB6))
        self.store = self.reopen(self.store)
        self.assertEqual(self.result(self.store.holder(lease.address, NOW + 5000)), renewed)
        self.assertEqual(self.result(self.store.holder(six.address, NOW + 1)), six)
