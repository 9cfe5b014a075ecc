"""A DHCP server without sockets, with fakes behind it, and clients that speak to it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.facade import BootFacade
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import Files
from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Network, Pool
from pxetwist.services.dhcp.addressing import AddressServer
from pxetwist.services.dhcp.incoming import Answer, Incoming
from pxetwist.services.dhcp.proxy import ProxyServer
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeHosts, FakePolicy, result_of
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O

SERVER = IPv4Address("10.0.0.1")
FIRST = IPv4Address("10.0.0.10")
RESERVED = IPv4Address("10.0.0.77")
MAC = "52:54:00:00:00:01"
UEFI = b"PXEClient:Arch:00007:UNDI:003000"
NETWORK = Network(
    "lab", IPv4Network("10.0.0.0/24"), (Pool(FIRST, IPv4Address("10.0.0.12")),), lease_time=600
)
REMOTE = Network("remote", IPv4Network("10.1.0.0/24"), (Pool(*[IPv4Address("10.1.0.10")] * 2),))


def client(number: int) -> str:
    """Return one of many MACs."""
    return f"52:54:00:00:02:{number:02x}"


def kind_of(answer: Answer | Silence) -> str:
    """Return the name of the reply's type, or ``silence``."""
    if isinstance(answer, Silence):
        return "silence"
    return answer.reply.message_type.name if answer.reply.message_type else "BOOTP"


class World:
    """A server with fakes behind it; `ask` sends it one message."""

    def __init__(
        self,
        case: SynchronousTestCase,
        *,
        authoritative: bool = False,
        networks: Sequence[Network] = (),
        classes: Sequence[ClientClass] = (),
    ) -> None:
        self.clock = Clock()
        self.hosts = FakeHosts()
        self.policy = FakePolicy(BootPlan(Files("linux"), "debian"))
        lab = attrs.evolve(NETWORK, authoritative=authoritative)
        named = {each.name: each for each in networks or (lab, REMOTE)}
        self.boot = BootFacade(self.clock, networks=named, state_folder=Path(case.mktemp()))
        self.boot.attach(
            hosts=[("rack", self.hosts)],
            policies=[("main", self.policy)],
            content=[],
            observers=[],
            leases=MemoryLeases(),
        )
        self.server = AddressServer(self.boot, named, 80, classes)
        self.proxy = ProxyServer(self.boot, 80)

    def message(
        self,
        kind: Dhcp4Type,
        mac: str = MAC,
        options: dict[int, bytes] | None = None,
        **fields: object,
    ) -> Dhcp4Message:
        base = Dhcp4Message(
            op=Dhcp4Op.REQUEST,
            htype=1,
            hlen=6,
            xid=7,
            chaddr=bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0"),
            options={O.MESSAGE_TYPE: bytes([kind]), **(options or {})},
            is_dhcp=True,
        )
        return attrs.evolve(base, **fields)  # type: ignore[arg-type]  # fields of any test

    def ask(self, kind: Dhcp4Type, *args: object, **kwargs: object) -> Answer | Silence:
        return self.answer(self.message(kind, *args, **kwargs))  # type: ignore[arg-type]  # as above

    def answer(self, message: Dhcp4Message, **arrival: object) -> Answer | Silence:
        incoming = Incoming.of(message, SERVER, self.clock.seconds())
        incoming = attrs.evolve(incoming, **arrival)  # type: ignore[arg-type]  # of any test
        return result_of(self.server.answer(incoming))

    def answered(self, kind: Dhcp4Type, *args: object, **kwargs: object) -> Answer:
        answer = self.ask(kind, *args, **kwargs)
        assert isinstance(answer, Answer), answer
        return answer

    def offered(self, mac: str = MAC) -> IPv4Address:
        answer = self.ask(Dhcp4Type.DISCOVER, mac)
        assert isinstance(answer, Answer), answer
        return answer.reply.yiaddr

    def select(self, address: IPv4Address, mac: str = MAC) -> Answer | Silence:
        options = {O.SERVER_ID: SERVER.packed, O.REQUESTED_ADDRESS: address.packed}
        return self.ask(Dhcp4Type.REQUEST, mac, options)

    def leased(self, mac: str = MAC) -> IPv4Address:
        address = self.offered(mac)
        answer = self.select(address, mac)
        assert isinstance(answer, Answer), answer
        assert answer.reply.message_type == Dhcp4Type.ACK, answer
        return address
