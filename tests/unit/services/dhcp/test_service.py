"""Interfaces that come, go and change, on a network in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import attrs
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.errors import StartError
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.interfaces import IBootService, Port, Site
from pxetwist.model.lease import Network
from pxetwist.services.dhcp.incoming import Answer, Incoming
from pxetwist.services.dhcp.ports_service import RETRY, DhcpPortsService
from pxetwist.services.dhcp.proxy import ProxyDhcpService
from pxetwist.services.dhcp.service import Dhcp4Service
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Binding
from pxetwist.testing import MemoryNetwork, make_site
from pxetwist.wire.dhcp4 import Dhcp4Message, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode

LAB = Network("lab", IPv4Network("10.0.0.0/24"))
EVERYBODY = ("255.255.255.255", 67)
PORT = Binding(Port("udp", "", 67, "eth0"))
DISCOVER = encode(
    Dhcp4Message(
        op=Dhcp4Op.REQUEST,
        htype=1,
        hlen=6,
        xid=7,
        chaddr=bytes.fromhex("525400000001").ljust(16, b"\0"),
        options={OptionCode.MESSAGE_TYPE: bytes([Dhcp4Type.DISCOVER])},
        is_dhcp=True,
    )
)


def interface(name: str, index: int, *addresses: str, up: bool = True) -> NetworkInterface:
    first, *others = (*map(IPv4Interface, addresses), None)
    return NetworkInterface(
        name, index, first, "02:00:00:00:00:01", int(up), tuple(filter(None, others))
    )


@attrs.define(eq=False)
class Watch:
    """The interfaces of a host as a test wants them."""

    present: Sequence[NetworkInterface]
    running: bool = False
    changed: Callable[[Sequence[NetworkInterface]], None] = lambda _: None

    def __call__(self, reactor: Any, changed: Callable[..., None]) -> Watch:
        self.changed = changed
        return self

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def become(self, *present: NetworkInterface) -> None:
        self.present = present
        self.changed(present)


class DhcpServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.watch = Watch(())
        self.asked: list[Incoming] = []
        self.events = self.enterContext(capturedLogs())

    @property
    def lines(self) -> list[str]:
        """What the service has logged."""
        ours = [each for each in self.events if each["log_namespace"] == "pxetwist.test"]
        return [formatEvent(each) for each in ours]

    async def answer(self, incoming: Incoming) -> Answer | Silence:
        self.asked.append(incoming)
        return Silence("only a test")

    def service(
        self,
        kind: type[DhcpPortsService],
        *present: NetworkInterface,
        names: Sequence[str] = (),
        networks: Sequence[Network] = (LAB,),
    ) -> DhcpPortsService:
        self.watch.present = present
        site: Site = make_site(
            reactor=self.network.clock, networks={each.name: each for each in networks}
        )
        kind = type(kind.__name__, (kind,), {"datagram": self.network.socket, "watch": self.watch})
        made = kind(site, names, self.answer)
        self.addCleanup(made.stopService)
        return made

    def started(
        self, kind: type[DhcpPortsService], *present: NetworkInterface, **more: Any
    ) -> Any:
        made = self.service(kind, *present, **more)
        made.privilegedStartService()
        made.startService()
        return made

    def servers(self) -> list[tuple[str, str]]:
        """Let a client shout on eth0; return where it was heard, and by which address of ours."""
        self.asked.clear()
        client = self.network.client("0.0.0.0", 68)
        client.send(DISCOVER, EVERYBODY)
        self.network.clock.advance(0.1)
        return [(each.identity.interface, str(each.server)) for each in self.asked]

    def test_service(self) -> None:
        service = self.started(ProxyDhcpService, interface("eth0", 2, "10.0.0.1/24"))
        verifyObject(IBootService, service)
        self.assertEqual([host.port for host in service.listening()], [67, 4011])
        self.assertEqual(self.servers(), [("eth0", "10.0.0.1")])
        service.stopService()
        self.assertEqual((self.network.sockets, self.watch.running), ([], False))

    def test_waited_for(self) -> None:
        """Named, but not there at the start; then without address; then whole."""
        service = self.started(Dhcp4Service, interface("lo", 1, "127.0.0.1/8"), names=["eth0"])
        self.assertEqual(service.listening(), [])
        self.assertEqual(self.lines, ["waits for interface eth0 (there are: lo)"])
        self.watch.become(interface("eth0", 2, up=False))
        self.watch.become(interface("eth0", 2))
        self.assertEqual(self.servers(), [])
        self.assertEqual(self.lines[1:], ["waits for interface eth0 without IPv4 address down"])
        self.watch.become(interface("eth0", 2, "10.0.0.1/24"))
        self.assertEqual(self.lines[2:], ["listens on eth0 10.0.0.1/24"])
        self.assertEqual(self.servers(), [("eth0", "10.0.0.1")])

    def test_taken_by_itself(self) -> None:
        """Without names: whatever fits, whenever it comes, and nothing else."""
        service = self.started(Dhcp4Service)
        self.assertRegex(self.lines[0], "waits for an interface .*10.0.0.0/24 .there are: none")
        self.network.add_interface("eth1", "10.9.0.1")
        self.watch.become(
            interface("eth1", 3, "10.9.0.1/24"),
            interface("docker0", 4, "10.0.0.2/24"),
            interface("eth0", 2, "10.0.0.1/24"),
        )
        self.assertEqual([str(each) for each in service.interfaces()], ["eth0 10.0.0.1/24"])

    def test_another_address(self) -> None:
        """The very next reply comes from it; a mask or network that does not match is said."""
        self.started(Dhcp4Service, interface("eth0", 2, "10.0.0.1/24"), names=["eth0"])
        self.watch.become(interface("eth0", 2, "10.0.0.9/24"))
        self.assertEqual(self.servers(), [("eth0", "10.0.0.9")])
        self.watch.become(interface("eth0", 2, "10.0.0.9/16"))
        self.watch.become(interface("eth0", 2, "192.0.2.1/24"))
        self.assertEqual(self.servers(), [("eth0", "192.0.2.1")])
        self.assertEqual(
            self.lines,
            [
                "eth0: its address was 10.0.0.1/24; answers from 10.0.0.9/24",
                "eth0: its address was 10.0.0.9/24; answers from 10.0.0.9/16",
                "eth0 10.0.0.9/16 does not have the mask of [subnet:lab] 10.0.0.0/24",
                "eth0: its address was 10.0.0.9/16; answers from 192.0.2.1/24",
                "eth0 192.0.2.1/24 is in no [subnet:…]: it answers relay agents there,"
                " nobody else",
            ],
        )

    def test_the_address_of_our_network_is_used(self) -> None:
        """An interface may have others, and before it."""
        both = ("192.0.2.1/24", "10.0.0.1/24")
        self.started(Dhcp4Service, interface("eth0", 2, *both))
        self.assertEqual(self.servers(), [("eth0", "10.0.0.1")])

    def test_without_address_for_a_while(self) -> None:
        """Its ports stay taken, for the rights to take them may be gone; nobody is answered."""
        service = self.started(Dhcp4Service, interface("eth0", 2, "10.0.0.1/24"))
        before = list(self.network.sockets)
        self.watch.become(interface("eth0", 2))
        self.assertEqual((self.servers(), service.interfaces()), ([], []))
        self.watch.become(interface("eth0", 2, "10.0.0.1/24"))
        self.assertEqual(self.servers(), [("eth0", "10.0.0.1")])
        self.assertEqual(self.network.sockets, before)
        self.assertEqual(service.counts()["without address"], 1)

    def test_gone_and_made_anew(self) -> None:
        """A new interface of the same name has another index: new sockets; counts stay."""
        service = self.started(Dhcp4Service, interface("eth0", 2, "10.0.0.1/24"), names=["eth0"])
        self.assertEqual(len(self.servers()), 1)
        self.watch.become()
        self.assertEqual((self.network.sockets, service.listening()), ([], []))
        self.watch.become(interface("eth0", 9, "10.0.0.1/24"))
        [first] = self.network.sockets
        self.assertEqual(len(self.servers()), 1)
        self.watch.become(interface("eth0", 10, "10.0.0.1/24"))
        [second] = self.network.sockets
        self.assertIsNot(first, second)
        self.assertEqual(len(self.servers()), 1)
        self.assertEqual(service.counts()["silent"], 3)
        gone = "eth0 has gone; listens there again when it is back"
        self.assertEqual(self.lines[:3], [gone, "listens on eth0 10.0.0.1/24", gone], self.lines)

    def test_a_port_that_cannot_be_had_later(self) -> None:
        """No crash: it is said once, and tried again every half minute."""
        service = self.started(Dhcp4Service)
        holder = self.network.socket(None, None, PORT)  # type: ignore[arg-type]  # never received on
        holder.bind()
        self.watch.become(interface("eth0", 2, "10.0.0.1/24"))
        self.watch.become(interface("eth0", 2, "10.0.0.1/24"), interface("lo", 1))
        self.assertEqual(self.lines[1:], ["port 67 is in use"])
        self.assertEqual(service.listening(), [])
        holder.stop()
        self.network.clock.advance(RETRY)
        self.assertEqual(self.servers(), [("eth0", "10.0.0.1")])

    def test_hopeless(self) -> None:
        """The start fails at once only if nothing that may come could ever do."""
        complaint = r"no interface has an address in a \[subnet:…\], for there is none"
        service = self.service(Dhcp4Service, names=[], networks=[])
        with self.assertRaisesRegex(StartError, complaint):
            service.privilegedStartService()

    def test_a_port_in_use_at_the_start(self) -> None:
        self.network.socket(None, None, PORT).bind()  # type: ignore[arg-type]  # never received on
        service = self.service(Dhcp4Service, interface("eth0", 2, "10.0.0.1/24"))
        with self.assertRaisesRegex(StartError, "in use"):
            service.privilegedStartService()


class InterfaceTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        several = interface("eth0", 2, "10.0.0.1/24", "10.1.0.1/24")
        self.assertEqual([str(each.ip) for each in several.addresses], ["10.0.0.1", "10.1.0.1"])
        other = several.speaking_from(lambda each: each.ip == IPv4Address("10.1.0.1"))
        self.assertEqual([str(each.ip) for each in other.addresses], ["10.1.0.1", "10.0.0.1"])
        self.assertIs(several.speaking_from(lambda _: False), several)
        self.assertEqual(interface("eth0", 2).addresses, ())
