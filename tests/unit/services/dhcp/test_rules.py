"""What the DHCP server can be told: shared networks, classes of clients, lease times."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.dhcp4 import Silence
from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Layer, LeaseTimes, Network, Pool
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.incoming import Answer
from pxetwist.testing import result_of
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.services.dhcp.world import (
    MAC,
    NETWORK,
    REMOTE,
    SERVER,
    UEFI,
    World,
    client,
    kind_of,
)

RELAY = IPv4Address("10.1.0.1")
REQUEST, DISCOVER = Dhcp4Type.REQUEST, Dhcp4Type.DISCOVER
LEFT = attrs.evolve(NETWORK, shared="hall")
RIGHT = Network(
    "right",
    IPv4Network("10.9.0.0/24"),
    (Pool(IPv4Address("10.9.0.10"), IPv4Address("10.9.0.12")),),
    shared="hall",
    routers=(IPv4Address("10.9.0.1"),),
)


class SharedNetworkTests(SynchronousTestCase):
    """Several networks on one wire."""

    def setUp(self) -> None:
        self.world = World(self, networks=[LEFT, RIGHT, REMOTE])

    def test_the_next_network_when_one_is_full(self) -> None:
        """Everyone gets an address as long as one of the two has room, with its own router."""
        given = [self.world.leased(client(n)) for n in range(6)]
        self.assertEqual([each in LEFT.network for each in given], [True] * 3 + [False] * 3)
        self.assertIsInstance(self.world.ask(DISCOVER, client(6)), Silence)
        last = self.world.select(given[5], client(5))
        assert isinstance(last, Answer)
        self.assertEqual(last.reply.options[O.ROUTERS], b"\x0a\x09\0\x01")
        self.assertEqual(self.world.offered(client(4)), given[4])

    def test_a_reservation_in_any_of_them(self) -> None:
        there = IPv4Address("10.9.0.99")
        self.world.hosts.machines = {MAC: Machine("ws1", (MAC,), address=there)}
        self.assertEqual(self.world.leased(), there)

    def test_what_the_client_wants(self) -> None:
        """An address of the other network is given if it is free (option 50)."""
        wanted = IPv4Address("10.9.0.11")
        answer = self.world.answered(DISCOVER, MAC, {O.REQUESTED_ADDRESS: wanted.packed})
        self.assertEqual(answer.reply.yiaddr, wanted)

    def test_states_on_the_other_network(self) -> None:
        """INIT-REBOOT, renewal and rebinding of an address beside ours."""
        address = [self.world.leased(client(n)) for n in range(4)][3]
        self.assertIn(address, RIGHT.network)
        reboot = self.world.ask(REQUEST, client(3), {O.REQUESTED_ADDRESS: address.packed})
        renewal = self.world.ask(REQUEST, client(3), ciaddr=address)
        rebinding = self.world.ask(REQUEST, client(3), ciaddr=address, flags=0x8000)
        self.assertEqual([*map(kind_of, (reboot, renewal, rebinding))], ["ACK"] * 3)

    def test_one_address_on_one_wire(self) -> None:
        """Who holds an address is not given another one beside it."""
        self.world.leased()
        answer = self.world.select(IPv4Address("10.9.0.10"))
        self.assertEqual(kind_of(answer), "NAK")

    def test_a_relay_in_any_of_them(self) -> None:
        """A relay agent's address in one network finds both, not the others."""
        relayed = {"giaddr": IPv4Address("10.9.0.1")}
        given = [
            self.world.answered(DISCOVER, client(n), **relayed).reply.yiaddr for n in range(6)
        ]
        self.assertEqual(sum(each in LEFT.network for each in given), 3)
        self.assertEqual(sum(each in RIGHT.network for each in given), 3)

    def test_moved_to_another_wire(self) -> None:
        """A machine that we know from elsewhere is told so at once; a stranger is not."""
        address = self.world.leased()
        wanted = {O.REQUESTED_ADDRESS: address.packed}
        self.assertEqual(kind_of(self.world.ask(REQUEST, MAC, wanted, giaddr=RELAY)), "NAK")
        answer = self.world.ask(REQUEST, client(9), wanted, giaddr=RELAY)
        self.assertEqual(kind_of(answer), "silence")

    def test_rebinding_on_the_wrong_wire(self) -> None:
        """A broadcast tells where a client is, not the address that it had."""
        address = IPv4Address("10.1.0.10")
        self.world.answered(DISCOVER, MAC, giaddr=RELAY)
        far = {O.SERVER_ID: SERVER.packed, O.REQUESTED_ADDRESS: address.packed}
        self.world.answered(REQUEST, MAC, far, giaddr=RELAY)
        message = self.world.message(REQUEST, ciaddr=address)
        moved = self.world.answer(message, broadcast=True)
        self.assertEqual(kind_of(moved), "NAK")
        self.assertEqual(kind_of(self.world.answer(message, broadcast=False)), "ACK")


class ClassTests(SynchronousTestCase):
    """Options and times of some clients only."""

    def test_precedence(self) -> None:
        """Machine before class before subnet before shared network; the first class wins."""
        network = attrs.evolve(
            NETWORK,
            domain="subnet",
            options={O.TZ_NAME: b"subnet", O.ROOT_PATH: b"subnet"},
            inherited=Layer("wire", dict.fromkeys((15, 17, 101, 40, 252), b"wire")),
        )
        classes = [
            ClientClass("one", lambda *_: True, Layer("one", {17: b"one", 40: b"one"})),
            ClientClass("two", lambda *_: True, Layer("two", {17: b"two", 15: b"two"})),
            ClientClass("no", lambda *_: False, Layer("no", {252: b"no"})),
            ClientClass(
                "far", lambda *_: True, Layer("far", {252: b"far"}), networks=frozenset({"far"})
            ),
        ]
        world = World(self, networks=[network], classes=classes)
        world.hosts.machines = {MAC: Machine("ws1", (MAC,), labels={"option.40": "machine"})}
        answer = world.answered(DISCOVER)
        said = answer.reply.options
        self.assertEqual(
            {code: said[code] for code in (12, 15, 17, 40, 101, 252)},
            {
                12: b"ws1",
                15: b"two",
                17: b"one",
                40: b"machine",
                101: b"subnet",
                252: b"wire",
            },
        )
        stranger = world.answered(DISCOVER, client(1)).reply.options
        self.assertEqual(stranger[40], b"one")
        self.assertNotIn(12, stranger)

    def test_bad_labels_are_left_out(self) -> None:
        """What a directory says wrong costs one option, not the boot, and is shown."""
        labels = {"option.mtu": "9", "option.interface-mtu": "1400", "option.routers": "x"}
        labels |= {"option.lease-time": "9", "option.43.1": "u8:1"}
        world = World(self)
        world.hosts.machines = {MAC: Machine("ws1", (MAC,), labels=labels)}
        answer = world.answered(DISCOVER)
        self.assertEqual(answer.reply.options[O.INTERFACE_MTU], b"\x05\x78")
        self.assertEqual(answer.reply.options[O.VENDOR_SPECIFIC], b"\1\1\1")
        assert answer.view is not None
        mistakes = answer.view.layers[-1].mistakes
        self.assertEqual(len(mistakes), 3, mistakes)
        self.assertIn("option.lease-time: lease-time (51) is up to the server", mistakes[2])

    def test_unasked(self) -> None:
        """A client that lists what it wants gets what must always be sent as well."""
        network = attrs.evolve(
            NETWORK, options={O.TZ_NAME: b"UTC", O.ROOT_PATH: b"/"}, always=frozenset({O.TZ_NAME})
        )
        answer = World(self, networks=[network]).answered(
            DISCOVER, MAC, {O.PARAMETER_REQUEST_LIST: bytes([3])}
        )
        self.assertIn(O.TZ_NAME, answer.reply.options)
        self.assertNotIn(O.ROOT_PATH, answer.reply.options)

    def test_lease_times(self) -> None:
        """Short while booting, else the class's, and a wish within its bounds."""
        times = LeaseTimes(None, 60, 7200, 120)
        network = attrs.evolve(NETWORK, lease_times=times)
        phones = ClientClass(
            "phones",
            lambda request, now: request.identity.vendor_class == "phone",
            Layer("phones"),
            LeaseTimes(300),
        )
        world = World(self, networks=[network], classes=[phones])

        def seconds(options: dict[int, bytes]) -> tuple[int, ...]:
            answer = world.answered(DISCOVER, MAC, options)
            raw = (answer.reply.options[code] for code in (51, 58, 59))
            return tuple(int.from_bytes(each, "big") for each in raw)

        wish: dict[int, bytes] = {O.LEASE_TIME: (9000).to_bytes(4, "big")}
        self.assertEqual(seconds({}), (600, 300, 525))
        self.assertEqual(seconds(wish)[0], 7200)
        self.assertEqual(seconds({51: bytes(4)})[0], 60)
        self.assertEqual(seconds({51: b"\1"})[0], 600)
        self.assertEqual(seconds({60: b"phone"})[0], 300)
        self.assertEqual(seconds({O.VENDOR_CLASS: UEFI} | wish)[0], 120)
        address = world.offered()
        chosen = {O.SERVER_ID: SERVER.packed, O.REQUESTED_ADDRESS: address.packed}
        world.answered(REQUEST, MAC, chosen | {O.VENDOR_CLASS: UEFI})
        lease = result_of(world.boot.leases.holder(address, 0.0))
        assert lease is not None
        self.assertEqual(lease.ends, 120)
        plain = World(self).answered(DISCOVER, MAC, wish)
        self.assertEqual(plain.reply.options[51], (600).to_bytes(4, "big"))
