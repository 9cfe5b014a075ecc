"""The filter of the wire tap, run by the kernel on a pair of local sockets: no rights needed."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.neighbours import Asker, probe
from pxetwist.services.dhcp.wiretap import FILTER, attach
from pxetwist.wire.dhcp4 import Dhcp4Message, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.udp4 import encode_udp4

HERE, THERE = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2")
EVERYBODY = IPv4Address("255.255.255.255")
DISCOVER = probe(Asker.PLAIN, b"\2\0\0\0\0\1", 1)


def typed(kind: Dhcp4Type, op: Dhcp4Op = Dhcp4Op.REQUEST) -> Dhcp4Message:
    return attrs.evolve(DISCOVER, op=op, options={53: bytes([kind])})


class FilterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wire, self.tap = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.wire.close)
        self.addCleanup(self.tap.close)
        self.tap.setblocking(False)
        attach(self.tap, FILTER[2:])  # all but the question for the frame's protocol

    def passes(self, packet: bytes) -> bool:
        self.wire.send(packet)
        try:
            return self.tap.recv(4096) == packet
        except BlockingIOError:
            return False

    def udp(self, message: Dhcp4Message, port: int) -> bytes:
        return encode_udp4((THERE, 135 - port), (EVERYBODY, port), encode(message))

    def test_replies_and_requests_pass(self) -> None:
        """Whatever a server says to clients, and what names a server."""
        for kind in (Dhcp4Type.OFFER, Dhcp4Type.ACK, Dhcp4Type.NAK):
            self.assertTrue(self.passes(self.udp(typed(kind, Dhcp4Op.REPLY), 68)))
        self.assertTrue(self.passes(self.udp(typed(Dhcp4Type.REQUEST), 67)))

    def test_all_else_stays_in_the_kernel(self) -> None:
        """Floods of DISCOVERs among it, what relays bring us, other ports, fragments, other
        protocols, stumps.
        """
        request = self.udp(typed(Dhcp4Type.REQUEST), 67)
        for packet in (
            self.udp(DISCOVER, 67),
            encode_udp4((THERE, 67), (HERE, 67), encode(typed(Dhcp4Type.REQUEST))),
            self.udp(typed(Dhcp4Type.OFFER), 68),
            encode_udp4((THERE, 53), (EVERYBODY, 69), encode(DISCOVER)),
            request[:6] + b"\0\1" + request[8:],
            request[:9] + b"\6" + request[10:],
            request[:200],
            b"\x45",
        ):
            self.assertFalse(self.passes(packet), packet[:40].hex())
