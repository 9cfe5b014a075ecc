"""The watch for other DHCP servers, with a wire in memory."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.neighbours import PROBE_MAC
from pxetwist.model.event import EventKind
from pxetwist.services.dhcp.neighbour_watch import DISTANCE, FIRST, SILENCE, NeighbourWatch
from pxetwist.services.dhcp.wiretap import Overheard
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.testing import FakeBoot, make_site
from pxetwist.wire.dhcp4 import Dhcp4Message, decode, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from pxetwist.wire.udp4 import Udp4, decode_udp4
from tests.unit.exchange.captured import first

US, THEM = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2")
ETH0 = NetworkInterface("eth0", 2, IPv4Interface("10.77.0.1/24"), "52:54:00:00:00:01", 1)
EVERYBODY, NOBODY = IPv4Address("255.255.255.255"), IPv4Address(0)


@attrs.define(eq=False)
class FakeTap:
    """Keeps what is sent; `rights` says whether it can be opened."""

    rights: bool = True
    started: bool = False
    sent: list[tuple[str, Dhcp4Message]] = attrs.field(factory=list)

    def open(self) -> bool:
        return self.rights

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.started = False

    def send(self, interface: str, packet: bytes) -> None:
        datagram = decode_udp4(packet)
        assert (datagram.source_port, datagram.destination_port) == (68, 67)
        assert (int(datagram.source), datagram.destination) == (0, EVERYBODY)
        self.sent.append((interface, decode(datagram.payload)))


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.boot, self.tap = Clock(), FakeBoot(), FakeTap()
        self.watching("proxydhcp")

    def watching(self, protocol: str, mode: str = "on") -> None:
        site = make_site(self.boot, reactor=self.clock)

        def tap(reactor: Any, receive: Callable[[Overheard], None]) -> FakeTap:
            return self.tap

        self.watch = NeighbourWatch(site, protocol, lambda: [ETH0], mode, tap)
        self.watch.open()
        self.watch.start()
        self.addCleanup(self.watch.stop)

    def answer(self, probe: Dhcp4Message, server: IPv4Address = THEM, **fields: Any) -> Overheard:
        """Offer an address."""
        options = {
            O.MESSAGE_TYPE: bytes([Dhcp4Type.OFFER]),
            O.SERVER_ID: server.packed,
            **fields.pop("options", {}),
        }
        values = {"yiaddr": IPv4Address("10.77.0.50"), "siaddr": server, **fields}
        offer = attrs.evolve(probe, op=Dhcp4Op.REPLY, options=options, **values)
        return self.overheard(offer, 68, server)

    def overheard(
        self, message: Dhcp4Message, port: int, source: IPv4Address = NOBODY
    ) -> Overheard:
        datagram = Udp4(source, 135 - port, EVERYBODY, port, encode(message))
        return Overheard("eth0", "52:54:00:00:00:02", datagram)

    def told(self) -> list[str]:
        events = [each for each in self.boot.events if each.kind is EventKind.NEIGHBOUR]
        return [f"{each.machine} {each.summary}" for each in events]

    def test_probes(self) -> None:
        """Soon after the start, then rarely: a plain client and a PXE client, never a REQUEST."""
        self.clock.advance(FIRST)
        self.assertEqual(len(self.tap.sent), 2)
        for interface, message in self.tap.sent:
            self.assertEqual(interface, "eth0")
            self.assertEqual(message.message_type, Dhcp4Type.DISCOVER)
            self.assertTrue(message.chaddr.startswith(PROBE_MAC))
        self.clock.advance(DISTANCE - 1)
        self.assertEqual(len(self.tap.sent), 2)
        self.clock.advance(1)
        self.assertEqual(len(self.tap.sent), 4)

    def test_found_changed_and_gone(self) -> None:
        """One event each, with what it offers and what that means."""
        self.clock.advance(FIRST)
        (_, plain), (_, pxe) = self.tap.sent
        for _ in range(3):
            self.watch.overhear(self.answer(plain))
            self.watch.overhear(self.answer(pxe))
        (new,) = self.told()
        self.assertTrue(
            new.startswith(
                "10.77.0.2 new: DHCP server 10.77.0.2 (52:54:00:00:00:02) on eth0, address"
                " 10.77.0.50, next server 10.77.0.2"
            ),
            new,
        )
        marked = {O.VENDOR_CLASS: b"PXEClient", O.BOOT_FILE: b"old.0"}
        self.watch.overhear(self.answer(pxe, options=marked))
        changed = self.told()[-1]
        self.assertIn("changed: ", changed)
        self.assertIn("CLASH, it hands out a boot file itself (old.0 of 10.77.0.2)", changed)
        self.assertIn("pxetwist neighbours", changed)
        self.assertTrue(self.boot.events[-1].details["clash"])
        for _ in range(int(SILENCE / DISTANCE) + 2):
            self.clock.advance(DISTANCE)
        self.assertIn("gone: DHCP server 10.77.0.2", self.told()[-1])
        self.assertEqual(len(self.told()), 3)

    def test_heard_by_the_way(self) -> None:
        """From a machine's REQUEST, whose OFFER went to that machine alone."""
        request = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.REQUEST)
        for _ in range(3):
            self.watch.overhear(self.overheard(request, 67))
        (new,) = self.told()
        self.assertIn("new: DHCP server 10.77.0.2 on eth0", new)

    def test_ourselves_are_no_news(self) -> None:
        """A REQUEST that names the address of the `dhcp` service here; beside `proxydhcp` it is
        another program on this host.
        """
        request = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.REQUEST)
        options = {**request.options, O.SERVER_ID: US.packed}
        ours = self.overheard(attrs.evolve(request, options=options), 67)
        self.watching("dhcp")
        self.watch.overhear(ours)
        self.assertEqual(self.told(), [])
        self.watching("proxydhcp")
        self.watch.overhear(ours)
        self.assertEqual(len(self.told()), 1)

    def test_our_own_offer_through_a_relay_agent(self) -> None:
        """The agent's MAC is not ours, the address is."""
        self.clock.advance(FIRST)
        marked = {O.VENDOR_CLASS: b"PXEClient"}
        for server in (US, THEM):
            offer = self.answer(self.tap.sent[1][1], server, options=marked, yiaddr=NOBODY)
            self.watch.overhear(offer)
        self.assertEqual([each.split()[0] for each in self.told()], [str(THEM)])

    def test_probes_of_others(self) -> None:
        """Another pxetwist's answers to its own probe say nothing here."""
        self.clock.advance(FIRST)
        foreign = attrs.evolve(self.tap.sent[0][1], xid=1)
        self.watch.overhear(self.answer(foreign))
        self.assertEqual(self.told(), [])

    def test_garbage_and_floods(self) -> None:
        """Dropped; so many are looked at in a second, and known servers stay known."""
        broken = Udp4(THEM, 67, EVERYBODY, 68, b"\2\1\6")
        self.watch.overhear(Overheard("eth0", "", broken))
        self.watch.overhear(Overheard("eth9", "", broken))
        self.clock.advance(FIRST)
        for number in range(1000):
            server = IPv4Address(int(IPv4Address("10.99.0.0")) + number)
            self.watch.overhear(self.answer(self.tap.sent[0][1], server))
        self.assertEqual(len(self.told()), 64)

    def test_modes(self) -> None:
        """`listen` sends nothing, `off` does not even listen."""
        self.watch.stop()
        self.watching("proxydhcp", "listen")
        self.clock.advance(FIRST + DISTANCE)
        self.assertEqual((self.tap.sent, self.tap.started), ([], True))
        self.watch.stop()
        self.watching("proxydhcp", "off")
        self.assertFalse(self.tap.started)

    def test_without_rights(self) -> None:
        """It is said once, and the server goes on."""
        self.watch.stop()
        self.tap = FakeTap(rights=False)
        self.watching("dhcp")
        self.clock.advance(FIRST + DISTANCE)
        self.assertEqual((self.tap.sent, self.tap.started), ([], False))
