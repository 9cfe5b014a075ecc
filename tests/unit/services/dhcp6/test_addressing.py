"""The DHCPv6 server without sockets: whole exchanges against the real facade."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.boot.facade import BootFacade
from pxetwist.boot.loaders import Loader
from pxetwist.errors import DirectoryUnavailable, WireError
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.interfaces import IReservations
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import Files
from pxetwist.model.lease import Pool
from pxetwist.model.machine import Machine
from pxetwist.model.network6 import Network6
from pxetwist.services.dhcp6.addressing import AddressServer6, Answer6, Incoming6
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeHosts, FakePolicy, result_of
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire.dhcp6 import Dhcp6Message, Option, Options6, RelayMessage
from pxetwist.wire.dhcp6_options import IaAddress, IaNa
from pxetwist.wire.iana import Dhcp6Option as O
from pxetwist.wire.iana import Dhcp6Status as Status
from pxetwist.wire.iana import Dhcp6Type

DUID = b"\0\4" + bytes(15) + b"\7"
MAC = "52:54:00:00:00:01"
SERVER = IPv6Address("fd77::1")
OURS = (IPv6Interface("fe80::1/64"), IPv6Interface("fd77::1/64"))
FIRST, RESERVED = IPv6Address("fd77::100"), IPv6Address("fd77::50")
LAB = Network6(
    "lab",
    IPv6Network("fd77::/64"),
    (Pool(FIRST, IPv6Address("fd77::101")),),
    name_servers=(SERVER,),
    search=("lab.example",),
    lifetime=600,
)
REMOTE = Network6("remote", IPv6Network("fd78::/64"), (Pool(*[IPv6Address("fd78::100")] * 2),))
ASKED: Option = (O.OPTION_REQUEST, bytes.fromhex("003b003c00170010"))
UEFI: tuple[Option, ...] = (
    ASKED,
    (O.CLIENT_ARCHITECTURE, b"\0\7"),
    (O.VENDOR_CLASS, values.write_vendor_class(343, [b"PXEClient:Arch:00007:UNDI:003000"])),
)
HTTP: tuple[Option, ...] = (
    ASKED,
    (O.VENDOR_CLASS, values.write_vendor_class(77, [b"HTTPClient:Arch:00016:UNDI:003000"])),
)
IPXE: tuple[Option, ...] = (*UEFI, (O.USER_CLASS, values.write_texts([b"iPXE"])))


def ia(*addresses: IPv6Address, iaid: int = 1) -> Option:
    held = tuple((int(O.IA_ADDRESS), values.write_ia_address(IaAddress(a))) for a in addresses)
    return O.IA_NA, values.write_ia_na(IaNa(iaid, options=Options6(held)))


def duid(mac: str) -> bytes:
    return b"\0\3\0\1" + bytes.fromhex(mac.replace(":", ""))


class World:
    """A server with fakes behind it; `ask` sends it one message."""

    def __init__(self, case: SynchronousTestCase, lab: Network6 = LAB) -> None:
        self.case = case
        self.clock = Clock()
        self.hosts = FakeHosts()
        self.policy = FakePolicy(BootPlan(Files("linux"), "debian"))
        self.boot = BootFacade(
            self.clock,
            networks={},
            state_folder=Path(case.mktemp()),
            loaders=[Loader("x64", "ipxe", "loaders/snponly é.efi")],
        )
        self.boot.attach(
            hosts=[("rack", self.hosts)],
            policies=[("main", self.policy)],
            content=[],
            observers=[],
            leases=MemoryLeases(),
        )
        self.server = AddressServer6(self.boot, {"lab": lab, "remote": REMOTE}, 8080, DUID)

    def ask(
        self,
        kind: Dhcp6Type,
        *options: Option,
        mac: str = MAC,
        destination: IPv6Address | None = None,
        relays: tuple[RelayMessage, ...] = (),
        ours: tuple[IPv6Interface, ...] = OURS,
    ) -> Answer6 | Silence:
        named = kind in (Dhcp6Type.REQUEST, Dhcp6Type.RENEW, Dhcp6Type.RELEASE, Dhcp6Type.DECLINE)
        head: list[Option] = [(O.CLIENT_ID, duid(mac))]
        if named:
            head.append((O.SERVER_ID, DUID))
        message = Dhcp6Message(kind, 9, Options6((*head, *options)))
        incoming = Incoming6(
            message, self.clock.seconds(), ours, relays, "eth0", None, destination
        )
        return result_of(self.server.answer(incoming))

    def reply(self, kind: Dhcp6Type, *options: Option, **more: object) -> Dhcp6Message:
        answer = self.ask(kind, *options, **more)  # type: ignore[arg-type]  # as `ask` has them
        assert isinstance(answer, Answer6), answer
        self.case.assertEqual(answer.reply.xid, 9)
        self.case.assertEqual(answer.reply.options.get(O.SERVER_ID), DUID)
        return answer.reply

    def lease(self, mac: str = MAC) -> IPv6Address:
        """Let a client get an address in four messages."""
        [offered] = addresses(self.reply(Dhcp6Type.SOLICIT, ia(), mac=mac))
        [given] = addresses(self.reply(Dhcp6Type.REQUEST, ia(offered.address), mac=mac))
        self.case.assertEqual(given, offered)
        return given.address


def addresses(reply: Dhcp6Message) -> list[IaAddress]:
    return [a for raw in reply.options.all(O.IA_NA) for a in values.read_ia_na(raw).addresses]


def status(reply: Dhcp6Message) -> Status:
    return values.read_status(reply.options.get(O.STATUS_CODE) or b"\0\0")[0]


def ia_status(reply: Dhcp6Message, number: int = 0) -> Status:
    found = values.read_ia_na(reply.options.all(O.IA_NA)[number])
    return values.read_status(found.options.get(O.STATUS_CODE) or b"\0\0")[0]


class AddressTests(SynchronousTestCase):
    def test_four_messages(self) -> None:
        world = World(self)
        offer = world.reply(Dhcp6Type.SOLICIT, ia(iaid=77))
        self.assertIs(offer.type, Dhcp6Type.ADVERTISE)
        self.assertEqual(offer.options.get(O.CLIENT_ID), duid(MAC))
        [offered] = addresses(offer)
        self.assertTrue(LAB.leases.in_pool(offered.address))
        reply = world.reply(Dhcp6Type.REQUEST, ia(offered.address, iaid=77))
        self.assertIs(reply.type, Dhcp6Type.REPLY)
        found = values.read_ia_na(reply.options.get(O.IA_NA) or b"")
        self.assertEqual((found.iaid, found.t1, found.t2), (77, 300, 480))
        self.assertEqual(found.addresses, (IaAddress(offered.address, 600, 600),))
        identity, _ = result_of(world.boot.identify(str(offered.address), 1.0))
        self.assertEqual(identity.mac, MAC)

    def test_the_same_address_whatever_the_association(self) -> None:
        """OVMF asks as a system first, then as PXE, with another IAID."""
        world = World(self)
        first = world.lease()
        [again] = addresses(world.reply(Dhcp6Type.SOLICIT, ia(iaid=5), *UEFI))
        self.assertEqual(again.address, first)

    def test_a_second_association_gets_nothing(self) -> None:
        reply = World(self).reply(Dhcp6Type.SOLICIT, ia(iaid=1), ia(iaid=2))
        self.assertEqual(len(addresses(reply)), 1)
        self.assertIs(ia_status(reply, 1), Status.NO_ADDRS_AVAIL)

    def test_hint(self) -> None:
        [offered] = addresses(World(self).reply(Dhcp6Type.SOLICIT, ia(IPv6Address("fd77::101"))))
        self.assertEqual(offered.address, IPv6Address("fd77::101"))

    def test_reservation(self) -> None:
        world = World(self, attrs.evolve(LAB, pools=()))
        world.hosts.machines = {MAC: Machine("ws1", (MAC,), address6=RESERVED)}
        self.assertEqual(world.lease(), RESERVED)
        nothing = world.reply(Dhcp6Type.SOLICIT, ia(), mac="52:54:00:00:00:02")
        self.assertIs(status(nothing), Status.NO_ADDRS_AVAIL)

    def test_reservations_are_not_in_the_pool(self) -> None:
        world = World(self, attrs.evolve(LAB, pools=(Pool(RESERVED, RESERVED),)))
        world.boot.attach(
            hosts=[("rack", _Promising())],
            policies=[("main", world.policy)],
            content=[],
            observers=[],
            leases=MemoryLeases(),
        )
        self.assertIs(status(world.reply(Dhcp6Type.SOLICIT, ia())), Status.NO_ADDRS_AVAIL)

    def test_empty_pool(self) -> None:
        world = World(self, attrs.evolve(LAB, solicit_max=3600))
        world.lease()
        world.lease("52:54:00:00:00:02")
        offer = world.reply(Dhcp6Type.SOLICIT, ia(), *UEFI, mac="52:54:00:00:00:03")
        self.assertIs(status(offer), Status.NO_ADDRS_AVAIL)
        self.assertNotIn(O.IA_NA, offer.options)
        self.assertNotIn(O.BOOT_FILE_URL, offer.options)
        self.assertEqual(offer.options.get(O.SOLICIT_MAX_RT), (3600).to_bytes(4, "big"))
        late = world.reply(Dhcp6Type.REQUEST, ia(FIRST), mac="52:54:00:00:00:03")
        self.assertIs(ia_status(late), Status.NO_ADDRS_AVAIL)

    def test_rapid_commit(self) -> None:
        option: Option = (O.RAPID_COMMIT, b"")
        plain = World(self).reply(Dhcp6Type.SOLICIT, ia(), option)
        self.assertIs(plain.type, Dhcp6Type.ADVERTISE)
        world = World(self, attrs.evolve(LAB, rapid_commit=True))
        reply = world.reply(Dhcp6Type.SOLICIT, ia(), option)
        self.assertIs(reply.type, Dhcp6Type.REPLY)
        self.assertIn(O.RAPID_COMMIT, reply.options)
        [given] = addresses(reply)
        holder = result_of(world.boot.leases.holder(given.address, 500.0))
        self.assertEqual(holder and holder.key, MAC)

    def test_preference(self) -> None:
        world = World(self, attrs.evolve(LAB, preference=255))
        offer = world.reply(Dhcp6Type.SOLICIT, ia())
        self.assertEqual(offer.options.get(O.PREFERENCE), b"\xff")

    def test_request_of_another_link(self) -> None:
        reply = World(self).reply(Dhcp6Type.REQUEST, ia(IPv6Address("fd79::1")))
        self.assertIs(ia_status(reply), Status.NOT_ON_LINK)

    def test_request_after_a_restart(self) -> None:
        [given] = addresses(World(self).reply(Dhcp6Type.REQUEST, ia(FIRST)))
        self.assertEqual(given.address, FIRST)

    def test_malformed_association(self) -> None:
        world = World(self)
        self.assertRaises(WireError, world.ask, Dhcp6Type.SOLICIT, (O.IA_NA, b"short"))


@implementer(IReservations)
class _Promising(FakeHosts):
    """A directory with a reservation."""

    def reserved_addresses(self) -> list[IPv6Address]:
        return [RESERVED]


class LaterTests(SynchronousTestCase):
    def test_renew(self) -> None:
        world = World(self)
        address = world.lease()
        world.clock.advance(300)
        other = IPv6Address("fd77::dead")
        renewed, gone = addresses(world.reply(Dhcp6Type.RENEW, ia(address, other)))
        self.assertEqual(renewed, IaAddress(address, 600, 600))
        self.assertEqual(gone, IaAddress(other, 0, 0))
        holder = result_of(world.boot.leases.holder(address, 899.0))
        self.assertEqual(holder and holder.key, MAC)

    def test_renew_without_lease(self) -> None:
        reply = World(self).reply(Dhcp6Type.RENEW, ia(FIRST))
        self.assertIs(ia_status(reply), Status.NO_BINDING)

    def test_rebind(self) -> None:
        world = World(self)
        address = world.lease()
        [renewed] = addresses(world.reply(Dhcp6Type.REBIND, ia(address)))
        self.assertEqual(renewed.valid, 600)

    def test_rebind_without_lease(self) -> None:
        world = World(self)
        self.assertIsInstance(world.ask(Dhcp6Type.REBIND, ia(FIRST)), Silence)
        strange = IPv6Address("fd79::1")
        self.assertEqual(
            addresses(world.reply(Dhcp6Type.REBIND, ia(strange))), [IaAddress(strange, 0, 0)]
        )

    def test_a_lease_may_be_kept_while_a_directory_is_away(self) -> None:
        world = World(self)
        address = world.lease()
        world.hosts.failure = DirectoryUnavailable("away")
        world.boot.reload()
        self.assertIsInstance(world.ask(Dhcp6Type.SOLICIT, ia()), Silence)
        [renewed] = addresses(world.reply(Dhcp6Type.RENEW, ia(address)))
        self.assertEqual(renewed.address, address)

    def test_confirm(self) -> None:
        world = World(self)
        on = world.reply(Dhcp6Type.CONFIRM, ia(IPv6Address("fd77::9")))
        self.assertIs(status(on), Status.SUCCESS)
        off = world.reply(Dhcp6Type.CONFIRM, ia(IPv6Address("fd79::9")))
        self.assertIs(status(off), Status.NOT_ON_LINK)
        self.assertIsInstance(world.ask(Dhcp6Type.CONFIRM, ia()), Silence)

    def test_release(self) -> None:
        world = World(self)
        address = world.lease()
        stranger = world.reply(Dhcp6Type.RELEASE, ia(address), mac="52:54:00:00:00:02")
        self.assertIs(ia_status(stranger), Status.NO_BINDING)
        self.assertIsNotNone(result_of(world.boot.leases.holder(address, 1.0)))
        reply = world.reply(Dhcp6Type.RELEASE, ia(address))
        self.assertIs(status(reply), Status.SUCCESS)
        self.assertNotIn(O.IA_NA, reply.options)
        self.assertIsNone(result_of(world.boot.leases.holder(address, 1.0)))

    def test_decline(self) -> None:
        world = World(self)
        address = world.lease()
        self.assertIs(status(world.reply(Dhcp6Type.DECLINE, ia(address))), Status.SUCCESS)
        self.assertNotEqual(world.lease(), address)

    def test_unicast(self) -> None:
        world = World(self)
        address = world.lease()
        reply = world.reply(Dhcp6Type.RENEW, ia(address), destination=SERVER)
        self.assertIs(status(reply), Status.USE_MULTICAST)
        self.assertNotIn(O.IA_NA, reply.options)

    def test_information(self) -> None:
        asked: Option = (O.OPTION_REQUEST, bytes.fromhex("001700180020"))
        reply = World(self).reply(Dhcp6Type.INFORMATION_REQUEST, asked)
        self.assertEqual(reply.options.get(O.NAME_SERVERS), SERVER.packed)
        self.assertEqual(reply.options.get(O.DOMAIN_SEARCH), b"\3lab\7example\0")
        self.assertEqual(reply.options.get(O.INFORMATION_REFRESH), (600).to_bytes(4, "big"))
        self.assertNotIn(O.IA_NA, reply.options)


class RelayTests(SynchronousTestCase):
    def test_network_and_server_address(self) -> None:
        agent = RelayMessage(
            Dhcp6Type.RELAY_FORW, 0, IPv6Address("fd78::1"), IPv6Address("fe80::9")
        )
        world = World(self)
        more = {"relays": (agent,), "destination": SERVER}
        reply = world.reply(Dhcp6Type.SOLICIT, ia(), *UEFI, **more)
        [offered] = addresses(reply)
        self.assertEqual(offered.address, IPv6Address("fd78::100"))
        url = reply.options.get(O.BOOT_FILE_URL) or b""
        self.assertTrue(url.startswith(b"tftp://[fd77::1]/"))

    def test_unknown_network(self) -> None:
        agent = RelayMessage(
            Dhcp6Type.RELAY_FORW, 0, IPv6Address("fd99::1"), IPv6Address("fe80::9")
        )
        silence = World(self).ask(Dhcp6Type.SOLICIT, ia(), *UEFI, relays=(agent,))
        assert isinstance(silence, Silence)
        self.assertIn("fd99::1", silence.reason)
        self.assertTrue(silence.in_vain)


class BootTests(SynchronousTestCase):
    def url(self, *options: Option) -> bytes | None:
        return World(self).reply(Dhcp6Type.SOLICIT, ia(), *options).options.get(O.BOOT_FILE_URL)

    def test_pxe(self) -> None:
        """A literal address and escapes; never parameters (quirk V1), nor a vendor class."""
        reply = World(self).reply(Dhcp6Type.SOLICIT, ia(), *UEFI)
        url = reply.options.get(O.BOOT_FILE_URL)
        self.assertEqual(url, b"tftp://[fd77::1]/loaders/snponly%20%C3%A9.efi")
        self.assertNotIn(O.BOOT_FILE_PARAMETERS, reply.options)
        self.assertNotIn(O.VENDOR_CLASS, reply.options)
        self.assertIn(O.NAME_SERVERS, reply.options)
        self.assertNotIn(O.DOMAIN_SEARCH, reply.options)  # it did not ask

    def test_http(self) -> None:
        """HTTP Boot takes no offer without a vendor class of its own."""
        reply = World(self).reply(Dhcp6Type.SOLICIT, ia(), *HTTP)
        url = reply.options.get(O.BOOT_FILE_URL) or b""
        self.assertTrue(url.startswith(b"http://[fd77::1]:8080/loaders/snponly"), url)
        raw = reply.options.get(O.VENDOR_CLASS) or b""
        self.assertEqual(values.read_vendor_class(raw), (77, (b"HTTPClient",)))

    def test_ipxe(self) -> None:
        url = self.url(*IPXE) or b""
        self.assertRegex(url, rb"^http://\[fd77::1\]:8080/boot/[\w-]{30,}/boot\.ipxe")

    def test_raspberry_pi(self) -> None:
        """It is told where, and not what (quirk V4)."""
        board = (O.CLIENT_ARCHITECTURE, b"\0\x29")
        self.assertEqual(self.url(ASKED, board), b"tftp://[fd77::1]/")

    def test_system(self) -> None:
        self.assertIsNone(self.url(ASKED))

    def test_silence(self) -> None:
        world = World(self)
        world.policy.plan = BootPlan.ignore("banned")
        silence = world.ask(Dhcp6Type.SOLICIT, ia(), *UEFI)
        assert isinstance(silence, Silence)
        self.assertEqual(silence.reason, "banned")

    def test_nobody_decides(self) -> None:
        """A system gets an address, a firmware nothing."""
        world = World(self)
        world.policy.plan = None
        self.assertEqual(len(addresses(world.reply(Dhcp6Type.SOLICIT, ia()))), 1)
        self.assertIsInstance(world.ask(Dhcp6Type.SOLICIT, ia(), *UEFI), Silence)
