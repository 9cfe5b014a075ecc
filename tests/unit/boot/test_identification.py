"""Several directories for one machine, and MACs that belong to no machine."""

from __future__ import annotations

from ipaddress import IPv4Address
from uuid import UUID

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.resolver import BootResolver, Identification
from pxetwist.errors import DirectoryUnavailable
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol, Resolution, Verdict
from pxetwist.model.boots import Files
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import FakeHosts, FakePolicy, result_of

MAC = "52:54:00:12:34:56"
WHO = ClientIdentity(mac=MAC, uuid=UUID(int=7))
REQUEST = BootRequest(WHO, BootStage.FIRMWARE, Protocol.DHCP)
FIRST = Machine("ws1", (MAC,), labels={"room": "b12"}, groups=("Lab",), directory="rack")
LATER = Machine(
    "ws1.lab",
    (MAC,),
    UUID(int=9),
    IPv4Address("10.0.0.9"),
    {"room": "c3", "ou": "Exam"},
    "ldap",
    ("Exam-PCs", "Lab"),
    provenance="ldaps://dc1 in 12 ms",
)


class World:
    """Two directories."""

    def __init__(self, first: FakeHosts, later: FakeHosts, identification: Identification) -> None:
        self.first, self.later = first, later
        hosts = [("rack", first), ("ldap", later)]
        policies = [("main", FakePolicy(BootPlan(Files("linux"), "debian")))]
        self.resolver = BootResolver(Clock(), hosts, policies, identification)

    def ask(self, request: BootRequest = REQUEST) -> Resolution:
        return result_of(self.resolver.resolve(request))


class Merging(SynchronousTestCase):
    def both(self, **changes: object) -> World:
        world = World(FakeHosts({MAC: FIRST}), FakeHosts({MAC: LATER}), Identification(merge=True))
        for name, value in changes.items():
            setattr(world.later, name, value)
        return world

    def test_later_ones_add(self) -> None:
        """What the first one says wins; what it does not say is added."""
        machine = self.both().ask().machine
        self.assertEqual(
            machine,
            attrs.evolve(
                FIRST,
                uuid=UUID(int=9),
                address=IPv4Address("10.0.0.9"),
                labels={"room": "b12", "ou": "Exam"},
                groups=("Lab", "Exam-PCs"),
            ),
        )
        self.assertEqual(machine and machine.provenance, "ldaps://dc1 in 12 ms")

    def test_not_unless_wanted(self) -> None:
        world = World(FakeHosts({MAC: FIRST}), FakeHosts({MAC: LATER}), Identification())
        self.assertEqual(world.ask().machine, FIRST)
        self.assertEqual(world.later.asked, [])

    def test_a_later_one_is_away(self) -> None:
        found = self.both(failure=DirectoryUnavailable("refused")).ask()
        self.assertEqual((found.verdict, found.machine), (Verdict.PLANNED, FIRST))
        self.assertEqual(found.steps[1].answer, "failed: refused")

    def test_the_first_one_is_away(self) -> None:
        world = self.both()
        world.first.failure = DirectoryUnavailable("refused")
        self.assertEqual(world.ask().machine, LATER)

    def test_only_one_knows_it(self) -> None:
        self.assertEqual(self.both(machines={}).ask().machine, FIRST)


class Shared(SynchronousTestCase):
    def ask(self, identity: ClientIdentity) -> tuple[World, Resolution]:
        dock = Identification(shared=frozenset({MAC}))
        world = World(FakeHosts({MAC: FIRST}), FakeHosts(), dock)
        return world, world.ask(attrs.evolve(REQUEST, identity=identity))

    def test_a_dock_is_no_machine(self) -> None:
        """No directory is told its MAC; the policies still see it, and so do leases."""
        world, found = self.ask(WHO)
        self.assertIsNone(found.machine)
        for directory in (world.first, world.later):
            self.assertEqual(directory.asked, [ClientIdentity(uuid=UUID(int=7))])
        self.assertEqual(found.request.identity, WHO)
        self.assertEqual(found.steps[0].answer, f"not told {MAC}, a shared MAC")

    def test_nor_in_the_client_identifier(self) -> None:
        for client_id, told in ((b"\1\x52\x54\x00\x12\x34\x56", b""), (b"\0mine", b"\0mine")):
            world, _ = self.ask(ClientIdentity(mac=MAC, client_id=client_id))
            self.assertEqual(world.first.asked, [ClientIdentity(client_id=told)])

    def test_other_macs(self) -> None:
        other = ClientIdentity(mac="52:54:00:99:99:99")
        world, found = self.ask(other)
        self.assertEqual(world.first.asked, [other])
        self.assertEqual(found.steps[0].who, "hosts rack")
