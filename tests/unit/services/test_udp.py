from __future__ import annotations

import socket

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.server import spelled
from pxetwist.errors import StartError
from pxetwist.interfaces import Port
from pxetwist.services.sockets import Arrival
from pxetwist.services.udp import UdpPorts
from pxetwist.testing import FakeBoot, MemoryNetwork, make_site

WHERE = Port("udp", "10.0.0.1", 69)


@attrs.define
class Receiver:
    arrived: list[bytes] = attrs.field(factory=list)

    def received(self, data: bytes, peer: tuple[str, int], arrival: Arrival) -> None:
        self.arrived.append(data)

    def drained(self) -> None:
        pass


class UdpPortsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.site = make_site(FakeBoot(), reactor=self.network.clock)
        self.ports = UdpPorts(self.site, self.network.socket)
        self.receiver = Receiver()
        self.taken = self.ports.take(WHERE, self.receiver)

    def test_they_hear_from_their_start_to_their_end(self) -> None:
        client = self.network.client("10.0.0.9")
        for said, change in (
            (b"early", self.ports.start),
            (b"now", self.ports.stop),
            (b"late", None),
        ):
            client.send(said, (WHERE.address, WHERE.number))
            self.network.clock.advance(0)
            if change is not None:
                change()
        self.assertEqual(self.receiver.arrived, [b"now"])
        self.assertEqual((self.network.sockets, self.ports.listening()), ([], []))

    def test_one_that_cannot_be_taken_is_not_there(self) -> None:
        self.assertRaises(StartError, self.ports.take, WHERE, self.receiver)
        self.assertEqual(self.ports.listening(), [self.taken.getHost()])

    def test_one_is_given_back(self) -> None:
        self.ports.take(attrs.evolve(WHERE, number=111), self.receiver)
        self.ports.give_back(self.taken)
        self.assertEqual([each.port for each in self.network.sockets], [111])

    def test_an_inherited_one_is_used(self) -> None:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.1", 0))
        ports = UdpPorts(attrs.evolve(self.site, inherited={WHERE: bound}))
        self.addCleanup(bound.close)
        ports.take(WHERE, self.receiver)
        number = bound.getsockname()[1]
        self.assertEqual(list(map(spelled, ports.listening())), [f"udp 127.0.0.1:{number}"])
