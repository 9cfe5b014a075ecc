"""The DHCPv6 service: its ports, its interfaces, its identifier."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.address import IPv6Address as UdpAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.errors import StartError
from pxetwist.interfaces import IBootService, ICounts, Site
from pxetwist.model.lease import Pool
from pxetwist.model.network6 import Network6
from pxetwist.services.dhcp6.service import Dhcp6Service, Settings, stored_duid
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Arrival, Binding, IDatagramReceiver
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeBoot, make_site
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire.dhcp6 import Dhcp6Message, Options6, decode, encode
from pxetwist.wire.dhcp6_options import IaNa
from pxetwist.wire.iana import Dhcp6Option as O
from pxetwist.wire.iana import Dhcp6Type
from tests.unit.services.dhcp.test_service import Watch
from tests.unit.services.dhcp6.test_router_advertisements import MemoryIcmp6

LAB = Network6(
    "lab",
    IPv6Network("fd77::/64"),
    (Pool(IPv6Address("fd77::100"), IPv6Address("fd77::1ff")),),
    advertise=True,
)
SOLICIT = Dhcp6Message(
    Dhcp6Type.SOLICIT,
    5,
    Options6(
        (
            (O.CLIENT_ID, bytes.fromhex("00030001525400000001")),
            (O.IA_NA, values.write_ia_na(IaNa(1))),
        )
    ),
)


def interface(name: str, index: int, *addresses: str, up: bool = True) -> NetworkInterface:
    six = tuple(map(IPv6Interface, addresses))
    return NetworkInterface(name, index, None, "02:00:00:00:00:01", int(up), (), six)


ETH0 = interface("eth0", 2, "fe80::1/64", "fd77::1/64")


@attrs.define(eq=False)
class Socket6:
    """A port of the service, without a socket."""

    receiver: IDatagramReceiver
    interface: str
    groups: Sequence[IPv6Address]
    sent: list[tuple[bytes, tuple[str, int], int]] = attrs.field(factory=list)
    state: str = "new"

    def bind(self) -> None:
        self.state = "bound"

    def start(self) -> None:
        self.state = "started"

    def stop(self) -> None:
        self.state = "stopped"

    def getHost(self) -> UdpAddress:
        return UdpAddress("UDP", "::", 547)

    def send(self, data: bytes, peer: tuple[str, int], source: str = "", index: int = 0) -> None:
        self.sent.append((data, peer, index))


class ServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.watch = Watch((ETH0,))
        self.sockets: list[Socket6] = []
        self.icmp = MemoryIcmp6()

    def socket(self, reactor: Any, receiver: IDatagramReceiver, binding: Binding) -> Socket6:
        self.assertEqual((binding.port.number, binding.reuse), (547, False))
        self.sockets.append(Socket6(receiver, binding.port.interface, binding.groups))
        return self.sockets[-1]

    def site(self, *networks: Network6) -> Site:
        boot = FakeBoot(leases=MemoryLeases())
        site = make_site(boot, reactor=self.clock, state_folder=self.folder)
        return attrs.evolve(site, networks6={each.name: each for each in networks})

    def start(self, *names: str, networks: Sequence[Network6] = (LAB,)) -> Dhcp6Service:
        test = self

        class Service(Dhcp6Service):
            datagram = staticmethod(test.socket)
            watch = staticmethod(test.watch)
            icmp = staticmethod(test.icmp)

        service = Service(Settings(interfaces=names), self.site(*networks))
        service.privilegedStartService()
        self.assertNotIn("started", [each.state for each in self.sockets])
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def ask(self, socket: Socket6, data: bytes, source: str = "fe80::9%2") -> None:
        arrival = Arrival("eth0", 2, "", "ff02::1:2")
        socket.receiver.received(data, (source, 546), arrival)

    def test_a_reply(self) -> None:
        service = self.start()
        verifyObject(IBootService, service)
        verifyObject(ICounts, service)
        [socket] = self.sockets
        self.assertIn(IPv6Address("ff02::1:2"), socket.groups)
        self.ask(socket, encode(SOLICIT))
        [(data, peer, index)] = socket.sent
        self.assertEqual((peer, index), (("fe80::9%2", 546), 2))
        reply = decode(data)
        assert isinstance(reply, Dhcp6Message)
        self.assertEqual(reply.type, Dhcp6Type.ADVERTISE)
        stored = stored_duid(self.folder / "dhcp6.duid")
        self.assertEqual(reply.options.get(O.SERVER_ID), stored)
        self.assertEqual(service.counts()["answered"], 1)

    def test_garbage(self) -> None:
        service = self.start()
        [socket] = self.sockets
        broken = attrs.evolve(SOLICIT, options=Options6((*SOLICIT.options, (O.IA_NA, b"x"))))
        for data in (b"", b"\1", b"\x0c" + bytes(40), encode(broken)):
            self.ask(socket, data)
        self.assertEqual(socket.sent, [])
        self.assertEqual(service.counts()["malformed"], 4)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_advertisements(self) -> None:
        service = self.start()
        self.clock.advance(0)
        self.assertEqual(self.icmp.to("ff02::1"), 1)
        self.assertEqual(service.counts()["advertised"], 1)

    def test_no_advertisements_unless_asked_for(self) -> None:
        self.start(networks=[attrs.evolve(LAB, advertise=False)])
        self.clock.advance(10)
        self.assertEqual(self.icmp.sent, [])
        self.assertFalse(self.icmp.open)

    def test_other_interfaces(self) -> None:
        """Nobody is answered in a network that the INI does not name."""
        other = interface("eth1", 3, "fe80::2/64", "fd99::1/64")
        self.watch.present = (ETH0, other, interface("eth2", 4, "fd77::2/64", up=False))
        self.start()
        self.assertEqual([each.interface for each in self.sockets], ["eth0"])

    def test_an_interface_that_comes_and_goes(self) -> None:
        self.watch.present = ()
        service = self.start()
        self.assertEqual(service.listening(), [])
        self.watch.become(ETH0)
        [socket] = self.sockets
        self.assertEqual(socket.state, "started")
        self.ask(socket, encode(SOLICIT))
        self.watch.become()
        self.assertEqual((socket.state, service.listening()), ("stopped", []))
        self.assertEqual(service.counts()["answered"], 1)

    def test_an_address_that_comes_later(self) -> None:
        bare = interface("eth0", 2, "fe80::1/64")
        self.watch.present = (bare,)
        self.start("eth0")
        [socket] = self.sockets
        self.ask(socket, encode(SOLICIT))
        self.clock.advance(0)
        self.assertEqual((socket.sent, self.icmp.sent), ([], []))
        self.watch.become(ETH0)
        self.ask(socket, encode(SOLICIT))
        self.clock.advance(0)
        self.assertEqual((len(socket.sent), self.icmp.to("ff02::1")), (1, 1))

    def test_without_networks(self) -> None:
        error = self.assertRaises(StartError, self.start, networks=[])
        self.assertIn("[subnet6:…]", str(error))


class DuidTests(SynchronousTestCase):
    def test_made_once(self) -> None:
        path = Path(self.mktemp()) / "state" / "dhcp6.duid"
        first = stored_duid(path)
        self.assertEqual((first[:2], len(first)), (b"\0\4", 18))
        self.assertEqual(stored_duid(path), first)

    def test_broken(self) -> None:
        path = Path(self.mktemp())
        path.write_text("no duid")
        self.assertEqual(stored_duid(path), stored_duid(path))
