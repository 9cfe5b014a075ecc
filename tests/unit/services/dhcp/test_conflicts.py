"""Looking whether an address is in use, with questions that a test answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import StartError
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState, Network, Pool
from pxetwist.services.dhcp import conflicts
from pxetwist.services.dhcp.address_probes import Found
from pxetwist.services.dhcp.conflicts import BUDGET, REMEMBERED_FOR, ConflictCheck
from pxetwist.services.dhcp.guarded_leases import GuardedLeases
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeBoot

ETH0 = NetworkInterface("eth0", 2, IPv4Interface("10.0.0.1/24"), "02:00:00:00:00:fe", 1)
MAC, SQUATTER = "52:54:00:00:00:01", "02:00:00:00:00:66"
ADDRESSES = [IPv4Address(f"10.0.0.{n}") for n in (10, 11, 12)]
HERE, THERE = ADDRESSES[0], IPv4Address("10.9.0.10")


@attrs.define(eq=False)
class Question:
    """One that counts how often it was put."""

    found: Found
    asked: int = 0
    stopped: bool = False

    def ask(self) -> None:
        self.asked += 1

    def stop(self) -> None:
        self.stopped = True


class Check(ConflictCheck):
    """Whoever is in `taken` answers at once."""

    def __init__(self, clock: Clock, counters: Counter[str]) -> None:
        super().__init__(clock, counters, self.present)
        self.taken: dict[IPv4Address, str] = {}
        self.asked: list[str] = []
        self.questions: list[Question] = []
        self.error: Exception | None = None

    def present(self) -> Sequence[NetworkInterface]:
        return [ETH0]

    def arp(self, interface: NetworkInterface, address: IPv4Address, found: Found) -> Question:
        return self.put(f"arp {interface.name} {address}", address, found)

    def ping(self, address: IPv4Address, found: Found) -> Question:
        return self.put(f"ping {address}", address, found)

    def put(self, words: str, address: IPv4Address, found: Found) -> Question:
        if self.error is not None:
            raise self.error
        self.asked.append(words)
        self.questions.append(Question(found))
        if address in self.taken:
            found(self.taken[address])
        return self.questions[-1]


class ConflictCheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.counters: Counter[str] = Counter()
        self.check = Check(self.clock, self.counters)

    def ask(self, address: IPv4Address = HERE) -> Deferred[str | None]:
        return Deferred.fromCoroutine(self.check.taken_by(address, MAC, BUDGET))

    def test_nobody(self) -> None:
        """It is asked twice, no longer than the budget; then it is known for a minute."""
        answer = self.ask()
        self.clock.pump([BUDGET / 10] * 9)
        self.assertNoResult(answer)
        self.clock.advance(BUDGET / 10)
        self.assertIsNone(self.successResultOf(answer))
        [question] = self.check.questions
        self.assertEqual((question.asked, question.stopped), (2, True))
        self.assertIsNone(self.successResultOf(self.ask()))
        self.clock.advance(REMEMBERED_FOR)
        self.assertNoResult(self.ask())
        self.assertEqual(self.check.asked, ["arp eth0 10.0.0.10"] * 2)

    def test_somebody(self) -> None:
        self.check.taken = {HERE: SQUATTER, THERE: ""}
        self.assertEqual(self.successResultOf(self.ask()), SQUATTER)
        self.assertEqual(self.successResultOf(self.ask(THERE)), "somebody who answers ping")
        self.assertEqual(self.check.asked, ["arp eth0 10.0.0.10", "ping 10.9.0.10"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_client_itself(self) -> None:
        """It may have kept its address: that is no conflict; a later answer may be one."""
        self.check.taken = {HERE: MAC}
        answer = self.ask()
        self.assertNoResult(answer)
        self.check.questions[0].found(SQUATTER)
        self.check.questions[0].found(SQUATTER)
        self.assertEqual(self.successResultOf(answer), SQUATTER)

    def test_without_the_right_to_ask(self) -> None:
        """The address is offered all the same."""
        for error in (PermissionError(1, "not permitted"), StartError("no netlink")):
            self.check.error = error
            self.assertIsNone(self.successResultOf(self.ask()))
        self.assertEqual(self.counters, {"conflicts not looked for": 2})

    def test_bounds(self) -> None:
        self.patch(conflicts, "_AT_ONCE", 1)
        self.patch(conflicts, "_REMEMBERED", 1)
        first = self.ask()
        self.assertIsNone(self.successResultOf(self.ask(THERE)))
        self.assertEqual(self.counters, {"conflicts not looked for": 1})
        self.clock.pump([0.1] * 4)
        self.successResultOf(first)
        other = self.ask(THERE)
        self.clock.pump([0.1] * 4)
        self.successResultOf(other)
        self.assertNoResult(self.ask())


class OfferTests(SynchronousTestCase):
    """The store behind the guard, with a pool of three."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.boot = FakeBoot()
        self.leases = GuardedLeases(MemoryLeases(), self.boot, self.clock)
        self.check = Check(self.clock, self.leases.counters)
        self.leases.conflicts = self.check
        self.network = Network(
            "lab",
            IPv4Network("10.0.0.0/24"),
            (Pool(ADDRESSES[0], ADDRESSES[-1]),),
            conflict_check=True,
        )

    def offer(self, wanted: IPv4Address = HERE, mac: str = MAC) -> Deferred[Lease | None]:
        identity, now = ClientIdentity(mac=mac), self.clock.seconds()
        return Deferred.fromCoroutine(
            self.leases.offer(identity, self.network, wanted, None, (), now)
        )

    def offered(self, waiting: Deferred[Lease | None]) -> Lease:
        self.clock.pump([BUDGET / 10] * 11)
        lease = self.successResultOf(waiting)
        assert lease is not None
        return lease

    def test_another_one_in_the_same_breath(self) -> None:
        """The one in use is put out of use, and that is told."""
        self.check.taken = {ADDRESSES[0]: SQUATTER, ADDRESSES[1]: SQUATTER}
        self.assertEqual(self.offered(self.offer()).address, ADDRESSES[2])
        states = {each.address: each.state for each in self.leases.leases()}
        self.assertEqual(states[HERE], LeaseState.DECLINED)
        events = [each for each in self.boot.events if each.kind is EventKind.CONFLICT]
        self.assertIn(
            f"10.0.0.10 is in use by {SQUATTER}: it is not given for a day",
            [event.summary for event in events],
        )
        self.assertEqual(self.leases.counters["conflicts"], len(events))

    def test_all_are_in_use(self) -> None:
        self.check.taken = dict.fromkeys(ADDRESSES, SQUATTER)
        self.assertIsNone(self.successResultOf(self.offer()))

    def test_who_holds_it_is_not_asked(self) -> None:
        """Neither the client of a lease that has not ended, nor one that was offered it lately."""
        first = self.offered(self.offer())
        again = self.successResultOf(self.offer())
        self.assertEqual(again and again.address, first.address)
        lease = attrs.evolve(first, ends=self.clock.seconds() + 3600)
        self.successResultOf(Deferred.fromCoroutine(self.leases.commit(lease, 0.0)))
        self.clock.advance(REMEMBERED_FOR + 1)
        self.check.taken = {HERE: SQUATTER}
        self.assertEqual(self.offered(self.offer()).address, HERE)
        self.assertEqual(len(self.check.asked), 1)

    def test_off(self) -> None:
        self.network = attrs.evolve(self.network, conflict_check=False)
        self.check.taken = dict.fromkeys(ADDRESSES, SQUATTER)
        self.assertIsNotNone(self.successResultOf(self.offer()))
        self.assertEqual(self.check.asked, [])
