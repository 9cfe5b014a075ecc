"""The ProxyDHCP server without sockets: a ROM's messages against the real facade."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.boot.facade import BootFacade
from pxetwist.errors import StateUnavailable
from pxetwist.exchange.dhcp4 import Destination, Silence
from pxetwist.exchange.proxydhcp import Variant
from pxetwist.interfaces import INotes
from pxetwist.model.boot import BootPlan, BootRequest, Protocol
from pxetwist.model.boots import Files, LocalDisk, Menu, MenuEntry, Nbp
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import Firmware
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.incoming import Answer, Incoming
from pxetwist.services.dhcp.proxy import ProxyServer, Settings
from pxetwist.services.dhcp.proxy_lessons import LessonKeeper
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeHosts, FakePolicy, make_site, result_of
from pxetwist.wire import pxe
from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.config.inis import IniCase
from tests.unit.exchange.captured import first, packets

SERVER = IPv4Address("10.77.0.1")
CLIENT = IPv4Address("10.77.0.50")
MENU = Menu(
    "Choose",
    (
        MenuEntry("debian", "Debian", Files("linux")),
        MenuEntry("rescue", "Rescue", Files("rescue")),
        MenuEntry("disk", "Local disk", LocalDisk()),
        MenuEntry("vault", "Vault", Files("vault"), locked=True),
    ),
    "rescue",
    7,
)


def vendor_rom() -> Dhcp4Message:
    """Return the DISCOVER of a BIOS ROM that is no iPXE: the captured one without its marks."""
    message = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.DISCOVER)
    return without(message, O.USER_CLASS, O.IPXE)


def without(message: Dhcp4Message, *codes: int) -> Dhcp4Message:
    options = {code: raw for code, raw in message.options.items() if code not in codes}
    return attrs.evolve(message, options=options)


@implementer(INotes)
class Away:
    """A state that cannot store."""

    async def recall(self, topic: str) -> Mapping[str, str]:
        return {}

    async def remember(self, topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        raise StateUnavailable("the disk is full")


class ProxyCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.events: list[BootEvent] = []
        self.hosts = FakeHosts()
        self.policy = FakePolicy(BootPlan(Files("linux"), "debian"))
        self.boot = BootFacade(self.clock, networks={}, state_folder=Path(self.mktemp()))
        self.boot.attach(
            hosts=[("rack", self.hosts)],
            policies=[("main", self.policy)],
            content=[],
            observers=[("test", self)],  # type: ignore[list-item]  # it has notice()
            leases=MemoryLeases(),
        )
        self.serve()

    def notice(self, event: BootEvent) -> None:
        self.events.append(event)

    def serve(self, **offer: tuple[Variant, ...]) -> None:
        self.server = ProxyServer(self.boot, 80, {k.strip("_"): v for k, v in offer.items()})
        self.boot.attend(self.server)

    def ask(self, message: Dhcp4Message, port: int = 67, source: int = 68) -> Answer | Silence:
        address = str(CLIENT) if port == 4011 else "0.0.0.0"
        incoming = Incoming.of(
            message,
            SERVER,
            self.clock.seconds(),
            interface="eth0",
            port=port,
            source=(address, source),
        )
        return result_of(self.server.answer(incoming))

    def reply(self, *args: Any, **kwargs: Any) -> Dhcp4Message:
        answer = self.ask(*args, **kwargs)
        assert isinstance(answer, Answer), answer
        return answer.reply

    def vendor(self, reply: Dhcp4Message) -> dict[int, bytes]:
        return pxe.decode_vendor(reply.options.get(O.VENDOR_SPECIFIC, b""))

    def request(self, discover: Dhcp4Message) -> Dhcp4Message:
        """The broadcast with which a client takes the other server's address."""
        options = {
            **discover.options,
            O.MESSAGE_TYPE: bytes([Dhcp4Type.REQUEST]),
            O.SERVER_ID: IPv4Address("10.77.0.2").packed,
            O.REQUESTED_ADDRESS: CLIENT.packed,
        }
        return attrs.evolve(discover, options=options)

    def item(self, number: int, layer: int = 0) -> Dhcp4Message:
        """A boot server request for an item of a menu, as ROMs send it."""
        options = {
            **vendor_rom().options,
            O.MESSAGE_TYPE: bytes([Dhcp4Type.REQUEST]),
            O.VENDOR_SPECIFIC: pxe.encode_vendor(
                {pxe.BOOT_ITEM: number.to_bytes(2, "big") + layer.to_bytes(2, "big")}
            ),
        }
        return attrs.evolve(vendor_rom(), xid=0, ciaddr=CLIENT, options=options)

    def fetch(self, answer: Answer, protocol: str = "tftp") -> None:
        event = BootEvent(
            self.clock.seconds(), EventKind.ENDED, protocol, "m", answer.boot_id, "loader"
        )
        self.boot.tell(event)

    def news(self) -> list[str]:
        return [each.summary for each in self.events if each.kind is EventKind.VARIANT]


class VariantTests(ProxyCase):
    """A ROM that is no iPXE, each time another one: what each takes, and that it gets there."""

    def discover_until(self, takes: Variant) -> Answer:
        """Ask like a ROM, at 0, 4, 12 and 28 s of each boot, until the offer is to its taste."""
        for pause in (0, 4, 8, 16, 60) * 4:
            self.clock.advance(pause)
            answer = self.ask(vendor_rom())
            assert isinstance(answer, Answer)
            if answer.note == f"as {takes.value}":
                return answer
        raise AssertionError(f"never offered as {takes.value}")

    def test_full(self) -> None:
        """The first offer: load it now, no port 4011."""
        answer = self.discover_until(Variant.FULL)
        self.assertEqual(self.vendor(answer.reply)[pxe.DISCOVERY_CONTROL], b"\x08")
        self.assertEqual(answer.reply.file, b"loaders/undionly.kpxe")
        self.assertEqual(answer.reply.options[O.BOOT_FILE], b"loaders/undionly.kpxe\0")
        self.fetch(answer)
        self.assertEqual(self.news(), [])

    def test_redirect(self) -> None:
        """Then to port 4011, by REQUEST or INFORM, answered to the port that it came from."""
        offer = self.discover_until(Variant.REDIRECT).reply
        self.assertEqual((offer.file, self.vendor(offer)), (b"", {}))
        self.assertEqual(offer.siaddr, SERVER)
        for kind in (Dhcp4Type.REQUEST, Dhcp4Type.INFORM):
            options = {**vendor_rom().options, O.MESSAGE_TYPE: bytes([kind])}
            asked = attrs.evolve(vendor_rom(), xid=99, ciaddr=CLIENT, options=options)
            answer = self.ask(asked, 4011, 68)
            assert isinstance(answer, Answer)
            self.assertEqual(answer.destination, Destination(CLIENT, 68))
            self.assertEqual(answer.reply.message_type, Dhcp4Type.ACK)
            self.assertEqual((answer.reply.xid, int(answer.reply.yiaddr)), (99, 0))
            self.assertEqual(answer.reply.file, b"loaders/undionly.kpxe")
            self.assertEqual(answer.reply.options[O.SERVER_ID], SERVER.packed)

    def test_menu(self) -> None:
        """Then a menu of one item, which it asks port 4011 for."""
        vendor = self.vendor(self.discover_until(Variant.MENU).reply)
        self.assertEqual(vendor[pxe.BOOT_MENU], b"\x80\0\x08Net boot")
        self.assertEqual(vendor[pxe.BOOT_SERVERS], b"\x80\0\x01" + SERVER.packed)
        self.assertEqual(vendor[pxe.MENU_PROMPT][0], 0)
        ack = self.reply(self.item(0x8000), 4011)
        self.assertEqual(self.vendor(ack)[pxe.BOOT_ITEM], b"\x80\0\0\0")
        self.assertEqual(ack.file, b"loaders/undionly.kpxe")

    def test_header(self) -> None:
        """Then the name in the header alone."""
        offer = self.discover_until(Variant.HEADER).reply
        self.assertEqual(offer.file, b"loaders/undionly.kpxe")
        self.assertNotIn(O.BOOT_FILE, offer.options)

    def test_success_is_told_and_kept(self) -> None:
        """The next boot begins with what worked, and so does the next machine of this make."""
        self.fetch(self.discover_until(Variant.REDIRECT))
        self.assertEqual(
            self.news(),
            [
                "answered twice as 'full' without effect, now 'redirect'",
                "offered as 'redirect' it boots; its like begin with that",
            ],
        )
        self.clock.advance(5000)
        chaddr = bytes.fromhex("525400aaaaaa").ljust(16, b"\0")
        for message in (vendor_rom(), attrs.evolve(vendor_rom(), chaddr=chaddr)):
            answer = self.ask(message)
            assert isinstance(answer, Answer)
            self.assertEqual(answer.note, "as redirect")

    def restarted(self) -> LessonKeeper:
        """Another server on the same state, as after a restart."""
        self.serve()
        keeper = LessonKeeper(self.server.trials, make_site(reactor=self.clock, boot=self.boot))
        keeper.start()
        return keeper

    def test_lessons_survive_a_restart(self) -> None:
        """One of the last ten seconds as well, and one that the state could not store at once."""
        leases = self.boot.leases
        keeper = self.restarted()
        self.fetch(self.discover_until(Variant.REDIRECT))
        keeper.stop()
        self.restarted()
        answer = self.ask(vendor_rom())
        assert isinstance(answer, Answer)
        self.assertEqual(answer.note, "as redirect")
        self.fetch(self.discover_until(Variant.MENU))
        with capturedLogs() as logged:
            self.boot.leases = Away()
            self.clock.pump([10, 10])
        self.assertEqual(
            [formatEvent(each) for each in logged],
            ["what machines taught is not stored: the disk is full"],
        )
        self.boot.leases = leases
        self.clock.advance(10)
        self.restarted()
        answer = self.ask(vendor_rom())
        assert isinstance(answer, Answer)
        self.assertEqual(answer.note, "as menu")

    def test_a_state_that_keeps_no_notes(self) -> None:
        self.boot.leases = None
        self.restarted().stop()

    def test_the_loader_is_a_success(self) -> None:
        """An iPXE that asks was loaded, whoever sent it the file."""
        self.discover_until(Variant.REDIRECT)
        self.ask(first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.DISCOVER))
        self.assertIn("offered as 'redirect' it boots", self.news()[-1])

    def test_an_address_without_a_file(self) -> None:
        """It took the other server's address, loaded nothing, and begins anew."""
        self.ask(vendor_rom())
        self.assertIsInstance(self.ask(self.request(vendor_rom())), Silence)
        self.clock.advance(30)
        self.ask(vendor_rom())
        self.assertEqual(self.news(), ["answered once as 'full' without effect, now 'redirect'"])

    def test_exhausted(self) -> None:
        """Nothing had an effect: what the other server needs is said, line by line."""
        self.discover_until(Variant.HEADER)
        self.clock.advance(10)
        self.ask(vendor_rom())
        self.clock.advance(10)
        answer = self.ask(vendor_rom())
        assert isinstance(answer, Answer)
        self.assertEqual(answer.note, "as full")
        event = [each for each in self.events if each.details.get("exhausted")][-1]
        self.assertIn("never merges two", event.summary)
        lines = event.details["remedy"]
        assert isinstance(lines, list)
        self.assertIn("  next-server 10.77.0.1;", lines)
        self.assertIn("  dhcp-boot=tag:bios,tag:!ipxe,loaders/undionly.kpxe,,10.77.0.1", lines)

    def test_exhausted_without_a_dhcp_server(self) -> None:
        """It may not be the machine's fault: nobody gets an address."""

        def last() -> str:
            for _ in range(12):
                self.clock.advance(10)
                self.ask(vendor_rom())
            return [each.summary for each in self.events if each.details.get("exhausted")][-1]

        self.assertTrue(last().startswith("no machine was seen to take an address lately"))
        other = attrs.evolve(vendor_rom(), chaddr=bytes([2] * 6).ljust(16, b"\0"))
        self.ask(self.request(other))
        self.assertTrue(last().startswith("it takes no offer"))

    def test_machine_and_firmware_come_first(self) -> None:
        """The label of a machine, then the INI for its firmware, then the INI for all."""
        self.serve(_=(Variant.REDIRECT,), bios=())
        self.assertEqual(self.vendor(self.reply(vendor_rom()))[6], b"\x08")
        self.serve(_=(Variant.REDIRECT,), bios=(Variant.HEADER,))
        self.assertNotIn(O.BOOT_FILE, self.reply(vendor_rom()).options)
        uefi = first("proxydhcp_ovmf_snponly_ipxe", Dhcp4Type.DISCOVER)
        self.assertEqual(self.vendor(self.reply(uefi)), {})
        for label, control in (("menu", b"\x03"), ("full, menu", b"\x08"), ("zonk", None)):
            labels = {"proxy-offer": label}
            self.hosts.machines = {vendor_rom().mac: Machine("a", labels=labels)}
            vendor = self.vendor(self.reply(vendor_rom()))
            self.assertEqual(vendor.get(pxe.DISCOVERY_CONTROL), control or b"\x08")

    def test_a_wrong_label_is_logged_once(self) -> None:
        labels = {"proxy-offer": "redirct"}
        machine = Machine("a", labels=labels, provenance="hosts.csv:7")
        self.hosts.machines = {vendor_rom().mac: machine}
        with capturedLogs() as logs:
            self.ask(vendor_rom())
            self.ask(vendor_rom())
        [line] = map(formatEvent, logs)
        self.assertEqual(
            line,
            "passed over, hosts.csv:7: machine a: proxy-offer: expected auto or some of full,"
            " redirect, menu, header, got 'redirct'",
        )

    def test_programs_of_others_are_not_judged(self) -> None:
        """Whether an iPXE fetched them cannot be seen."""
        ipxe = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.DISCOVER)
        self.policy.plan = BootPlan(Nbp("http://elsewhere.example/x.efi"), "x")
        for _ in range(5):
            self.clock.advance(20)
            self.ask(ipxe)
        self.assertEqual(self.news(), [])

    def test_machines_without_an_address_of_their_own(self) -> None:
        """Those that cannot be told apart do not count for each other."""
        nobody = attrs.evolve(without(vendor_rom(), O.CLIENT_ID, O.CLIENT_MACHINE_ID), hlen=0)
        for _ in range(5):
            self.clock.advance(20)
            answer = self.ask(nobody)
            assert isinstance(answer, Answer)
            self.assertEqual(answer.note, "as full")
        self.assertEqual(self.news(), [])


class ClientTests(ProxyCase):
    """Who is answered, and with what."""

    def test_only_boot_clients(self) -> None:
        """A system would take our offer for an address; REQUESTs are for the other server."""
        answer = self.ask(without(vendor_rom(), O.VENDOR_CLASS))
        self.assertEqual(answer, Silence("not a network boot client"))
        self.assertIsInstance(self.ask(self.request(vendor_rom())), Silence)
        release = {**vendor_rom().options, O.MESSAGE_TYPE: bytes([Dhcp4Type.RELEASE])}
        self.assertIsInstance(self.ask(attrs.evolve(vendor_rom(), options=release)), Silence)

    def test_http(self) -> None:
        """HTTP Boot gets its URL at once; it never asks port 4011."""
        asks = first("ovmf-http4_snponly", Dhcp4Type.DISCOVER)
        offer = self.reply(asks)
        self.assertEqual(offer.options[O.VENDOR_CLASS], b"HTTPClient")
        self.assertEqual(offer.options[O.BOOT_FILE], b"http://10.77.0.1/loaders/snponly.efi")
        self.assertEqual((int(offer.yiaddr), self.vendor(offer)), (0, {}))
        options = {**asks.options, O.MESSAGE_TYPE: bytes([Dhcp4Type.REQUEST])}
        self.assertIsInstance(self.ask(attrs.evolve(asks, options=options), 4011), Silence)

    def test_ipxe_gets_its_script(self) -> None:
        """In the offer, whatever the INI says of menus for all."""
        self.policy.plan = BootPlan(MENU, "m")
        ipxe = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.DISCOVER)
        offer = self.reply(ipxe)
        self.assertTrue(offer.options[O.BOOT_FILE].startswith(b"http://10.77.0.1/boot/"))
        self.serve(_=(Variant.MENU,))
        menu = self.vendor(self.reply(ipxe))[pxe.BOOT_MENU]
        self.assertEqual(menu, b"\x80\0\x08Net boot")  # one item: more make it loop

    def test_both_4011_requests_of_ipxe(self) -> None:
        """A discovery with transaction id 0 and an item; a request with its own id."""
        message = decode(packets("proxydhcp_bios-ipxe-rom_4011", 4011)[0].payload)
        asked = pxe.decode_vendor(message.options[O.VENDOR_SPECIFIC])[pxe.BOOT_ITEM]
        reply = self.reply(message, 4011)
        self.assertEqual((reply.xid, self.vendor(reply)[pxe.BOOT_ITEM]), (0, asked))
        own = attrs.evolve(without(message, O.VENDOR_SPECIFIC), xid=5)
        self.assertEqual(self.reply(own, 4011).xid, 5)


class MenuTests(ProxyCase):
    """A PXE menu of the policy's menu, and what was chosen from it."""

    def setUp(self) -> None:
        super().setUp()
        self.serve(bios=(Variant.MENU,))
        self.policy.plan = BootPlan(MENU, "m")

    def test_menu(self) -> None:
        """The default first, the disk as type 0, nothing locked, prompt and timeout."""
        vendor = self.vendor(self.reply(vendor_rom()))
        self.assertEqual(
            vendor[pxe.BOOT_MENU], b"\x80\2\x06Rescue\x80\1\x06Debian\0\0\x0aLocal disk"
        )
        self.assertEqual(vendor[pxe.MENU_PROMPT], b"\x07Choose")

    def test_choice_holds_for_this_boot(self) -> None:
        """Port 4011 gets the item, and all that follows is that profile; the next boot asks."""
        self.ask(vendor_rom())
        answer = self.ask(self.item(0x8001), 4011)
        assert isinstance(answer, Answer)
        self.assertEqual(self.vendor(answer.reply)[pxe.BOOT_ITEM], b"\x80\1\0\0")
        assert answer.resolution.plan is not None
        self.assertEqual(answer.resolution.plan.profile, "debian")
        ipxe = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.DISCOVER)
        loader = self.ask(ipxe)
        assert isinstance(loader, Answer)
        assert loader.resolution.plan is not None
        self.assertEqual(loader.resolution.plan.boot, Files("linux"))
        identity = loader.resolution.request.identity
        later = BootRequest(identity, loader.resolution.request.stage, Protocol.HTTP)
        self.assertEqual(result_of(self.boot.resolve(later)).plan, loader.resolution.plan)
        again = self.ask(vendor_rom())
        assert isinstance(again, Answer)
        assert again.resolution.plan is not None
        self.assertEqual(again.resolution.plan.boot, MENU)

    def test_asked_twice(self) -> None:
        """A repeated request is answered alike; another choice counts."""
        self.ask(vendor_rom())
        for number, profile in ((0x8001, "debian"), (0x8001, "debian"), (0x8002, "rescue")):
            answer = self.ask(self.item(number), 4011)
            assert isinstance(answer, Answer)
            assert answer.resolution.plan is not None
            self.assertEqual(answer.resolution.plan.profile, profile)

    def test_items_that_are_not_there(self) -> None:
        """Locked entries and inventions get silence, and so do credentials and layers."""
        self.ask(vendor_rom())
        for number, layer in ((0x8004, 0), (0x9999, 0), (0x8001, 0x8000), (0x8001, 1)):
            self.assertIsInstance(self.ask(self.item(number, layer), 4011), Silence)

    def test_uefi_needs_to_be_told(self) -> None:
        """Its menus are broken on many boards (quirk D3)."""
        uefi = first("proxydhcp_ovmf_snponly_ipxe", Dhcp4Type.DISCOVER)
        self.serve(_=(Variant.MENU,))
        self.assertEqual(self.vendor(self.reply(uefi))[pxe.BOOT_MENU], b"\x80\0\x08Net boot")
        self.serve(uefi=(Variant.MENU,))
        self.assertIn(b"Rescue", self.vendor(self.reply(uefi))[pxe.BOOT_MENU])


class SettingsTests(IniCase):
    """The option `offer` in the INI."""

    def settings(self, lines: str) -> Settings:
        found = self.load(f"[pxe]\nservices = proxydhcp\n[service:proxydhcp]\n{lines}\n")
        settings = found.of_kind("service")[0].settings
        assert isinstance(settings, Settings)
        return settings

    def test_offers(self) -> None:
        """One, several, per firmware, and auto."""
        full, redirect = Variant.FULL, Variant.REDIRECT
        for lines, expected in {
            "": {},
            "offer = auto": {"": ()},
            "offer = full": {"": (full,)},
            "offer = redirect, full\noffer.bios = auto": {"": (redirect, full), "bios": ()},
            f"offer.{Firmware.UEFI.value} = full": {"uefi": (full,)},
        }.items():
            self.assertEqual(self.settings(lines).offer, expected)

    def test_mistakes(self) -> None:
        """Named with their line."""
        for lines, problem in {
            "offer = fulll": "expected auto or some of full, redirect, menu, header, got 'fulll'",
            "offer.arm = full": "'arm' is no firmware that takes several (known: bios, uefi, ipxe",
        }.items():
            with self.assertRaises(Exception) as caught:
                self.settings(lines)
            self.assertIn(problem, str(caught.exception))
