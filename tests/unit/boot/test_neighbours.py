"""Who speaks from an address: the kernel's neighbours, and addresses that tell their MAC."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot import neighbours
from pxetwist.boot.facade import BootFacade
from pxetwist.boot.neighbours import neighbour_mac, peer_address, peer_link, read_neighbour
from pxetwist.model.boot import BootStage, Endpoints
from pxetwist.model.identity import ClientIdentity, address_mac
from pxetwist.testing import result_of

MAC, OTHER = "52:54:00:12:34:01", "52:54:00:12:34:02"
ADDRESS = IPv6Address("fd77::5")


def entry(state: int = 2, hardware: bytes = bytes.fromhex("525400123401")) -> bytes:
    """Make an entry as the kernel does."""

    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)

    head = struct.pack("=BxxxiHBB", 10, 2, state, 0, 1)
    return head + attribute(1, ADDRESS.packed) + attribute(2, hardware) + attribute(99, b"x")


class NeighbourTests(SynchronousTestCase):
    def test_an_entry(self) -> None:
        self.assertEqual(list(read_neighbour(entry())), [(ADDRESS.packed, MAC)])

    def test_the_same_address_on_two_links(self) -> None:
        self.assertEqual(list(read_neighbour(entry(), link=2)), [(ADDRESS.packed, MAC)])
        self.assertEqual(list(read_neighbour(entry(), link=3)), [])

    def test_entries_of_no_use(self) -> None:
        for useless in (entry(state=1), entry(state=0x20), entry(hardware=bytes(6))):
            self.assertEqual(list(read_neighbour(useless)), [])

    def test_the_table_can_be_asked(self) -> None:
        self.assertEqual(neighbour_mac(IPv6Address("2001:db8::7")), "")

    def test_addresses_made_of_a_mac(self) -> None:
        self.assertEqual(neighbour_mac(IPv6Address("fe80::5054:ff:fe12:3401")), MAC)
        self.assertEqual(address_mac(IPv6Address("fe80::200:ff:fe00:1")), "00:00:00:00:00:01")
        self.assertEqual(address_mac(IPv6Address("fe80::1")), "")

    def test_peers(self) -> None:
        self.assertEqual(peer_address("10.0.0.9"), IPv4Address("10.0.0.9"))
        self.assertEqual(peer_address("::ffff:10.0.0.9"), IPv4Address("10.0.0.9"))
        self.assertEqual(peer_address("fe80::1%eth0"), IPv6Address("fe80::1"))
        self.assertIsNone(peer_address("nobody"))
        self.assertEqual([peer_link("fe80::1%7"), peer_link("fd00::1")], [7, 0])


class IdentityTests(SynchronousTestCase):
    def test_a_machine_is_known_by_its_ipv6_address(self) -> None:
        boot = BootFacade(Clock(), networks={}, state_folder=Path(self.mktemp()))
        identity = ClientIdentity(mac=MAC)
        boot_id = boot.see(identity, BootStage.FIRMWARE, 1.0)
        boot.locate(ADDRESS, identity, 1.0)
        found, found_id = result_of(boot.identify("fd77::5", 2.0))
        self.assertEqual((found.mac, found.address, found_id), (MAC, ADDRESS, boot_id))

    def test_a_stranger_with_a_telling_address(self) -> None:
        boot = BootFacade(Clock(), networks={}, state_folder=Path(self.mktemp()))
        found, boot_id = result_of(boot.identify("fe80::5054:ff:fe12:3401%eth0", 2.0))
        self.assertEqual((found.mac, boot_id), (MAC, ""))

    def test_urls(self) -> None:
        ends = Endpoints("fd77::1", 8080)
        self.assertEqual((ends.http, ends.tftp), ("http://[fd77::1]:8080", "tftp://[fd77::1]"))


class MomentTests(SynchronousTestCase):
    """The kernel is not asked for each of many requests."""

    def setUp(self) -> None:
        self.table = {"10.0.0.9": MAC}
        self.asked: list[str] = []
        self.patch(neighbours, "neighbour_mac", self.ask)
        self.known = neighbours.Neighbours()

    def ask(self, address: IPv4Address, link: int = 0) -> str:
        self.asked.append(str(address))
        return self.table.get(str(address), "")

    def mac(self, address: str, now: float, link: int = 0) -> str:
        return self.known.mac(IPv4Address(address), link, now)

    def test_a_machine_is_remembered_for_a_moment(self) -> None:
        self.assertEqual([self.mac("10.0.0.9", now) for now in (5.0, 5.5, 5.9)], [MAC] * 3)
        self.assertEqual(len(self.asked), 1)
        self.table["10.0.0.9"] = OTHER
        self.assertEqual(self.mac("10.0.0.9", 6.0), OTHER)
        self.assertEqual(self.mac("10.0.0.9", 6.0, link=3), OTHER)
        self.assertEqual(len(self.asked), 3)

    def test_a_stranger_is_not(self) -> None:
        self.assertEqual(self.mac("10.0.0.8", 5.0), "")
        self.table["10.0.0.8"] = OTHER
        self.assertEqual(self.mac("10.0.0.8", 5.1), OTHER)
