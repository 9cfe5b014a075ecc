"""Sightings of several processes: one sees machines, the others serve them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.boot.facade import BootFacade
from pxetwist.boot.policies import Policies
from pxetwist.boot.shared_sightings import BorrowedSightings, PublishedSightings
from pxetwist.boot.sightings import PLAN_LIFE, Sighting, Sightings
from pxetwist.errors import Location
from pxetwist.interfaces import IBegins
from pxetwist.model.answer import Answer, Value
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.boots import Files, LocalDisk
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.state.board import Board
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeHosts, FakePolicy

NOW = 1_700_000_000.0
ADDRESS = IPv4Address("10.0.0.9")
ANSWER = Answer(
    "install", "preseed.cfg", {"word": Value("secret")}, True, location=Location("pxe.ini", 3)
)
INSTALL = BootPlan(Files("linux", answer=ANSWER), "install")
LOCAL = BootPlan(LocalDisk(), "local")


def identity(number: int) -> ClientIdentity:
    return ClientIdentity(mac=f"52:54:00:00:00:{number:02x}")


KEY = b"k" * 32


class Labels(Mapping[str, str]):
    """A directory's own kind of mapping."""

    def __init__(self) -> None:
        self.trap = lambda: None

    def __getitem__(self, key: str) -> str:
        return {"room": "b12"}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("room",))

    def __len__(self) -> int:
        return 1


class SharedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "sightings.sqlite"
        self.board = self.opened(owner=True)
        self.server = PublishedSightings(self.board, limit=10)
        self.one, self.two = (BorrowedSightings(self.opened(owner=False)) for _ in range(2))

    def opened(self, *, owner: bool) -> Board:
        board = Board(self.path, KEY, owner=owner)
        board.startService()
        self.addCleanup(board.stopService)
        return board

    def see(self, number: int = 1, stage: BootStage = BootStage.LOADER, now: float = NOW) -> str:
        """See a machine by DHCP, and decide about it; return the id of its boot."""
        sighting = self.server.see(identity(number), stage, now)
        machine = Machine(f"ws{number}", labels=Labels())
        self.server.amend(sighting, machine=machine, plan=sighting.plan or INSTALL)
        return sighting.boot_id

    def seen(self, by: BorrowedSightings | PublishedSightings, number: int = 1) -> Sighting:
        found = by.get(identity(number).key, NOW + 1)
        assert found is not None
        return found


class SharedTests(SharedCase):
    def test_all_know_it_at_once(self) -> None:
        boot_id = self.see()
        for worker in (self.one, self.two):
            self.assertIsNone(worker.at(ADDRESS, NOW))
            found = self.seen(worker)
            self.assertEqual(found.boot_id, boot_id)
            self.assertEqual(found.plan, INSTALL)
            assert found.machine is not None
            self.assertEqual((found.machine.name, found.machine.labels), ("ws1", {"room": "b12"}))
            self.assertIs(self.seen(worker), found)
        self.server.locate(ADDRESS, identity(1).key)
        self.assertEqual(self.one.at(ADDRESS, NOW), self.seen(self.one))
        self.see(2)
        self.server.locate(ADDRESS, identity(2).key)
        self.assertEqual(self.one.at(ADDRESS, NOW), self.seen(self.two, 2))

    def test_not_for_ever(self) -> None:
        self.see()
        self.assertIsNone(self.one.get(identity(1).key, NOW + PLAN_LIFE + 1))

    def test_what_becomes_of_a_boot(self) -> None:
        """What one process adds, all others know."""
        first = self.see()
        mine, other = self.seen(self.one), self.seen(self.two)
        self.one.amend(mine, begun=True)
        told = attrs.evolve(identity(1), serial="S1")
        self.two.amend(other, identity=told, plan=LOCAL)
        for sightings in (self.one, self.two, self.server):
            found = self.seen(sightings)
            self.assertEqual((found.begun, found.plan), (True, LOCAL))
            self.assertEqual(found.identity.serial, "S1")
        self.assertNotEqual(self.see(), first, "a loader that begins anew is a new boot")

    def test_a_boot_that_is_over(self) -> None:
        """What somebody adds to it does not reach the next one."""
        self.see()
        before = self.seen(self.one)
        self.see(stage=BootStage.FIRMWARE)
        self.one.amend(before, plan=LOCAL, begun=True)
        for sightings in (self.one, self.two, self.server):
            self.assertEqual(
                (self.seen(sightings).begun, self.seen(sightings).plan), (False, INSTALL)
            )
        begun = self.server.see(identity(1), BootStage.LOADER, NOW)
        self.two.amend(self.seen(self.two), begun=True)
        again = self.server.see(identity(1), BootStage.FIRMWARE, NOW)
        self.assertNotEqual(again.boot_id, begun.boot_id)
        self.one.amend(self.seen(self.one), plan=LOCAL)  # knows of the former boot only
        self.server.amend(again, machine=None, plan=None)
        self.assertIsNone(self.seen(self.one).plan)
        self.assertEqual(self.seen(self.one).boot_id, again.boot_id)

    def test_what_the_firmware_shows(self) -> None:
        self.see()
        self.server.amend(self.seen(self.server), choice="rescue")
        self.assertEqual(self.seen(self.two).choice, "rescue")

    def test_plans_are_forgotten(self) -> None:
        for forgets in (self.server, self.one):
            self.see()
            forgets.forget_plans()
            for sightings in (self.one, self.two, self.server):
                self.assertIsNone(self.seen(sightings).plan)
                self.assertIsNotNone(self.seen(sightings).machine)

    def test_who_is_forgotten(self) -> None:
        for number in range(30):
            self.see(number, now=NOW + number)
            self.server.locate(IPv4Address(number + 1), identity(number).key)
        kept = [n for n in range(30) if self.one.get(identity(n).key, NOW + 30)]
        placed = [n for n in range(30) if self.board.key_at(n + 1)]
        self.assertEqual((len(kept), placed), (10, list(range(20, 30))))

    def test_strangers_cost_nothing(self) -> None:
        sighting = self.server.see(identity(1), BootStage.FIRMWARE, NOW)
        self.server.amend(sighting, machine=None, plan=None)
        self.assertIsNone(self.one.get(identity(1).key, NOW))

    def test_nothing_is_written_twice(self) -> None:
        self.see()
        before = self.board.get(identity(1).key)
        self.see(now=NOW + 1)
        self.one.amend(self.seen(self.one), plan=INSTALL)
        self.assertEqual(self.board.get(identity(1).key), before)
        self.see(now=NOW + 60)
        self.assertNotEqual(self.board.get(identity(1).key), before)
        self.assertEqual(self.seen(self.two).last, NOW + 60)

    def test_who_serves_sees_nobody(self) -> None:
        unknown = self.one.see(identity(1), BootStage.LOADER, NOW)
        self.assertEqual((unknown.boot_id, unknown.plan), ("", None))
        self.one.amend(unknown, plan=LOCAL)
        self.one.locate(ADDRESS, identity(1).key)
        self.assertIsNone(self.two.get(identity(1).key, NOW))
        self.assertEqual(self.board.key_at(int(ADDRESS)), "")

    def test_before_the_board_is_open(self) -> None:
        closed = PublishedSightings(Board(self.path, KEY, owner=True))
        sighting = closed.see(identity(1), BootStage.LOADER, NOW)
        closed.amend(sighting, plan=INSTALL)
        closed.locate(ADDRESS, identity(1).key)
        self.assertIs(closed.at(ADDRESS, NOW), sighting)


class ProcessesTests(SharedCase):
    """The whole answer: one process answers DHCP, another one is asked for what that told."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.policy = FakePolicy(INSTALL)
        self.dhcp, self.http = (self.facade(each) for each in (self.server, self.one))

    def facade(self, sightings: Sightings) -> BootFacade:
        key = b"k" * 32
        boot = BootFacade(
            self.clock, networks={}, state_folder=self.path.parent, sightings=sightings
        )
        boot.tokens.key = key
        hosts = FakeHosts({identity(n).mac: Machine(f"ws{n}") for n in (1, 2)})
        boot.attach(
            hosts=[("rack", hosts)],
            policies=[("main", self.policy)],
            content=[],
            observers=[],
            leases=MemoryLeases(),
        )
        return boot

    def boots(self, number: int, firmware: Firmware = Firmware.IPXE) -> str:
        """Let a machine have its address and its plan by DHCP; return the id of its boot."""
        who = attrs.evolve(identity(number), firmware=firmware)
        boot_id = self.dhcp.see(who, BootStage.LOADER, self.clock.seconds())
        request = BootRequest(who, BootStage.LOADER, Protocol.DHCP, boot_id=boot_id)
        self.successResultOf(Deferred.fromCoroutine(self.dhcp.resolve(request)))
        self.dhcp.locate(ADDRESS, who, self.clock.seconds())
        return boot_id

    def asks(self) -> BootRequest:
        """Let whoever has the address ask for its script, where nobody has seen it."""
        found = Deferred.fromCoroutine(self.http.identify(str(ADDRESS), self.clock.seconds()))
        who, boot_id = self.successResultOf(found)
        request = BootRequest(who, BootStage.LOADER, Protocol.HTTP, boot_id=boot_id)
        resolved = Deferred.fromCoroutine(self.http.resolve(request))
        answered: BootRequest = self.successResultOf(resolved).request
        return answered

    def test_who_asks(self) -> None:
        for number in (1, 2, 1):
            boot_id = self.boots(number)
            asked = self.asks()
            assert asked.machine is not None
            self.assertEqual((asked.machine.name, asked.boot_id), (f"ws{number}", boot_id))
            self.assertEqual(asked.identity.firmware, Firmware.IPXE)

    def profile(self) -> str:
        plan = self.asks().plan
        return plan.profile if plan else ""

    def test_what_dhcp_announced(self) -> None:
        self.boots(1)
        self.policy.plan = LOCAL
        self.assertEqual(self.profile(), "install")
        self.http.reload()
        self.assertEqual(self.profile(), "local")
        told = self.server.at(ADDRESS, self.clock.seconds())
        self.assertEqual(told and told.plan and told.plan.profile, "local")

    def test_a_script_that_was_given(self) -> None:
        """A loader that asks again by DHCP was started anew."""
        policy = Begins(INSTALL)
        for boot in (self.dhcp, self.http):
            boot.policies = Policies(boot.resolver, boot.sightings, [("main", policy)])
        first = self.boots(1)
        self.assertEqual(self.boots(1), first)
        self.successResultOf(Deferred.fromCoroutine(self.http.begin(self.asks())))
        self.assertNotEqual(self.boots(1), first)


@implementer(IBegins)
class Begins(FakePolicy):
    """Is asked before its plan takes effect."""

    async def begin(self, request: BootRequest) -> bool:
        return True
