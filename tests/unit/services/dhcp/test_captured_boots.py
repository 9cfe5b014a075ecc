"""Whole boots of real machines, from their captures: one machine keeps one address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.dhcp4_replies import encode_reply
from pxetwist.model.lease import LeaseTimes, Network, Pool
from pxetwist.services.dhcp.incoming import Answer
from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from pxetwist.wire.pcap import read_packets
from tests.unit.services.dhcp.world import SERVER, World

CAPTURES = Path(__file__).parents[3] / "captures"
LAB = Network(
    "lab",
    IPv4Network("10.0.0.0/24"),
    (Pool(IPv4Address("10.0.0.100"), IPv4Address("10.0.0.199")),),
    lease_times=LeaseTimes(booting=120),
)


def discovers(capture: Path) -> list[Dhcp4Message]:
    """Return the DISCOVERs of Ethernet clients in a capture."""
    found = []
    for packet in read_packets(capture.read_bytes()):
        if packet.protocol == "udp" and packet.destination_port == 67:
            message = decode(packet.payload)
            asks = message.op == Dhcp4Op.REQUEST and message.message_type == Dhcp4Type.DISCOVER
            if asks and message.mac:
                found.append(message)
    return found


class CapturedBootTests(SynchronousTestCase):
    def test_one_address_through_every_boot(self) -> None:
        """Firmware, loaders and systems of one MAC send different client ids."""
        several = 0
        for capture in sorted(CAPTURES.glob("*.pcap")):
            world = World(self, networks=[LAB])
            given: dict[str, set[IPv4Address]] = {}
            ids: dict[str, set[bytes]] = {}
            for discover in discovers(capture):
                message = attrs.evolve(discover, giaddr=IPv4Address(0))
                address = self.leased(world, message)
                given.setdefault(message.mac, set()).add(address)
                ids.setdefault(message.mac, set()).add(message.options.get(O.CLIENT_ID, b""))
                world.clock.advance(10)
            self.assertTrue(all(len(each) == 1 for each in given.values()), (capture, given))
            several += any(len(each) > 1 for each in ids.values())
        self.assertGreater(several, 3)

    def leased(self, world: World, discover: Dhcp4Message) -> IPv4Address:
        """Lead a client to its lease, by what it sends."""
        offer = world.answer(discover)
        assert isinstance(offer, Answer), offer
        seen = decode(encode_reply(discover, offer.reply))
        chosen: dict[int, bytes] = {
            O.MESSAGE_TYPE: bytes([Dhcp4Type.REQUEST]),
            O.SERVER_ID: SERVER.packed,
            O.REQUESTED_ADDRESS: seen.yiaddr.packed,
        }
        ack = world.answer(attrs.evolve(discover, options={**discover.options, **chosen}))
        assert isinstance(ack, Answer), ack
        self.assertEqual(ack.reply.yiaddr, seen.yiaddr)
        return ack.reply.yiaddr
