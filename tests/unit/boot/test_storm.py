"""A thousand machines are powered on at once, and the directory needs 200 ms for each answer."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.boot.facade import BootFacade
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.hosts.cache import CacheSettings, cached
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import LocalDisk
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Network, Pool
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.addressing import AddressServer
from pxetwist.services.dhcp.incoming import Incoming
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakePolicy, make_site
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode

MACHINES = 1000
SERVER = IPv4Address("10.0.0.1")
NETWORK = Network(
    "lab",
    IPv4Network("10.0.0.0/16"),
    pools=(Pool(IPv4Address("10.0.1.0"), IPv4Address("10.0.200.0")),),
)
#: When a ROM sends a DISCOVER, in seconds from its first (PXE 2.1).
ATTEMPTS = (0, 4, 12, 28)


@implementer(IHostDirectory)
class SlowDirectory:
    """Needs 200 ms for each answer."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        waiting: Deferred[None] = Deferred()
        self.clock.callLater(0.2, waiting.callback, None)
        await waiting
        return Machine(f"pc-{identity.mac}", (identity.mac,))


class Storm(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        self.offered: dict[int, str] = {}
        self.asked = 0

    def power_on(self, directory: IHostDirectory, step: float) -> None:
        """Let each machine send its DISCOVERs until it is offered an address."""
        boot = BootFacade(self.clock, networks={"lab": NETWORK}, state_folder=Path(self.mktemp()))
        boot.tokens.key = bytes(32)
        boot.attach(
            hosts=[("slow", directory)],
            policies=[("main", FakePolicy(BootPlan(LocalDisk(), "local")))],
            content=(),
            observers=(),
            leases=MemoryLeases(),
        )
        self.server = AddressServer(boot, {"lab": NETWORK}, 80)
        for first, last in zip(ATTEMPTS, (*ATTEMPTS[1:], ATTEMPTS[-1] + 3), strict=True):
            for number in range(MACHINES):
                if number not in self.offered:
                    Deferred.fromCoroutine(self.discover(number)).addErrback(self.fail)
            self.clock.pump([step] * round((last - first) / step))

    async def discover(self, number: int) -> None:
        self.asked += 1
        message = Dhcp4Message(
            op=Dhcp4Op.REQUEST,
            htype=1,
            hlen=6,
            xid=number,
            flags=0x8000,
            chaddr=number.to_bytes(6, "big").ljust(16, b"\0"),
            options={
                OptionCode.MESSAGE_TYPE: bytes([Dhcp4Type.DISCOVER]),
                OptionCode.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003000",
                OptionCode.CLIENT_ARCHITECTURE: b"\0\7",
            },
            is_dhcp=True,
        )
        answer = await self.server.answer(Incoming.of(message, SERVER, self.clock.seconds()))
        if not isinstance(answer, Silence):
            machine = answer.resolution.machine
            self.offered[number] = machine.name if machine else ""

    def assert_all_offered(self) -> None:
        names = {n: f"pc-{n.to_bytes(6, 'big').hex(':')}" for n in range(MACHINES)}
        self.assertEqual(self.offered, names)

    def test_no_answer_is_lost(self) -> None:
        """They wait together: each is answered after the time that one would have waited."""
        self.power_on(SlowDirectory(self.clock), 0.25)
        self.assert_all_offered()
        self.assertEqual(self.asked, MACHINES)

    def test_nor_if_the_directory_answers_few_at_a_time(self) -> None:
        """Eight questions at a time take 25 s: the late answers wait for the ROMs' next try."""
        site = make_site(reactor=self.clock)
        self.power_on(cached(SlowDirectory(self.clock), CacheSettings(pool=8), site), 0.2001)
        self.assert_all_offered()

    def test_all_have_theirs_at_the_second_attempt(self) -> None:
        """With as many questions at a time as there are if nothing else is said."""
        site = make_site(reactor=self.clock)
        self.power_on(cached(SlowDirectory(self.clock), CacheSettings(), site), 0.2001)
        self.assert_all_offered()
        self.assertLess(self.asked, 2 * MACHINES)
