"""What the guard before a lease store leaves to known machines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.errors import StateUnavailable
from pxetwist.interfaces import ICounts, ILeaseStore
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network, Pool
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.guarded_leases import GuardedLeases
from pxetwist.services.dhcp.strangers import HELD_FOR
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeBoot, result_of
from pxetwist.testing.leases import NotesContract

NOW = 1_700_000_000.0
LAB = Network(
    "lab",
    IPv4Network("10.0.0.0/24"),
    (Pool(IPv4Address("10.0.0.10"), IPv4Address("10.0.0.19")),),
)
KNOWN = ClientIdentity(mac="52:54:00:00:00:01")


def stranger(number: int) -> ClientIdentity:
    return ClientIdentity(mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.boot = FakeBoot(machine=Machine("ws1", (KNOWN.mac,)))
        self.leases = GuardedLeases(MemoryLeases(), self.boot, Clock())

    def offer(self, who: ClientIdentity, now: float = NOW, reserved: str = "") -> Lease | None:
        address = IPv4Address(reserved) if reserved else None
        return result_of(self.leases.offer(who, LAB, None, address, (), now))

    def lease(self, who: ClientIdentity, now: float = NOW) -> Lease:
        offer = self.offer(who, now)
        assert offer is not None
        return result_of(self.leases.commit(attrs.evolve(offer, ends=now + 3600), now))

    def test_interfaces(self) -> None:
        verifyObject(ILeaseStore, self.leases)
        verifyObject(ICounts, self.leases)

    def test_strangers_get_half_of_the_pool(self) -> None:
        offers = [self.offer(stranger(n)) for n in range(30)]
        self.assertEqual(len([each for each in offers if each]), 5)
        self.assertIsNotNone(self.offer(KNOWN))
        self.assertIsNotNone(self.offer(stranger(99), reserved="10.0.0.200"))
        self.assertEqual(self.leases.counts(), {"strangers refused": 25})

    def test_who_holds_an_offer_may_ask_again(self) -> None:
        offers = [self.offer(stranger(n)) for n in range(5)]
        again = [self.offer(stranger(n), NOW + 1) for n in range(5)]
        self.assertEqual(
            [each and each.address for each in offers], [each and each.address for each in again]
        )
        self.assertIsNone(self.offer(stranger(9), NOW + HELD_FOR))
        self.assertIsNotNone(self.offer(stranger(9), NOW + HELD_FOR + 1))

    def test_who_takes_its_offer_is_no_stranger(self) -> None:
        """So a site without any directory may use its whole pool."""
        addresses = {self.lease(stranger(n)).address for n in range(10)}
        self.assertEqual(len(addresses), 10)


class BuggyStores(SynchronousTestCase):
    """Whatever a store does, nothing is acknowledged that it has not stored, and it is named."""

    def commit(self, way: Callable[[], Awaitable[Any]]) -> Deferred[Lease]:
        class Buggy(MemoryLeases):
            async def commit(self, lease: Lease, now: float) -> Lease:
                return await way()  # type: ignore[no-any-return]

        self.clock = Clock()
        boot = FakeBoot(machine=Machine("ws1", (KNOWN.mac,)))
        leases = GuardedLeases(Buggy(), boot, self.clock)
        lease = result_of(leases.offer(KNOWN, LAB, None, None, (), NOW))
        assert lease is not None
        return Deferred.fromCoroutine(leases.commit(lease, NOW))

    def test_raises(self) -> None:
        async def stumble() -> None:
            raise ZeroDivisionError

        error = self.failureResultOf(self.commit(stumble), StateUnavailable)
        self.assertIn("ZeroDivisionError", str(error.value))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_returns_no_lease(self) -> None:
        async def forget() -> None:
            pass

        error = self.failureResultOf(self.commit(forget), StateUnavailable)
        self.assertIn("it returns a NoneType", str(error.value))

    def test_never_answers(self) -> None:
        waiting = self.commit(Deferred)
        self.clock.advance(30)
        error = self.failureResultOf(waiting, StateUnavailable)
        self.assertIn("no answer within 30 s", str(error.value))


class StrangersOnlyContract(NotesContract, SynchronousTestCase):
    """Nothing else is changed: machines that are known see the store behind the guard."""

    def make_store(self) -> ILeaseStore:
        class Everybody(FakeBoot):
            def remembers(self, mac: str) -> bool:
                return True

        return GuardedLeases(MemoryLeases(), Everybody(), Clock())
