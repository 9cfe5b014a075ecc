# the names of tests are sentences
"""What no order of events may break in a lease store; needs hypothesis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from pxetwist.errors import LeaseConflict
from pxetwist.interfaces import ILeaseStore
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease
from pxetwist.testing.contracts import Contract
from pxetwist.testing.leases import DAY, LAB, NOW, POOL, RESERVED, LeaseStoreContract, client

#: How far the clock goes between two steps, in seconds; it is also set back.
_STEPS = (0, 1, 30, 61, 4000, -5, -100, -5000)


class LeasePropertyContract(LeaseStoreContract):
    """Random interleavings of what clients do, on top of the rest of the contract."""

    #: How many to try.
    examples: ClassVar[int] = 100

    def test_any_interleaving(self) -> None:
        """One holder per address, holders can renew, what ended is free: in whatever order, with
        messages lost or doubled on their way, and a clock that is set forth and back.
        """
        actions = st.sampled_from(["offer", "offer", "reserve", "commit", "release", "decline"])
        step = st.tuples(actions, st.integers(0, 5), st.integers(0, 3), st.sampled_from(_STEPS))

        @settings(max_examples=self.examples, deadline=None, database=None)
        @given(st.lists(step, max_size=60))
        def run(steps: list[tuple[str, int, int, int]]) -> None:
            self.store = self.make_store()
            Interleaving(self).run(steps)

        run()


@attrs.define
class Interleaving:
    """Takes random steps and compares the store with what must be so.

    `busy` is who (nobody: declined) has each address until when, and `stored` the same without
    offers; `last` is what each client was offered last.
    """

    case: LeaseStoreContract
    now: float = NOW
    busy: dict[IPv4Address | IPv6Address, tuple[str, float]] = attrs.field(factory=dict)
    stored: dict[IPv4Address | IPv6Address, tuple[str, float]] = attrs.field(factory=dict)
    last: dict[int, Lease] = attrs.field(factory=dict)

    def run(self, steps: Iterable[tuple[str, int, int, int]]) -> None:
        """Take all steps, then see that everything ends at last."""
        for action, number, index, passed in steps:
            self.now += passed
            match action:
                case "offer":
                    self.offer(number, wanted=POOL[index], avoid={RESERVED, POOL[0]})
                case "reserve":
                    self.offer(number, reserved=(RESERVED, POOL[0])[index % 2], avoid={POOL[0]})
                case "commit" if number in self.last:
                    self.commit(self.last[number])
                case "release" | "decline" if number in self.last:
                    self.end(action, self.last[number].address, client(number))
            self.check()
        self.now += 2 * DAY
        everyone = [self.case.offered(n, self.now).address for n in range(100, 104)]
        self.case.assertCountEqual(everyone, POOL)

    def state(self, address: IPv4Address | IPv6Address) -> str | None:
        """Return the key of who must have the address now; empty if declined."""
        key, ends = self.busy.get(address, ("", 0.0))
        return key if ends > self.now else None

    def offer(
        self,
        number: int,
        *,
        avoid: Collection[IPv4Address | IPv6Address],
        wanted: IPv4Address | IPv6Address | None = None,
        reserved: IPv4Address | IPv6Address | None = None,
    ) -> None:
        """Ask for an offer: it is free, or this client's; there is one if there can be."""
        case, key = self.case, client(number).key
        lease = case.offer(number, self.now, wanted=wanted, reserved=reserved, avoid=avoid)
        usable = set(POOL) - set(avoid)
        if reserved is not None:
            usable.add(reserved)
        if lease is None:
            for address in usable:
                case.assertNotIn(self.state(address), (None, key))
            return
        case.assertIn(lease.address, usable)
        case.assertIn(self.state(lease.address), (None, key))
        case.assertGreaterEqual(lease.ends, self.now + 60)
        self.busy[lease.address] = (key, lease.ends)
        self.last[number] = lease

    def commit(self, lease: Lease) -> None:
        """Take or renew: it succeeds if and only if nobody else has the address."""
        if self.state(lease.address) in (None, lease.key):
            try:
                stored = self.case.commit(lease, self.now, 1000)
            except LeaseConflict:
                self.came_back(lease.address)
            else:
                self.store(lease.address, lease.key, stored.ends)
        else:
            with self.case.assertRaises(LeaseConflict):
                self.case.commit(lease, self.now, 1000)

    def end(
        self, action: str, address: IPv4Address | IPv6Address, identity: ClientIdentity
    ) -> None:
        """Release or decline: it counts if and only if the client has the address."""
        store = self.case.store
        call = store.release if action == "release" else store.decline
        done = self.case.result(call(address, identity, self.now))
        if not done and self.state(address) == identity.key:
            self.came_back(address)
        self.case.assertEqual(done, self.state(address) == identity.key)
        if done and action == "decline":
            self.store(address, "", self.now + DAY)
        elif done:
            self.store(address, "", self.now)
            del self.stored[address]  # whatever the clock says

    def store(self, address: IPv4Address | IPv6Address, key: str, ends: float) -> None:
        """Note what must be stored."""
        self.busy[address] = self.stored[address] = (key, ends)

    def came_back(self, address: IPv4Address | IPv6Address) -> None:
        """Somebody may not have what he was offered only if the clock was set back since, to when
        it was not free.
        """
        mine = self.busy[address][0]
        self.busy[address] = self.stored.get(address, ("", 0.0))
        self.case.assertNotIn(self.state(address), (None, mine))

    def check(self) -> None:
        """Everyone who must hold an address does, and nobody is told of another's."""
        case = self.case
        for address in (*POOL, RESERVED):
            case.assertEqual(case.holder(address, self.now), self.state(address) or None)
        for number in range(6):
            held = case.result(case.store.held(client(number), LAB, self.now))
            if held is not None:
                case.assertEqual(held.key, client(number).key)
                case.assertEqual(self.state(held.address), held.key)


class SharedLeasesContract(Contract):
    """What must be true of stores that share their leases, whatever happens in whatever order."""

    #: How many to try.
    examples: ClassVar[int] = 25

    @abstractmethod
    def make_stores(self) -> Sequence[ILeaseStore]:
        """Return several stores of the same leases, of which there are none yet."""

    def test_any_interleaving_of_servers(self) -> None:
        """No address is given twice; whoever holds one can renew it everywhere; what ended is
        free for everybody.
        """
        actions = st.sampled_from(["offer", "offer", "commit", "commit", "renew", "release"])
        step = st.tuples(st.integers(0, 1), actions, st.integers(0, 5), st.sampled_from(_STEPS))

        @settings(max_examples=self.examples, deadline=None, database=None)
        @given(st.lists(step, max_size=50))
        def run(steps: list[tuple[int, str, int, int]]) -> None:
            SharedInterleaving(self, self.make_stores()).run(steps)

        run()


@attrs.define
class SharedInterleaving:
    """Takes random steps at random servers; `given` is what clients have acknowledged leases of:
    the key and the end by address.
    """

    case: SharedLeasesContract
    stores: Sequence[ILeaseStore]
    now: float = NOW
    latest: float = NOW
    given: dict[IPv4Address | IPv6Address, tuple[str, float]] = attrs.field(factory=dict)
    last: dict[tuple[int, int], Lease] = attrs.field(factory=dict)

    def run(self, steps: Iterable[tuple[int, str, int, int]]) -> None:
        """Take all steps, then see that everything ends at last."""
        for server, action, number, passed in steps:
            self.now += passed
            self.latest = max(self.latest, self.now)
            match action:
                case "offer":
                    self.offer(server, number)
                case "commit" if (server, number) in self.last:
                    self.commit(server, self.last[server, number])
                case "renew":
                    self.renew(server, number)
                case "release":
                    self.release(server, number)
        self.now = self.latest + 2 * DAY
        everyone = []
        for number in range(100, 104):
            lease = self.offer(number % 2, number)
            self.case.assertIsNotNone(lease)
            if lease is not None:
                everyone.append(self.commit(number % 2, lease))
        self.case.assertCountEqual(everyone, POOL)

    def holder(self, address: IPv4Address | IPv6Address) -> str | None:
        """Return who has an acknowledged lease now."""
        key, ends = self.given.get(address, ("", 0.0))
        return key if ends > self.now else None

    def offer(self, server: int, number: int) -> Lease | None:
        """Ask for an offer."""
        store = self.stores[server]
        asking = store.offer(client(number), LAB, None, None, (), self.now)
        lease: Lease | None = self.case.result(asking)
        if lease is not None:
            self.last[server, number] = lease
        return lease

    def commit(self, server: int, lease: Lease) -> IPv4Address | IPv6Address | None:
        """Take what was offered: whatever the servers know, nobody else may have it."""
        wish = attrs.evolve(lease, ends=self.now + 1000)
        try:
            stored = self.case.result(self.stores[server].commit(wish, self.now))
        except LeaseConflict:
            return None
        self.case.assertIn(self.holder(stored.address), (None, stored.key))
        self.given[stored.address] = (stored.key, stored.ends)
        return stored.address

    def renew(self, server: int, number: int) -> None:
        """Renew all that a client has, at any server."""
        store, key = self.stores[server], client(number).key
        self.case.result(store.holder(RESERVED, self.now))  # it looks what others have done
        for address in [each for each in self.given if self.holder(each) == key]:
            lease = self.case.result(store.holder(address, self.now))
            assert lease is not None, f"{address} is lost"
            self.case.assertEqual(lease.key, key)
            self.case.assertEqual(self.commit(server, lease), address)

    def release(self, server: int, number: int) -> None:
        """Give back all that a client has, to any server."""
        store, who = self.stores[server], client(number)
        self.case.result(store.holder(RESERVED, self.now))
        for address in [each for each in self.given if self.holder(each) == who.key]:
            self.case.assertTrue(self.case.result(store.release(address, who, self.now)))
            self.given[address] = ("", 0.0)
