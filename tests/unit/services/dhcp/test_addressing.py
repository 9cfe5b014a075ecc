"""The DHCP and ProxyDHCP servers without sockets: whole exchanges against the real facade."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import DirectoryUnavailable
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.model.boot import BootPlan
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.addressing import AddressServer
from pxetwist.services.dhcp.incoming import Answer, Incoming
from pxetwist.testing import result_of
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.services.dhcp.world import FIRST, MAC, NETWORK, RESERVED, SERVER, UEFI, World


class AddressServerTests(SynchronousTestCase):
    """The states of RFC 2131."""

    def type_of(self, answer: Answer | Silence) -> str:
        if isinstance(answer, Silence):
            return "silence"
        assert answer.reply.message_type is not None
        return answer.reply.message_type.name

    def test_four_way(self) -> None:
        """DISCOVER, OFFER, REQUEST, ACK: the same address and boot data in both replies."""
        world = World(self)
        options = {O.VENDOR_CLASS: UEFI}
        offer = world.ask(Dhcp4Type.DISCOVER, MAC, options)
        assert isinstance(offer, Answer)
        chosen = {O.SERVER_ID: SERVER.packed, O.REQUESTED_ADDRESS: offer.reply.yiaddr.packed}
        ack = world.ask(Dhcp4Type.REQUEST, MAC, options | chosen)
        assert isinstance(ack, Answer)
        self.assertEqual((self.type_of(offer), self.type_of(ack)), ("OFFER", "ACK"))
        self.assertIn(ack.reply.yiaddr, NETWORK.pools[0])
        for name in ("yiaddr", "siaddr", "file"):
            self.assertEqual(getattr(offer.reply, name), getattr(ack.reply, name))
        self.assertEqual(ack.reply.file, b"loaders/snponly.efi")
        self.assertEqual(offer.boot_id, ack.boot_id)

    def test_repeated_request(self) -> None:
        """A lost ACK is asked for again and is the same."""
        world = World(self)
        address = world.leased()
        again = world.select(address)
        assert isinstance(again, Answer)
        self.assertEqual((self.type_of(again), again.reply.yiaddr), ("ACK", address))

    def test_reservation(self) -> None:
        """A machine gets what its directory promised; nobody else does."""
        world = World(self)
        world.hosts.machines = {MAC: Machine("ws1", (MAC,), address=RESERVED)}
        self.assertEqual(world.leased(), RESERVED)
        self.assertNotEqual(world.offered("52:54:00:00:00:02"), RESERVED)

    def test_pool_empty(self) -> None:
        """No free address: silence that says so."""
        world = World(self)
        for number in range(3):
            world.leased(f"52:54:00:00:01:{number:02x}")
        answer = world.ask(Dhcp4Type.DISCOVER)
        assert isinstance(answer, Silence)
        self.assertIn("no free address", answer.reason)

    def test_other_server_chosen(self) -> None:
        """A REQUEST for another server is none of our business."""
        world = World(self)
        other = {O.SERVER_ID: b"\x0a\0\0\x02", O.REQUESTED_ADDRESS: FIRST.packed}
        self.assertEqual(self.type_of(world.ask(Dhcp4Type.REQUEST, MAC, other)), "silence")

    def test_selecting_something_else(self) -> None:
        """Who asks for another address than the offered one is refused."""
        world = World(self)
        world.offered()
        self.assertEqual(self.type_of(world.select(RESERVED)), "NAK")

    def test_init_reboot(self) -> None:
        """Known: ACK or NAK. Unknown: silence, and NAK where we are the only server."""
        world = World(self)
        address = world.leased()

        def reboot(wanted: IPv4Address, mac: str = MAC, server: World = world) -> str:
            options = {O.REQUESTED_ADDRESS: wanted.packed}
            return self.type_of(server.ask(Dhcp4Type.REQUEST, mac, options))

        self.assertEqual(reboot(address), "ACK")
        self.assertEqual(reboot(RESERVED), "NAK")
        stranger = "52:54:00:00:00:09"
        self.assertEqual(reboot(RESERVED, stranger), "silence")
        only = World(self, authoritative=True)
        self.assertEqual(reboot(RESERVED, stranger, only), "NAK")
        self.assertEqual(reboot(IPv4Address("192.168.7.7"), stranger, only), "NAK")
        # A lost database heals itself where no other server could have given the address.
        self.assertEqual(reboot(FIRST, stranger, only), "ACK")

    def test_renewing(self) -> None:
        """A renewal extends the lease and goes to the client's address."""
        world = World(self)
        address = world.leased()
        world.clock.advance(300)
        answer = world.ask(Dhcp4Type.REQUEST, ciaddr=address)
        assert isinstance(answer, Answer)
        self.assertEqual(answer.destination.address, address)
        lease = result_of(world.boot.leases.holder(address, world.clock.seconds()))
        assert lease is not None
        self.assertEqual(lease.ends, 900)

    def test_renewing_without_directory(self) -> None:
        """While a directory is away nobody new is served, but nobody loses an address."""
        world = World(self)
        address = world.leased()
        world.hosts.failure = DirectoryUnavailable("away")
        self.assertEqual(self.type_of(world.ask(Dhcp4Type.REQUEST, ciaddr=address)), "ACK")
        self.assertEqual(self.type_of(world.ask(Dhcp4Type.DISCOVER)), "silence")

    def test_silence_is_kept(self) -> None:
        """A machine that must not be served gets nothing, not even an address."""
        world = World(self)
        world.policy.plan = BootPlan.ignore("banned")
        answer = world.ask(Dhcp4Type.DISCOVER)
        assert isinstance(answer, Silence)
        self.assertEqual(answer.reason, "banned")

    def test_no_loader(self) -> None:
        """An address alone starts nothing; who looks for the reason finds it."""
        world = World(self)
        boot = {
            O.VENDOR_CLASS: b"PXEClient:Arch:00027:UNDI:003000",
            O.CLIENT_ARCHITECTURE: b"\0\x1b",
        }
        answer = world.ask(Dhcp4Type.DISCOVER, MAC, boot)
        assert isinstance(answer, Answer)
        self.assertIn("no loader for architecture riscv64, firmware uefi", answer.summary)
        answer = world.ask(Dhcp4Type.DISCOVER)
        assert isinstance(answer, Answer)
        self.assertNotIn("no loader", answer.summary)

    def test_no_opinion(self) -> None:
        """Without any plan a system still gets an address, a boot client silence."""
        world = World(self)
        world.policy.plan = None
        self.assertEqual(self.type_of(world.ask(Dhcp4Type.DISCOVER)), "OFFER")
        boot = {O.VENDOR_CLASS: UEFI}
        self.assertEqual(self.type_of(world.ask(Dhcp4Type.DISCOVER, MAC, boot)), "silence")

    def test_release(self) -> None:
        """Released by its holder; a stranger's RELEASE changes nothing."""
        world = World(self)
        address = world.leased()
        server = {O.SERVER_ID: SERVER.packed}
        world.ask(Dhcp4Type.RELEASE, "52:54:00:00:00:02", server, ciaddr=address)
        self.assertIsNotNone(result_of(world.boot.leases.holder(address, 1.0)))
        world.ask(Dhcp4Type.RELEASE, MAC, server, ciaddr=address)
        self.assertIsNone(result_of(world.boot.leases.holder(address, 1.0)))

    def test_decline(self) -> None:
        """A declined address is given to nobody for a day."""
        world = World(self)
        address = world.leased()
        options = {O.SERVER_ID: SERVER.packed, O.REQUESTED_ADDRESS: address.packed}
        world.ask(Dhcp4Type.DECLINE, MAC, options)
        world.clock.advance(3600)
        others = {world.leased(f"52:54:00:00:01:{n:02x}") for n in range(2)}
        self.assertNotIn(address, others)

    def test_inform(self) -> None:
        """Options without an address."""
        answer = World(self).ask(Dhcp4Type.INFORM, ciaddr=RESERVED)
        assert isinstance(answer, Answer)
        self.assertEqual((int(answer.reply.yiaddr), answer.destination.address), (0, RESERVED))

    def test_bootp(self) -> None:
        """BOOTP gets its reservation, or nothing."""
        world = World(self)

        def ask() -> Answer | Silence:
            message = world.message(Dhcp4Type.DISCOVER, options={}, is_dhcp=False)
            return result_of(world.server.answer(Incoming.of(message, SERVER, 0.0)))

        self.assertIsInstance(ask(), Silence)
        world.hosts.machines = {MAC: Machine("ws1", (MAC,), address=RESERVED)}
        answer = ask()
        assert isinstance(answer, Answer)
        self.assertEqual(answer.reply.yiaddr, RESERVED)

    def test_relayed(self) -> None:
        """A relayed client gets an address of its own network, through its relay."""
        relay = IPv4Address("10.1.0.1")
        answer = World(self).ask(Dhcp4Type.DISCOVER, giaddr=relay)
        assert isinstance(answer, Answer)
        self.assertEqual(answer.reply.yiaddr, IPv4Address("10.1.0.10"))
        self.assertEqual((answer.destination.address, answer.destination.port), (relay, 67))

    def test_foreign_network(self) -> None:
        """A network that the INI does not name gets silence."""
        answer = World(self).ask(Dhcp4Type.DISCOVER, giaddr=IPv4Address("172.16.0.1"))
        assert isinstance(answer, Silence)
        self.assertIn("172.16.0.1", answer.reason)

    def test_one_address_per_boot(self) -> None:
        """ROM, iPXE and the system send different client identifiers and keep one address."""
        world = World(self)
        address = world.leased()
        for client_id in (b"\x01" + bytes(6), b"\xff" + bytes(18)):
            answer = world.ask(Dhcp4Type.DISCOVER, MAC, {O.CLIENT_ID: client_id})
            assert isinstance(answer, Answer)
            self.assertEqual(answer.reply.yiaddr, address)
            self.assertEqual(answer.reply.options[O.CLIENT_ID], client_id)


class LogServerTests(SynchronousTestCase):
    """Clients are told that we take what they log, unless the site says something else."""

    def told(self, world: World, log_server: bool = True) -> bytes | None:
        networks = world.boot.networks
        world.server = AddressServer(world.boot, networks, 80, log_server=log_server)
        options = {O.PARAMETER_REQUEST_LIST: bytes([O.LOG_SERVERS])}
        return world.answered(Dhcp4Type.DISCOVER, options=options).reply.options.get(O.LOG_SERVERS)

    def test_ours(self) -> None:
        self.assertEqual(self.told(World(self)), SERVER.packed)
        self.assertIsNone(self.told(World(self), log_server=False))

    def test_the_site_names_another(self) -> None:
        for said, expected in ((RESERVED.packed, RESERVED.packed), (b"", None)):
            network = attrs.evolve(NETWORK, options={O.LOG_SERVERS: said})
            self.assertEqual(self.told(World(self, networks=[network])), expected)

    def test_inform(self) -> None:
        world = World(self)
        self.told(world)
        options = {O.PARAMETER_REQUEST_LIST: bytes([O.LOG_SERVERS])}
        reply = world.answered(Dhcp4Type.INFORM, options=options, ciaddr=FIRST).reply
        self.assertEqual(reply.options[O.LOG_SERVERS], SERVER.packed)


class ProxyServerTests(SynchronousTestCase):
    """ProxyDHCP answers network boot clients and nobody else."""

    def ask(
        self,
        world: World,
        kind: Dhcp4Type = Dhcp4Type.DISCOVER,
        vendor: bytes = UEFI,
        port: int = 67,
        source: tuple[str, int] = ("0.0.0.0", 68),
    ) -> Answer | Silence:
        message = world.message(kind, options={O.VENDOR_CLASS: vendor} if vendor else {})
        incoming = Incoming.of(message, SERVER, 0.0, port=port, source=source)
        return result_of(world.proxy.answer(incoming))

    def test_offer(self) -> None:
        """No address, the loader, by broadcast."""
        answer = self.ask(World(self))
        assert isinstance(answer, Answer)
        self.assertEqual((int(answer.reply.yiaddr), answer.reply.siaddr), (0, SERVER))
        self.assertEqual(str(answer.destination.address), "255.255.255.255")

    def test_systems_get_nothing(self) -> None:
        """The kernel's own DHCP would take our offer for an address of 0.0.0.0 (rule 3)."""
        self.assertIsInstance(self.ask(World(self), vendor=b""), Silence)

    def test_requests_are_the_other_servers(self) -> None:
        """A REQUEST on port 67 is never answered, but tells whose address it is."""
        world = World(self)
        options: dict[int, bytes] = {O.VENDOR_CLASS: UEFI, O.REQUESTED_ADDRESS: RESERVED.packed}
        message = world.message(Dhcp4Type.REQUEST, options=options)
        self.assertIsInstance(
            result_of(world.proxy.answer(Incoming.of(message, SERVER, 0.0))), Silence
        )
        self.ask(world)
        identity, boot_id = result_of(world.boot.identify(str(RESERVED), 0.0))
        self.assertEqual((identity.mac, bool(boot_id)), (MAC, True))

    def test_4011_answers_the_source_port(self) -> None:
        """ROMs ask from port 68, EDK2 from 4011: the reply goes where the question came from."""
        for port in (68, 4011):
            answer = self.ask(World(self), Dhcp4Type.REQUEST, port=4011, source=("10.0.0.9", port))
            assert isinstance(answer, Answer)
            self.assertEqual(
                (str(answer.destination.address), answer.destination.port), ("10.0.0.9", port)
            )
            self.assertEqual(answer.reply.file, b"loaders/snponly.efi")

    def test_http_client(self) -> None:
        """HTTP boot gets HTTPClient and a URL at once, and nothing on port 4011."""
        world, vendor = World(self), b"HTTPClient:Arch:00016:UNDI:003000"
        answer = self.ask(world, vendor=vendor)
        assert isinstance(answer, Answer)
        self.assertEqual(answer.reply.options[O.VENDOR_CLASS], b"HTTPClient")
        self.assertTrue(answer.reply.file.startswith(b"http://10.0.0.1/"))
        request = Dhcp4Type.REQUEST
        self.assertIsInstance(self.ask(world, request, vendor, port=4011), Silence)

    def test_silence(self) -> None:
        """A machine that must not be served, and an architecture without a loader."""
        world = World(self)
        itanium = b"PXEClient:Arch:00002:UNDI:003000"
        answer = self.ask(world, vendor=itanium)
        assert isinstance(answer, Silence)
        self.assertIn("no loader for architecture ia64", answer.reason)
        world.policy.plan = BootPlan.ignore("banned")
        self.assertIsInstance(self.ask(world), Silence)
