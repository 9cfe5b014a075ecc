"""What is remembered of questions changes no answer: a server that forgets says the same."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address as UdpAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.boot.facade import BootFacade
from pxetwist.boot.loaders import Loader
from pxetwist.errors import LeaseConflict, StateUnavailable
from pxetwist.interfaces import IBootPolicy, IHostDirectory, ISteady
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.boots import Files, Menu, MenuEntry
from pxetwist.model.client_class import ClientClass
from pxetwist.model.event import BootEvent
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Layer, Lease, LeaseState, LeaseTimes, Network
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp import questions
from pxetwist.services.dhcp.addressing import AddressServer
from pxetwist.services.dhcp.outbox import Outbox
from pxetwist.services.dhcp.ports import Dhcp4Port
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Arrival
from pxetwist.state.leases import spare
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import make_site, result_of
from pxetwist.wire.dhcp4 import Dhcp4Message, decode, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.services.dhcp.world import FIRST, NETWORK, REMOTE, SERVER, UEFI, client

_PLAN = BootPlan(Files("linux"), "debian")
_MENU = BootPlan(Menu("Boot", (MenuEntry("one", "One", Files("one")),), "one"), "menu")
_UUID = b"\0" + b"\7" * 16
_SOFTWARE: Sequence[Mapping[int, bytes]] = (
    {},
    {
        O.VENDOR_CLASS: UEFI,
        O.CLIENT_ARCHITECTURE: b"\0\7",
        O.CLIENT_MACHINE_ID: _UUID,
    },
    {O.VENDOR_CLASS: UEFI, O.USER_CLASS: b"iPXE", O.CLIENT_ARCHITECTURE: b"\0\7"},
    {O.PARAMETER_REQUEST_LIST: b"\1\3\6\x0f\x0c\x33", O.HOST_NAME: b"pc"},
    {O.PARAMETER_REQUEST_LIST: b"\1\3\6\x79", O.LEASE_TIME: b"\0\0\0\x64"},
    {O.CLIENT_ID: b"\1\2\3", O.RAPID_COMMIT: b"\0"},
)


@implementer(IHostDirectory, IBootPolicy, ISteady)
@attrs.define(eq=False)
class Mutable:
    """A directory and policy in one, which says when it changes."""

    machines: dict[str, Machine] = attrs.field(factory=dict)
    plan: BootPlan | None = _PLAN
    read: int | None = 0

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        return self.machines.get(identity.mac)

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        return self.plan

    def edition(self) -> int | None:
        return self.read

    def change(self, number: int) -> None:
        mac = client(number % 3)
        labels = {"option.domain-name": f"d{number}.example"} if number % 2 else {}
        address = IPv4Address("10.0.0.77") if number % 5 == 0 else None
        if number < 10:
            machine = Machine(f"pc{number % 3}", (mac,), labels=labels, address=address)
            self.machines = {mac: machine}
        self.plan = (_PLAN, _MENU, None, BootPlan.ignore("no"))[number % 4]
        if self.read is not None:
            self.read += 1


class LateLeases(MemoryLeases):
    """Leases that are stored at once, or while it is `late`, when somebody says so; as in a file
    each is stored for some time longer, and not again during it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        self.missing: set[IPv4Address | IPv6Address] = set()  # not on the disk
        self.waiting: list[Callable[[Exception | None], None]] = []

    def keep(self, lease: Lease, now: float, then: Callable[[Exception | None], None]) -> None:
        self.missing.add(lease.address)

        def ended(error: Exception | None) -> None:
            if error is None:
                self.missing.discard(lease.address)
            then(error)

        longer = attrs.evolve(lease, ends=lease.ends + spare(lease.ends - now))
        super().keep(longer, now, lambda error: self._ended(ended, error))

    def lasts(self, record: Lease, ends: float, now: float) -> bool:
        leased = record.state is LeaseState.LEASED and record.address not in self.missing
        return leased and 0 <= record.ends - ends <= spare(ends - now)

    async def commit(self, lease: Lease, now: float) -> Lease:
        same = self._table.same(lease)
        if same and self.lasts(same, lease.ends, now):
            return same
        stored: Deferred[None] = Deferred()
        self.keep(
            lease, now, lambda error: stored.errback(error) if error else stored.callback(None)
        )
        await stored
        return lease

    def _ended(self, then: Callable[[Exception | None], None], error: Exception | None) -> None:
        if self.late and error is None:
            self.waiting.append(then)
        else:
            then(error)

    def settle(self, error: Exception | None) -> None:
        waiting, self.waiting = self.waiting, []
        for then in waiting:
            then(error)


@attrs.define(eq=False)
class Wire:
    """The socket of a port, and its frames: keeps what is sent, and where to."""

    sent: list[tuple[object, ...]] = attrs.field(factory=list)
    available = True

    def bind(self) -> None:
        """Take nothing."""

    start = stop = bind

    def send(self, data: bytes, *where: object) -> None:
        self.sent.append((data, *where))

    def getHost(self) -> UdpAddress:
        return UdpAddress("UDP", "0.0.0.0", 67)


class Server:
    """A DHCP port with all behind it; `forgets` lets it forget every question at once."""

    def __init__(self, folder: Path, networks: Sequence[Network], *, forgets: bool) -> None:
        self.forgets = forgets
        self.clock = Clock()
        self.clock.advance(1000)
        self.site_facts = Mutable(read=None if forgets else 0)
        self.told: list[BootEvent] = []
        self.wire = Wire()
        self.ids = itertools.count(1)
        self.leases = LateLeases()
        named = {each.name: each for each in networks}
        snponly = Loader("x64", "ipxe", "loaders/own.efi")
        self.boot = BootFacade(self.clock, loaders=[snponly], networks=named, state_folder=folder)
        self.boot.attach(
            hosts=[("rack", self.site_facts)],
            policies=[("main", self.site_facts)],
            content=[],
            observers=[],
            leases=self.leases,
        )
        self.boot.attend(mock.Mock(notice=self.told.append))
        known = ClientClass(
            "known",
            lambda request, now: request.machine is not None,
            Layer("[class:known]", {O.DOMAIN_NAME: b"known.example"}),
            LeaseTimes(booting=300),
        )
        server = AddressServer(self.boot, named, 80, [known])
        where = IPv4Interface(f"{SERVER}/24")
        self.port = Dhcp4Port(
            make_site(reactor=self.clock, boot=self.boot),
            "dhcp",
            NetworkInterface("eth0", 2, where, "", 1),
            67,
            server.answer,
            shared=False,
            datagram=self._socket,
            frames=self._socket,
        )

    def _socket(self, *args: Any, **kwargs: Any) -> Any:
        return self.wire

    def meet(self, move: Move) -> None:
        """Let something happen to it that no client has done."""
        if move.what == "change":
            self.site_facts.change(move.number)
        elif move.what == "wait":
            self.clock.advance((0, 1, 5, 11, 61, 400, 900)[move.number % 7])
        else:
            self.leases.late = move.what == "late"
            with self.counted():
                self.leases.settle(StateUnavailable("full") if move.what == "unstored" else None)

    def counted(self) -> AbstractContextManager[Any]:
        """Let boot ids be numbers."""
        return mock.patch.object(secrets, "token_hex", self._next_id)

    def _next_id(self, size: int) -> str:
        return f"{next(self.ids):04x}"

    def take(self, data: bytes, source: tuple[str, int], destination: str) -> None:
        if self.forgets:
            self.port._questions.forget()
        arrival = Arrival("eth0", 2, str(SERVER), destination)
        with self.counted():
            self.port.received(data, source, arrival)


_WORDS = """
exchange exchange again again again discover select select reboot renew inform release decline
bootp repeat repeat resend change wait late stored unstored
"""


@attrs.frozen
class Move:
    """What happens next: a client says something, or time and facts change."""

    what: str
    who: int = 0
    software: int = 0
    relayed: bool = False
    broadcast: bool = True
    number: int = 0


_moves = st.builds(
    Move,
    st.sampled_from(_WORDS.split()),
    st.integers(0, 2),
    st.integers(0, len(_SOFTWARE) - 1),
    st.booleans(),
    st.booleans(),
    st.integers(0, 20),
)


class QuestionTests(SynchronousTestCase):
    """The same steps for a server that remembers and for one that does not."""

    def test_any_order(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        networks = (attrs.evolve(NETWORK, authoritative=True, rapid_commit=True), REMOTE)

        @settings(max_examples=300, deadline=None, database=None)
        @given(st.lists(_moves, min_size=5, max_size=40))
        def run(moves: list[Move]) -> None:
            servers = [Server(folder, networks, forgets=each) for each in (False, True)]
            talk = Talk(servers)
            for move in moves:
                talk.take(move)
                remembering, forgetting = servers
                self.assertEqual(remembering.wire.sent, forgetting.wire.sent, move)
                self.assertEqual(remembering.told, forgetting.told, move)
                held = [list(each.boot.leases.leases()) for each in servers]
                self.assertEqual(held[0], held[1], move)

        run()

    def talking(self) -> tuple[Server, Talk]:
        """Return a server whose first client has been there twice."""
        server = Server(Path(self.mktemp()), (NETWORK,), forgets=False)
        talk = Talk([server])
        for _ in range(2):
            talk.take(Move("exchange"))
        kept = server.port._questions._kept._young.values()
        self.assertTrue(all(question.standing for question in kept), "this tests nothing")
        return server, talk

    def test_a_client_that_holds_another_address_now(self) -> None:
        server, talk = self.talking()
        leases, now = server.boot.leases, server.clock.seconds()
        identity = ClientIdentity(mac=client(0))
        held = result_of(leases.held(identity, NETWORK, now))
        self.assertTrue(result_of(leases.release(held.address, identity, now)))
        other = attrs.evolve(held, address=FIRST + (held.address == FIRST))
        result_of(leases.commit(other, now))
        talk.take(Move("discover"))
        self.assertEqual(talk.offered[0], other.address.packed)

    def test_what_was_offered_before_a_change_is_acknowledged_once(self) -> None:
        """The machine was read anew in the meantime: its next boot is told so."""
        server, talk = self.talking()
        change = Move("change", number=9)  # the option 15 of its machine
        for move in (Move("discover", relayed=True), change, Move("select", relayed=True)):
            talk.take(move)
        self.assertNotIn(b"d9.example", server.wire.sent[-1][0])
        talk.take(Move("repeat"))
        self.assertIn(b"d9.example", server.wire.sent[-1][0])

    def test_replies_to_a_relay_agent_leave_together(self) -> None:
        """When the batch is over; nobody else waits for that."""
        server = Server(Path(self.mktemp()), (NETWORK, REMOTE), forgets=False)
        together = mock.Mock()
        server.port._outbox = Outbox(together)
        talk = Talk([server])
        for who in range(2):
            talk.take(Move("discover", who=who, relayed=True))
        self.assertEqual(server.wire.sent, [])
        talk.take(Move("discover", who=2))
        self.assertEqual(len(server.wire.sent), 1)
        together.send_alike.assert_not_called()
        server.port.drained()
        [(datagrams, peer, source, index)] = [
            each.args for each in together.send_alike.call_args_list
        ]
        self.assertEqual([decode(each).mac for each in datagrams], [client(0), client(1)])
        self.assertEqual((peer, source, index), (("10.0.0.99", 67), str(SERVER), 2))

    def test_the_plan_is_known_to_a_new_boot(self) -> None:
        server, talk = self.talking()
        server.clock.advance(400)  # another boot
        talk.take(Move("discover"))
        identity = ClientIdentity(mac=client(0))
        asks = BootRequest(identity, BootStage.LOADER, Protocol.TFTP)
        steps = result_of(server.boot.resolve(asks)).steps
        self.assertEqual([each.who for each in steps], ["this boot"])

    def test_what_is_stored_is_acknowledged_at_once(self) -> None:
        server, talk = self.talking()
        before = len(server.wire.sent)
        server.leases.late = True
        talk.take(Move("exchange"))
        self.assertEqual(len(server.wire.sent), before + 2)
        ack = server.wire.sent[-1][0]
        assert isinstance(ack, bytes)
        self.assertEqual(decode(ack).message_type, Dhcp4Type.ACK)
        self.assertEqual(server.leases.waiting, [])
        address = IPv4Address(talk.offered[0])
        self.assertIsNotNone(server.boot.sightings.at(address, server.clock.seconds()))

    def test_nothing_is_acknowledged_before_it_is_stored(self) -> None:
        server, talk = self.talking()
        server.clock.advance(100)
        before = len(server.wire.sent)
        server.leases.late = True
        talk.take(Move("exchange"))
        talk.take(Move("resend"))  # it is being answered
        self.assertEqual(len(server.wire.sent), before + 1)  # the OFFER
        server.leases.settle(None)
        self.assertEqual(len(server.wire.sent), before + 2)
        self.assertEqual(server.port.counters["repeated"], 1)

    def test_what_is_not_stored_is_not_acknowledged(self) -> None:
        server, talk = self.talking()
        server.clock.advance(100)
        server.leases.late = True
        talk.take(Move("exchange"))
        before = len(server.wire.sent)
        server.leases.settle(StateUnavailable("the disk is full"))
        self.assertEqual(len(server.wire.sent), before)
        self.assertIn("the disk is full", server.told[-1].summary)
        self.assertEqual(server.port.in_flight, 0)
        server.leases.late = False
        talk.take(Move("resend"))
        self.assertEqual(len(server.wire.sent), before + 1)

    def test_a_lease_that_another_server_has_given(self) -> None:
        server, talk = self.talking()
        server.clock.advance(100)
        server.leases.late = True
        talk.take(Move("exchange"))
        now, address = server.clock.seconds(), IPv4Address(talk.offered[0])
        # As a store that several servers share does it.
        server.leases._table.put(Lease(address, client(1), now + 600, NETWORK.name))
        server.leases.late = False
        server.leases.settle(LeaseConflict("not free"))
        reply = server.wire.sent[-1][0]
        assert isinstance(reply, bytes)
        self.assertEqual(decode(reply).message_type, Dhcp4Type.NAK)
        self.assertEqual(server.port.in_flight, 0)

    def test_an_offer_is_taken_up_as_it_was_made(self) -> None:
        server = Server(Path(self.mktemp()), (NETWORK,), forgets=False)
        talk = Talk([server])
        talk.take(Move("discover"))
        with mock.patch.object(AddressServer, "_answer_case", side_effect=AssertionError):
            talk.take(Move("select"))
        reply = server.wire.sent[-1][0]
        assert isinstance(reply, bytes)
        self.assertEqual(decode(reply).message_type, Dhcp4Type.ACK)

    def test_what_is_kept_is_bounded(self) -> None:
        self.patch(questions, "QUESTIONS", 3)
        self.patch(questions, "LATEST", 2)
        server = Server(Path(self.mktemp()), (NETWORK,), forgets=False)
        talk = Talk([server])
        for number in range(10):
            talk.take(Move("discover", number))
        self.assertLessEqual(len(server.port._questions), 4)  # strangers
        for number in range(10):
            talk.take(Move("exchange", number))
        self.assertLessEqual(len(server.port._questions), 10)


@attrs.define(eq=False)
class Talk:
    """Clients that speak to several servers at once; they hear the first one."""

    servers: Sequence[Server]
    xid: int = 100
    offered: dict[int, bytes] = attrs.field(factory=dict)
    last: tuple[bytes, tuple[str, int], str] | None = None
    whole: dict[int, Move] = attrs.field(factory=dict)

    def take(self, move: Move) -> None:
        if move.what in ("change", "wait", "late", "stored", "unstored"):
            for server in self.servers:
                server.meet(move)
        elif move.what == "resend":
            if self.last is not None:
                self.send(*self.last)
        elif move.what == "exchange":
            self.whole[move.who] = move
            self.take(attrs.evolve(move, what="discover"))
            self.take(attrs.evolve(move, what="select", number=move.number // 2))
        elif move.what == "again":
            if move.who in self.whole:
                self.take(self.whole[move.who])
        elif move.what == "repeat":
            if self.last is not None:
                data, source, destination = self.last
                self.xid += 1
                xid, seconds = self.xid.to_bytes(4, "big"), move.number.to_bytes(2, "big")
                self.send(data[:4] + xid + seconds + data[10:], source, destination)
        else:
            source = ("10.0.0.99", 67) if move.relayed else ("0.0.0.0", 68)
            everybody = move.broadcast and not move.relayed
            where = "255.255.255.255" if everybody else str(SERVER)
            self.send(encode(self.message(move)), source, where)

    def message(self, move: Move) -> Dhcp4Message:
        what, who, relayed = move.what, move.who, move.relayed
        self.xid += 1
        address = self.offered.get(who, FIRST.packed)
        kind = {
            "discover": Dhcp4Type.DISCOVER,
            "inform": Dhcp4Type.INFORM,
            "release": Dhcp4Type.RELEASE,
            "decline": Dhcp4Type.DECLINE,
        }.get(what, Dhcp4Type.REQUEST)
        options: dict[int, bytes] = {O.MESSAGE_TYPE: bytes([kind]), **_SOFTWARE[move.software]}
        if what in ("select", "release", "decline"):
            options[O.SERVER_ID] = SERVER.packed
        if what in ("select", "reboot", "decline"):
            options[O.REQUESTED_ADDRESS] = address
        if relayed:
            options[O.RELAY_AGENT] = bytes([1, 2, 0, who])
        if what == "bootp":
            options = {}
        uses = what in ("renew", "release", "inform")
        return Dhcp4Message(
            op=Dhcp4Op.REQUEST,
            htype=1,
            hlen=6,
            xid=self.xid,
            flags=0x8000 if move.number % 2 else 0,
            ciaddr=IPv4Address(address) if uses else IPv4Address(0),
            giaddr=IPv4Address("10.0.0.99") if relayed else IPv4Address(0),
            chaddr=bytes.fromhex(client(who).replace(":", "")).ljust(16, b"\0"),
            options=options,
            is_dhcp=what != "bootp",
        )

    def send(self, data: bytes, source: tuple[str, int], destination: str) -> None:
        self.last = (data, source, destination)
        for server in self.servers:
            server.take(data, source, destination)
        sent = self.servers[0].wire.sent
        if sent:
            payload = sent[-1][0]
            assert isinstance(payload, bytes)
            reply = decode(payload)
            if int(reply.yiaddr):
                self.offered[data[33] if len(data) > 33 else 0] = reply.yiaddr.packed
