"""When routers advertise, and to whom."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.network6 import Network6
from pxetwist.services.dhcp6.router_advertisements import (
    ALL_NODES,
    Received,
    RouterAdvertiser,
    advertisement_of,
)

LAB = Network6("lab", IPv6Network("fd77::/64"), advertise=True)
SAID = advertisement_of(LAB, "02:00:00:00:00:01")
SOLICITATION = bytes.fromhex("8500000000000000")


@attrs.define(eq=False)
class MemoryIcmp6:
    """Collects what is sent."""

    sent: list[tuple[bytes, str]] = attrs.field(factory=list)
    open: bool = False

    def __call__(self, reactor: Any, interface: str, received: Received) -> MemoryIcmp6:
        return self

    def bind(self) -> None:
        self.open = True

    def start(self) -> None:
        assert self.open

    def stop(self) -> None:
        self.open = False

    def send(self, data: bytes, to: str) -> None:
        self.sent.append((data, to))

    def to(self, address: str) -> int:
        return sum(1 for _, to in self.sent if to == address)


class AdvertiserTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.socket = MemoryIcmp6()
        self.advertiser = RouterAdvertiser(
            self.clock, "eth0", self.socket, uniform=lambda low, high: high
        )
        self.advertiser.bind()

    def begin(self) -> None:
        self.advertiser.say(SAID)
        self.advertiser.start()
        self.clock.advance(0)

    def test_three_quickly_then_seldom(self) -> None:
        self.begin()
        self.assertEqual(self.socket.to(ALL_NODES), 1)
        for expected in (2, 3):
            self.clock.advance(16)
            self.assertEqual(self.socket.to(ALL_NODES), expected)
        self.clock.advance(16)
        self.assertEqual(self.socket.to(ALL_NODES), 3)
        self.clock.advance(600)
        self.assertEqual(self.socket.to(ALL_NODES), 4)

    def test_nothing_to_say(self) -> None:
        self.advertiser.start()
        self.advertiser.received(SOLICITATION, "fe80::9%2")
        self.clock.pump([1.0] * 20)
        self.assertEqual(self.socket.sent, [])

    def test_an_answer_for_who_asks(self) -> None:
        self.begin()
        self.advertiser.received(SOLICITATION, "fe80::9%2")
        self.advertiser.received(SOLICITATION, "fe80::9%2")
        self.clock.advance(0.5)
        self.assertEqual(self.socket.to("fe80::9%2"), 1)
        self.assertEqual(self.socket.to(ALL_NODES), 1)

    def test_hosts_without_address(self) -> None:
        """They are answered with everybody, three seconds apart at the least."""
        self.begin()
        for _ in range(10):
            self.advertiser.received(SOLICITATION, "::%2")
        self.clock.advance(2.9)
        self.assertEqual(self.socket.to(ALL_NODES), 1)
        self.clock.advance(0.1)
        self.assertEqual(self.socket.to(ALL_NODES), 2)

    def test_a_flood(self) -> None:
        self.begin()
        for number in range(1000):
            self.advertiser.received(SOLICITATION, f"fe80::{number + 1:x}%2")
        self.assertLess(len(self.clock.getDelayedCalls()), 300)

    def test_garbage(self) -> None:
        self.begin()
        self.advertiser.received(bytes.fromhex("85000000000000000100000000000000"), "fe80::9%2")
        self.advertiser.received(bytes.fromhex("8600000000000000"), "fe80::9%2")
        self.clock.advance(1)
        self.assertEqual(self.socket.to("fe80::9%2"), 0)
        self.assertEqual(self.advertiser.counters["malformed"], 1)

    def test_a_change_is_told_soon(self) -> None:
        self.begin()
        self.clock.advance(700)
        sent = len(self.socket.sent)
        router = advertisement_of(attrs.evolve(LAB, router=True), "02:00:00:00:00:01")
        self.advertiser.say(router)
        self.clock.advance(3)
        self.assertEqual(len(self.socket.sent), sent + 1)
        self.assertEqual(self.socket.sent[-1][0][6:8], (1800).to_bytes(2, "big"))

    def test_the_end(self) -> None:
        """A router says that it is none any more; what is none has nothing to say."""
        self.begin()
        self.advertiser.received(SOLICITATION, "fe80::9%2")
        self.advertiser.stop()
        self.assertEqual(len(self.socket.sent), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.socket.open)

    def test_the_end_of_a_router(self) -> None:
        self.advertiser.say(advertisement_of(attrs.evolve(LAB, router=True), "02:00:00:00:00:01"))
        self.advertiser.start()
        self.clock.advance(0)
        self.advertiser.stop()
        self.assertEqual(self.socket.sent[-1][0][6:8], b"\0\0")
        self.assertEqual(self.socket.to(ALL_NODES), 2)


class AdvertisementTests(SynchronousTestCase):
    def test_flags(self) -> None:
        self.assertEqual((SAID.managed, SAID.other, SAID.lifetime), (True, True, 0))
        self.assertFalse(SAID.prefixes[0].autonomous)
        open_ = advertisement_of(attrs.evolve(LAB, managed=False, slaac=True), "02:00:00:00:00:01")
        self.assertEqual((open_.managed, open_.prefixes[0].autonomous), (False, True))
