"""The same question once more, to the whole product: what was found out for it before is used
again, and not for longer than it is true.
"""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address as TcpAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot import neighbours
from pxetwist.config.assemble import assemble
from pxetwist.config.load import load
from pxetwist.content.loader_texts import LoaderTexts
from pxetwist.content.rendered import RenderedStore
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.lease import Network
from pxetwist.model.machine import Machine
from pxetwist.model.order import Order
from pxetwist.model.report import MachineReport
from pxetwist.services.http.connection import ContentChannel
from pxetwist.state import discovered, orders
from pxetwist.testing import FakeObserver, result_of
from pxetwist.testing.contracts import ThreadClock
from tests.unit.services.http.test_service import CLIENT, OURS, THEIRS, Connection

MAC, OTHER = "52:54:00:12:34:56", "52:54:00:00:00:01"
ROW = f"name,mac,room\n{{name}},{MAC},{{room}}\n"
INI = """
[pxe]
services = http
hosts = approved, rack
policies = {policies}
content = {content}
state = memory
observers =
[service:http]
[hosts:rack]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules =
    time=00:00-12:00 room=a -> morning
    room=a -> debian
    room=b -> mine
    room=c -> image
    room=d -> menu
    unknown -> local
{sections}
[content:scripts]
plugin = rendered
{templates}
[content:files]
plugin = directory
root = files
[profile:debian]
kind = linux
kernel = vmlinuz
arguments = host={{{{ who }}}}
[profile:morning]
kind = linux
kernel = other
[profile:mine]
kind = linux
kernel = vmlinuz
arguments = {mine}
[profile:image]
kind = linux
kernel = images/lab/current/vmlinuz
[profile:menu]
kind = menu
entries = local, debian
default = local
[profile:local]
kind = local
"""


class Case(SynchronousTestCase):
    """A server with one machine in its directory, which is a neighbour at `CLIENT`."""

    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.clock.advance(1_700_000_000)  # in the evening, UTC
        self.mac, self.ours = MAC, OURS
        self.patch(neighbours, "neighbour_mac", lambda *_, **__: self.mac)
        self.rendered = 0
        render = LoaderTexts.render

        def counted(texts: LoaderTexts, *args: Any) -> str:
            self.rendered += 1
            return render(texts, *args)

        self.patch(LoaderTexts, "render", counted)

    def start(
        self,
        policies: str = "main",
        templates: str = "",
        mine: str = "quiet",
        content: str = "scripts, files",
    ) -> None:
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "files").mkdir(parents=True)
        (self.folder / "hosts.csv").write_text(ROW.format(name="ws1", room="a"))
        ini = self.folder / "pxe.ini"
        sections = "[policy:orders]" if "orders" in policies else ""
        names = {"policies": policies, "sections": sections, "templates": templates}
        names["content"] = content
        ini.write_text(INI.format(mine=mine, **names))
        self.assembly = assemble(load(ini), self.clock)
        self.boot = self.assembly.boot
        self.watching = FakeObserver()
        self.boot.attend(self.watching)
        for kind in ("hosts", "policy"):
            for _, each in self.assembly.of_kind(kind):
                if hasattr(each, "startService"):
                    each.startService()
                    self.addCleanup(self.stop, each)
        [(_, self.service)] = self.assembly.of_kind("service")

    def stop(self, service: Any) -> None:
        stopped = service.stopService()
        if stopped is not None:
            self.clock.run_until(lambda: stopped.called)

    def edit(self, name: str = "ws1", room: str = "a") -> None:
        """Let the directory know the machine otherwise, and read it."""
        (self.folder / "hosts.csv").write_text(ROW.format(name=name, room=room))
        [_, (_, rack)] = self.assembly.of_kind("hosts")
        rack.reload()

    def get(
        self,
        target: str = "/boot.ipxe",
        *headers: str,
        method: str = "GET",
        peer: IAddress = THEIRS,
    ) -> str:
        """Return the answer, also if that takes a thread."""
        lines = (f"{method} {target} HTTP/1.1", "Host: h", *headers)
        connection = Connection(self.service.factory, self.ours, peer)
        connection.ask("\r\n".join(lines) + "\r\n\r\n")
        transport = connection.transport
        self.clock.run_until(lambda: bool(transport.value()))
        return str(transport.value(), "latin-1")

    def profile(self, target: str = "/boot.ipxe") -> str:
        """Return which profile is given."""
        return self.get(target).partition(": profile ")[2].split()[0]


class DecisionTests(Case):
    def test_a_decision_is_made_once_and_a_text_made_once(self) -> None:
        self.start()
        self.get()  # which waits until all is read
        before = self.get()
        self.assertIn("host=ws1", before)
        asked = self.asked
        self.assertEqual(self.get(), before)
        self.assertEqual(self.asked, asked)
        self.assertEqual(self.rendered, 1)
        kinds = [event.kind for event in self.watching.events]
        self.assertEqual(kinds, [EventKind.ENDED] * 3)
        self.assertEqual({event.machine for event in self.watching.events}, {"ws1"})
        self.assertEqual(self.service.counts()["200"], 3)

    @property
    def asked(self) -> int:
        """How often the policy was."""
        return self.boot.resolver.health()["policy main"].counters["asked"]

    def test_the_directory_was_edited(self) -> None:
        self.start()
        self.assertEqual(self.profile(), "debian")
        self.edit(room="b")
        self.assertEqual(self.profile(), "mine")

    def test_another_name_for_the_same_plan(self) -> None:
        self.start()
        self.get()
        self.edit(name="ws2")
        self.assertIn("host=ws2", self.get())

    def test_the_time_of_a_rule_has_come(self) -> None:
        self.start()
        self.assertEqual(self.profile(), "debian")
        self.clock.advance(8 * 3600)
        self.assertEqual(self.profile(), "morning")

    def test_another_machine_at_that_address(self) -> None:
        self.start()
        self.assertEqual(self.profile(), "debian")
        self.mac = OTHER
        self.clock.advance(2)  # so long the kernel's word is taken
        self.assertEqual(self.profile(), "local")

    def test_a_machine_that_dhcp_has_seen(self) -> None:
        self.start()
        self.assertEqual(self.profile(), "debian")
        identity = ClientIdentity(mac=OTHER, firmware=Firmware.IPXE)
        now = self.clock.seconds()
        self.boot.see(identity, BootStage.LOADER, now)
        self.boot.locate(IPv4Address(CLIENT), identity, now)
        self.assertEqual(self.profile(), "local")

    def test_a_running_boot_keeps_its_plan(self) -> None:
        self.start()
        identity = ClientIdentity(mac=MAC, firmware=Firmware.IPXE)
        now = self.clock.seconds()
        self.boot.see(identity, BootStage.LOADER, now)
        self.boot.locate(IPv4Address(CLIENT), identity, now)
        self.assertEqual(self.profile(), "debian")
        self.edit(room="b")
        self.assertEqual(self.profile(), "debian")
        self.boot.reload()
        self.assertEqual(self.profile(), "mine")

    def test_orders(self) -> None:
        self.start("orders, main")
        self.assertEqual([self.profile(), self.profile()], ["debian", "debian"])
        [(_, policy), _] = self.assembly.of_kind("policy")
        session = policy.store.pool.database.connect(orders.SCHEMA, change=True)
        session.run(partial(orders.add, Order("ws1", "local")), change=True)
        session.close()
        self.clock.advance(2)  # the database is looked at once a second
        self.assertEqual([self.profile(), self.profile()], ["local", "local"])
        now = self.clock.seconds()
        done = MachineReport("callback", ClientIdentity(mac=MAC), "", now, "done")
        heard = Deferred.fromCoroutine(self.boot.hear(done))
        self.clock.run_until(lambda: heard.called)
        self.assertEqual([self.profile(), self.profile()], ["debian", "debian"])
        states = [e.details["state"] for e in self.watching.events if e.kind is EventKind.ORDER]
        self.assertEqual(states, ["taken", "done"])

    def test_approved(self) -> None:
        self.mac = OTHER
        self.start()
        self.assertEqual([self.profile(), self.profile()], ["local", "local"])
        session = discovered.database_in(self.assembly.configuration.state_folder).connect(
            discovered.SCHEMA, change=True
        )
        assert session is not None
        report = MachineReport("discover", ClientIdentity(mac=OTHER), "1a2b", 1.0)
        session.run(partial(discovered.note, report, 100), change=True)
        session.run(partial(discovered.approve, OTHER, "new", {"room": "b"}), change=True)
        session.close()
        self.clock.advance(2)
        self.assertEqual(self.profile(), "mine")


class TextTests(Case):
    def script(self, target: str = "/boot.ipxe", *headers: str) -> str:
        return self.get(target, *headers).partition("\r\n\r\n")[2]

    def test_what_is_of_this_moment(self) -> None:
        for text in (
            "{{ callback }}",
            "{{ report_url('callback') }}",
            "{{ ftp_url('x') }}",
            "{{ range(99) | random }}",
            "{{ lipsum(1) }}",
        ):
            self.start(mine=text)
            self.edit(room="b")
            self.rendered = 0
            self.script()
            self.clock.advance(1)
            self.script()
            self.assertEqual(self.rendered, 2, text)

    def test_a_template_of_the_site_is_edited(self) -> None:
        templates = Path(self.mktemp()).absolute()
        templates.mkdir()
        (templates / "boot.ipxe.j2").write_text("one")
        self.start(templates=f"templates = {templates}")
        self.assertEqual(self.script(), "one\n")
        (templates / "boot.ipxe.j2").write_text("another")
        self.assertEqual(self.script(), "another\n")

    def test_other_loaders_have_other_texts(self) -> None:
        self.start()
        self.assertTrue(self.script().startswith("#!ipxe"))
        self.assertNotIn("#!ipxe", self.script("/grub/grub.cfg"))
        self.assertTrue(self.script().startswith("#!ipxe"))

    def test_the_way_that_a_loader_came(self) -> None:
        self.start()
        identity = ClientIdentity(mac=MAC, address=IPv4Address(CLIENT))
        self.script("/grub/grub.cfg")
        texts = []
        for protocol in (Protocol.TFTP, Protocol.HTTP):
            asked = BootRequest(
                identity, BootStage.LOADER, protocol, endpoints=Endpoints("10.0.0.1")
            )
            texts.append(Deferred.fromCoroutine(self.read("grub/grub.cfg", asked)))
            self.clock.run_until(lambda: texts[-1].called)
        first, second = map(self.successResultOf, texts)
        self.assertIn(b"(tftp,", first)
        self.assertIn(b"(http,", second)

    async def read(self, name: str, request: BootRequest) -> bytes:
        """Ask as a service does."""
        path = ContentPath.parse(name)
        content = await self.boot.open(path, (await self.boot.resolve(request)).request)
        data: bytes = await content.read(0, content.info.size)
        return data

    def test_an_ipxe_that_loads_itself_is_stopped(self) -> None:
        self.start()
        self.assertEqual(self.profile(), "debian")
        self.patch(type(self.boot), "looping", lambda *_: True)
        self.assertNotIn("kernel", self.script())

    def test_the_address_that_was_asked(self) -> None:
        self.start()
        self.assertIn("http://10.0.0.1/vmlinuz", self.script())
        self.ours = TcpAddress("TCP", "10.0.0.2", 80)
        self.assertIn("http://10.0.0.2/vmlinuz", self.script())

    def test_a_token_is_over(self) -> None:
        self.start()
        now = self.clock.seconds()
        request = BootRequest(
            ClientIdentity(mac=MAC),
            BootStage.LOADER,
            Protocol.HTTP,
            endpoints=Endpoints("10.0.0.1"),
        )
        token = self.boot.tokens.issue(request.identity, "", now)
        target = f"/boot/{token}/boot.ipxe"
        self.assertEqual([self.profile(target), self.profile(target)], ["debian", "debian"])
        self.clock.advance(3602)
        self.assertIn(" 404 ", self.get(target))

    def test_its_etag(self) -> None:
        self.start()
        tag = self.get().partition("ETag: ")[2].split("\r\n")[0]
        self.assertIn(" 304 ", self.get("/boot.ipxe", f"If-None-Match: {tag}"))
        self.assertIn(" 206 ", self.get("/boot.ipxe", "Range: bytes=0-3"))
        self.edit(room="b")
        self.assertIn(" 200 ", self.get("/boot.ipxe", f"If-None-Match: {tag}"))
        self.assertIn(" 200 ", self.get())


class StandingTests(Case):
    """What was opened once for a peer is given again, by an answer of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.opened = 0
        opening = RenderedStore.open

        async def counted(store: RenderedStore, *args: Any) -> Any:
            self.opened += 1
            return await opening(store, *args)

        self.patch(RenderedStore, "open", counted)

    @property
    def standing(self) -> int:
        """How many texts stand."""
        return len(self.service.factory.standing)

    def test_a_text_is_opened_once_and_told_each_time(self) -> None:
        self.start()
        self.sighted()
        first = self.get()
        self.watching.events.clear()
        opened = self.opened
        self.clock.advance(3)
        third = [self.get(), self.get()][1]
        self.assertEqual(self.opened, opened)
        self.assertEqual(third.partition("\r\n\r\n")[2], first.partition("\r\n\r\n")[2])
        self.assertNotEqual(third, first)  # it has a date of its own
        size = len(third.partition("\r\n\r\n")[2])
        told = [(each.kind, each.machine, each.details["bytes"]) for each in self.watching.events]
        self.assertEqual(told, [(EventKind.ENDED, "ws1", size)] * 2)
        self.assertEqual(self.service.counts()["200"], 3)

    def test_the_boot_that_it_is_told_of(self) -> None:
        """The next boot has another id, be its plan the same."""
        self.start()
        self.sighted()
        self.get()
        known = self.boot.sightings.get(MAC, self.clock.seconds())
        assert known is not None
        self.clock.advance(400)
        self.sighted()
        present = self.boot.sightings.get(MAC, self.clock.seconds())
        assert present is not None
        self.boot.sightings.amend(present, machine=known.machine, plan=known.plan)
        self.assertNotEqual(present.boot_id, known.boot_id)
        self.get()
        self.assertEqual(self.watching.events[-1].boot_id, present.boot_id)

    def test_what_else_is_known_of_the_boot(self) -> None:
        self.start()
        self.sighted()
        self.get()
        self.assertEqual(self.opens(), 0)
        known = self.boot.sightings.get(MAC, self.clock.seconds())
        assert known is not None
        self.boot.sightings.amend(known, machine=Machine("ws2", (MAC,)))
        self.assertIn("host=ws2", self.get())
        self.boot.sightings.amend(known, certificate="of another")
        self.assertIn("host=ws1", self.get())

    def test_conditions_and_parts(self) -> None:
        self.start()
        tag = self.get().partition("ETag: ")[2].split("\r\n")[0]
        for _ in range(2):
            self.assertIn(" 304 ", self.get("/boot.ipxe", f"If-None-Match: {tag}"))
            self.assertTrue(self.get("/boot.ipxe", "Range: bytes=0-3").endswith("\r\n\r\n#!ip"))
            looked = self.get(method="HEAD")
            self.assertIn("Content-Length: ", looked)
            self.assertTrue(looked.endswith("\r\n\r\n"))
            self.assertIn(" 405 ", self.get(method="PUT"))
            self.assertIn("#!ipxe", self.get())

    def test_the_end_of_the_connection(self) -> None:
        self.start()
        connection = Connection(self.service.factory)
        raw = "GET /boot.ipxe HTTP/1.1\r\nHost: h\r\n{}\r\n"
        self.get()
        for _ in range(2):
            self.assertNotIn("Connection: close", connection.ask(raw.format("")))
        self.assertEqual(connection.ask(raw.format("") * 3).count(" 200 OK"), 3)
        for _ in range(2):
            answer = Connection(self.service.factory).ask(raw.format("Connection: close\r\n"))
            self.assertIn("Connection: close", answer)
        self.assertFalse(connection.transport.disconnecting)

    def test_each_peer_has_its_own(self) -> None:
        self.start()
        macs = {CLIENT: MAC, "10.0.0.51": OTHER}
        self.patch(neighbours, "neighbour_mac", lambda peer, **_: macs[str(peer)])
        other = TcpAddress("TCP", "10.0.0.51", 40000)
        for _ in range(3):
            self.assertEqual(self.profile(), "debian")
            self.assertIn(": profile local", self.get(peer=other))

    def test_a_lease(self) -> None:
        """Whose an address is says the lease before the kernel, and says it at once."""
        self.start()
        self.assertEqual([self.profile(), self.profile()], ["debian", "debian"])
        now, address = self.clock.seconds(), IPv4Address(CLIENT)
        network = Network("lab", IPv4Network("10.0.0.0/24"))
        stranger = ClientIdentity(mac=OTHER)
        lease = result_of(self.boot.leases.offer(stranger, network, None, address, (), now))
        result_of(self.boot.leases.commit(lease, now))
        self.assertEqual([self.profile(), self.profile()], ["local", "local"])
        result_of(self.boot.leases.release(address, stranger, now))
        self.assertEqual(self.profile(), "debian")

    def sighted(self) -> None:
        """Let DHCP have seen the machine."""
        identity, now = ClientIdentity(mac=MAC, firmware=Firmware.IPXE), self.clock.seconds()
        self.boot.see(identity, BootStage.LOADER, now)
        self.boot.locate(IPv4Address(CLIENT), identity, now)

    def opens(self) -> int:
        """Ask once more; return how often it is opened for that."""
        before = self.opened
        self.get()
        return self.opened - before

    def test_a_menu_shows_what_is_there(self) -> None:
        self.start()
        self.edit(room="d")
        kernel = self.folder / "files" / "vmlinuz"
        kernel.write_text("linux")
        self.assertIn("item debian", [self.get(), self.get()][1])
        kernel.unlink()
        self.assertNotIn("item debian", [self.get(), self.get()][1])
        kernel.write_text("linux")
        self.assertIn("item debian", self.get())

    def test_an_order_is_taken_each_time(self) -> None:
        """It counts how often it was given, and may be over."""
        self.start("orders, main")
        self.sighted()
        self.get()
        self.assertEqual([self.opens(), self.opens()], [0, 0])
        [(_, policy), _] = self.assembly.of_kind("policy")
        session = policy.store.pool.database.connect(orders.SCHEMA, change=True)
        session.run(partial(orders.add, Order("ws1", "local")), change=True)
        session.close()
        self.boot.reload()
        self.clock.advance(2)
        self.assertEqual(self.profile(), "local")
        self.assertEqual([self.opens(), self.opens()], [1, 1])

    def test_an_ipxe_that_loads_itself(self) -> None:
        self.start()
        self.sighted()
        self.get()
        self.assertEqual(self.opens(), 0)
        sighting = self.boot.sightings.get(MAC, self.clock.seconds())
        assert sighting is not None
        self.boot.sightings.amend(sighting, handed=9)
        self.assertEqual([self.opens(), self.opens()], [1, 1])
        self.assertNotIn("kernel", self.get())

    def test_a_loader_that_is_tried_is_seen_to_go_on(self) -> None:
        self.start()
        self.sighted()
        self.get()
        self.assertEqual(self.opens(), 0)
        self.boot._trials.pick(MAC, ["one.efi", "other.efi"])
        self.get("/one.efi")
        self.assertTrue(self.boot._trials.undecided(MAC))
        self.get()
        self.assertFalse(self.boot._trials.undecided(MAC))

    def test_a_certificate(self) -> None:
        """What was opened for who showed one is not given to who shows another, or none."""
        self.start()
        self.sighted()
        self.patch(ContentChannel, "certificate", "ws1")
        self.get()
        self.assertEqual(self.opens(), 0)
        for shown in ("ws2", ""):
            self.patch(ContentChannel, "certificate", shown)
            self.assertEqual(self.opens(), 1, shown)

    def test_a_store_before_it(self) -> None:
        self.start(content="files, scripts")
        self.assertEqual([self.profile(), self.profile()], ["debian", "debian"])
        (self.folder / "files" / "boot.ipxe").write_text("#!ipxe\n: profile own\n")
        self.assertEqual(self.profile(), "own")

    def test_an_image_becomes_current(self) -> None:
        self.start()
        self.edit(room="c")
        self.assertIn("images/lab/current/vmlinuz", [self.get(), self.get()][1])
        image = self.assembly.configuration.state_folder / "images" / "lab"
        image.mkdir(parents=True)
        (image / "current").symlink_to("7")
        self.assertIn("images/lab/7/vmlinuz", self.get())

    def test_what_has_a_token_or_a_login(self) -> None:
        self.start()
        now = self.clock.seconds()
        token = self.boot.tokens.issue(ClientIdentity(mac=MAC), "", now)
        self.get(f"/boot/{token}/boot.ipxe")
        self.get(f"/boot.ipxe?mac={MAC}")
        self.get("/boot.ipxe", "Authorization: Basic YW5uOnNlY3JldA==")
        self.get("/boot.ipxe", f"X-Long: {'x' * 600}")
        self.assertEqual(self.standing, 0)
        self.get()
        self.assertEqual(self.standing, 1)

    def test_bounds(self) -> None:
        self.start()
        for number in range(3000):
            self.get(peer=TcpAddress("TCP", f"10.0.{number >> 8}.{number & 255}", 40000))
        self.assertLessEqual(self.standing, 2048)


class FileTests(Case):
    def test_a_small_file_changes(self) -> None:
        self.start()
        file = self.folder / "files" / "a.txt"
        file.write_text("one")
        self.assertTrue(self.get("/a.txt").endswith("\r\n\r\none"))
        file.write_text("another")
        answer = self.get("/a.txt")
        self.assertIn("Content-Length: 7\r\n", answer)
        self.assertTrue(answer.endswith("another"))
        file.unlink()
        self.assertIn(" 404 ", self.get("/a.txt"))
