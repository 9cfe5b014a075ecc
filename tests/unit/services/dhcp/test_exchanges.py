"""What relay agents ask for, rapid commit, BOOTP, and answers that are asked for again."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.dhcp4 import Silence
from pxetwist.exchange.dhcp4_options import INFINITE
from pxetwist.exchange.dhcp4_replies import encode_reply
from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Layer, Pool
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.incoming import Answer
from pxetwist.testing import result_of
from pxetwist.wire.dhcp4 import decode
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.services.dhcp.world import (
    MAC,
    NETWORK,
    RESERVED,
    SERVER,
    UEFI,
    World,
    client,
    kind_of,
)

RELAY = IPv4Address("10.1.0.1")
REQUEST, DISCOVER = Dhcp4Type.REQUEST, Dhcp4Type.DISCOVER


class RelayTests(SynchronousTestCase):
    """Sub-options of option 82 that change what the server does."""

    AGENT = b"\x01\x04eth0"

    def test_link_selection(self) -> None:
        """The client is where the agent says; the reply goes to the agent, option and all."""
        agent = self.AGENT + b"\x05\x04\x0a\x01\0\0"
        world = World(self)
        giaddr = IPv4Address("192.168.0.1")
        answer = world.answered(DISCOVER, MAC, {O.RELAY_AGENT: agent}, giaddr=giaddr)
        self.assertEqual(answer.reply.yiaddr, IPv4Address("10.1.0.10"))
        self.assertEqual(answer.destination.address, giaddr)
        self.assertEqual(answer.reply.options[O.RELAY_AGENT], agent)
        direct = world.answered(DISCOVER, client(1), {O.RELAY_AGENT: agent})
        self.assertIn(direct.reply.yiaddr, NETWORK.network)

    def test_subnet_selection(self) -> None:
        """Option 118 chooses, and comes back (RFC 3011)."""
        answer = World(self).answered(DISCOVER, MAC, {O.SUBNET_SELECTION: b"\x0a\x01\0\0"})
        self.assertEqual(answer.reply.yiaddr, IPv4Address("10.1.0.10"))
        self.assertEqual(answer.reply.options[O.SUBNET_SELECTION], b"\x0a\x01\0\0")

    def test_server_id_override(self) -> None:
        """The agent's address is our name, in every reply and in requests that come through it."""
        agent = self.AGENT + b"\x0b\x04" + RELAY.packed
        world = World(self)
        options = {O.RELAY_AGENT: agent}
        offer = world.answered(DISCOVER, MAC, options, giaddr=RELAY)
        self.assertEqual(offer.reply.options[O.SERVER_ID], RELAY.packed)
        chosen = {O.SERVER_ID: RELAY.packed, O.REQUESTED_ADDRESS: offer.reply.yiaddr.packed}
        ack = world.answered(REQUEST, MAC, options | chosen, giaddr=RELAY)
        self.assertEqual(kind_of(ack), "ACK")
        self.assertEqual(ack.reply.options[O.SERVER_ID], RELAY.packed)
        self.assertEqual(kind_of(world.ask(REQUEST, MAC, chosen, giaddr=RELAY)), "silence")
        other = {O.SERVER_ID: RELAY.packed, O.REQUESTED_ADDRESS: RESERVED.packed}
        nak = world.answered(REQUEST, MAC, options | other, giaddr=RELAY)
        self.assertEqual(nak.reply.options[O.SERVER_ID], RELAY.packed)
        self.assertEqual(nak.reply.options[O.RELAY_AGENT], agent)

    def test_source_port(self) -> None:
        """An agent on another port gets its answers there (RFC 8357)."""
        world = World(self)
        message = world.message(DISCOVER, MAC, {O.RELAY_AGENT: b"\x13\0"}, giaddr=RELAY)
        answer = world.answer(message, source=("10.1.0.1", 4067))
        assert isinstance(answer, Answer)
        self.assertEqual(answer.destination.port, 4067)
        without = attrs.evolve(message, options={O.MESSAGE_TYPE: b"\1"})
        answer = world.answer(without, source=("10.1.0.1", 4067))
        assert isinstance(answer, Answer)
        self.assertEqual(answer.destination.port, 67)


class ExchangeTests(SynchronousTestCase):
    """Rapid commit, BOOTP, and answers that were lost."""

    def test_rapid_commit(self) -> None:
        """Where it is allowed the lease is stored and acknowledged at once (RFC 4039)."""
        asks: dict[int, bytes] = {O.RAPID_COMMIT: b""}
        world = World(self, networks=[attrs.evolve(NETWORK, rapid_commit=True)])
        answer = world.answered(DISCOVER, MAC, asks, ciaddr=RESERVED)
        reply = decode(encode_reply(world.message(DISCOVER, MAC, asks), answer.reply))
        self.assertEqual((kind_of(answer), reply.options[O.RAPID_COMMIT]), ("ACK", b""))
        self.assertEqual(int(reply.ciaddr), 0)
        lease = result_of(world.boot.leases.holder(reply.yiaddr, 599.0))
        self.assertIsNotNone(lease)
        self.assertEqual(kind_of(world.answered(DISCOVER, client(1))), "OFFER")
        plain = World(self).answered(DISCOVER, MAC, asks)
        self.assertEqual(kind_of(plain), "OFFER")
        self.assertNotIn(O.RAPID_COMMIT, plain.reply.options)

    def test_our_own_address_is_nobodys(self) -> None:
        """A pool that holds the server's address gives the others."""
        pool = Pool(SERVER, IPv4Address("10.0.0.2"))
        world = World(self, networks=[attrs.evolve(NETWORK, pools=(pool,))])
        wish = {O.REQUESTED_ADDRESS: SERVER.packed}
        given = [world.answered(DISCOVER, client(n), wish).reply.yiaddr for n in range(1)]
        self.assertEqual(given, [pool.last])
        self.assertIsInstance(world.ask(DISCOVER, client(9)), Silence)

    def test_an_expired_lease_is_had_again(self) -> None:
        """A system that slept asks for the address that it had: it is still its own, though we
        refuse nobody else here. Strangers get silence, and none of them a NAK for having asked.
        """
        world = World(self)
        address = world.leased()
        world.clock.advance(100_000)
        wanted: dict[int, bytes] = {O.REQUESTED_ADDRESS: address.packed}
        self.assertEqual(kind_of(world.ask(REQUEST, MAC, wanted)), "ACK")
        for _ in range(2):
            self.assertEqual(kind_of(world.ask(REQUEST, client(1), wanted)), "silence")
        world.hosts.machines = {client(2): Machine("ws2", (client(2),), address=RESERVED)}
        wanted = {O.REQUESTED_ADDRESS: RESERVED.packed}
        self.assertEqual(kind_of(world.ask(REQUEST, client(2), wanted)), "ACK")

    def test_a_reservation_outlives_what_it_was_known_by(self) -> None:
        """A directory knows the UUID that firmware tells, and the system after it does not."""
        world = World(self)
        world.hosts.machines = {MAC: Machine("ws1", (MAC,), address=RESERVED)}
        self.assertEqual(world.leased(), RESERVED)
        world.hosts.machines = {}
        world.clock.advance(400)
        self.assertEqual(world.leased(), RESERVED)
        world.clock.advance(700)
        self.assertIn(world.leased(), NETWORK.pools[0])

    def test_next_server(self) -> None:
        """Telephones find their own server and file in the header, too; boot clients ours."""
        phones = ClientClass(
            "phones",
            lambda request, now: request.identity.vendor_class == "phone",
            Layer("phones", {O.BOOT_FILE: b"phone.cfg"}, next_server=RELAY),
        )
        world = World(self, classes=[phones])
        phone = world.answered(DISCOVER, MAC, {O.VENDOR_CLASS: b"phone"}).reply
        self.assertEqual((phone.siaddr, phone.file), (RELAY, b"phone.cfg"))
        boots = world.answered(DISCOVER, client(1), {O.VENDOR_CLASS: UEFI}).reply
        self.assertEqual(boots.siaddr, SERVER)
        plain = world.answered(DISCOVER, client(2)).reply
        self.assertEqual((int(plain.siaddr), plain.sname), (0, b""))

    def test_a_lost_ack_is_repeated(self) -> None:
        """The same REQUEST gets the same bytes."""
        world = World(self)
        options: dict[int, bytes] = {
            O.SERVER_ID: SERVER.packed,
            O.REQUESTED_ADDRESS: world.offered().packed,
            O.LEASE_TIME: b"\0\0\0\x09",
        }
        message = world.message(REQUEST, MAC, options)
        replies = []
        for _ in range(2):
            answer = world.answer(message)
            assert isinstance(answer, Answer)
            replies.append(encode_reply(message, answer.reply))
            world.clock.advance(4)
        self.assertEqual(replies[0], replies[1])

    def test_dynamic_bootp(self) -> None:
        """BOOTP clients get addresses of the pools for ever, if the site says so."""
        world = World(self, networks=[attrs.evolve(NETWORK, dynamic_bootp=True)])
        message = world.message(DISCOVER, MAC, options={}, is_dhcp=False)
        answer = world.answer(message)
        assert isinstance(answer, Answer)
        self.assertIn(answer.reply.yiaddr, NETWORK.pools[0])
        self.assertEqual(len(encode_reply(message, answer.reply)), 300)
        lease = result_of(world.boot.leases.holder(answer.reply.yiaddr, INFINITE - 1.0))
        self.assertIsNotNone(lease)

    def test_bootp_with_options(self) -> None:
        """Who sends the cookie is told the mask and the router, in 300 bytes, but no times."""
        network = attrs.evolve(
            NETWORK, routers=(SERVER,), domain="d" * 60, options={O.TZ_NAME: b"z" * 60}
        )
        world = World(self, networks=[network])
        world.hosts.machines = {MAC: Machine("ws1", (MAC,), address=RESERVED)}
        message = world.message(DISCOVER, MAC)
        message = attrs.evolve(message, options={O.RELAY_AGENT: b"\1\1x"}, giaddr=SERVER)
        answer = world.answer(message)
        assert isinstance(answer, Answer)
        wire = encode_reply(message, answer.reply)
        reply = decode(wire)
        self.assertEqual(len(wire), 300)
        self.assertEqual(reply.yiaddr, RESERVED)
        self.assertEqual(reply.options[O.ROUTERS], SERVER.packed)
        self.assertEqual(reply.options[O.RELAY_AGENT], b"\1\1x")
        self.assertFalse({51, 53, 54, 58, 59} & set(reply.options))

    def test_one_address_through_a_boot(self) -> None:
        """ROM, iPXE, GRUB, installer and system: each with the client id that it really sends."""
        world = World(self)
        uuid = bytes.fromhex("00" + "33221100554477668899aabbccddeeff")
        chain: list[dict[int, bytes]] = [
            {O.VENDOR_CLASS: UEFI, O.CLIENT_MACHINE_ID: uuid},
            {
                O.VENDOR_CLASS: UEFI,
                O.CLIENT_ID: b"\1" + bytes.fromhex("525400000001"),
                77: b"iPXE",
            },
            {O.VENDOR_CLASS: UEFI, O.CLIENT_ID: uuid},
            {},
            {O.CLIENT_ID: b"\xff\x53\x54\0\1\0\2\0\0\xab\x11" + bytes(8)},
            {O.CLIENT_ID: b"\xff\0\0\0\1\0\1\0\1\x2c\x2c\x2c\x2c\x52\x54\0\0\0\1"},
        ]
        given = []
        for options in chain:
            address = world.answered(DISCOVER, MAC, options).reply.yiaddr
            chosen = {O.SERVER_ID: SERVER.packed, O.REQUESTED_ADDRESS: address.packed}
            given.append(world.answered(REQUEST, MAC, options | chosen).reply.yiaddr)
            world.clock.advance(30)
        self.assertEqual(len(set(given)), 1)
