"""The HTTP service over a transport in memory."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import attrs
from twisted.internet.address import IPv4Address as TcpAddress
from twisted.internet.address import IPv6Address as IPv6
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.errors import (
    ContentDenied,
    ContentIncomplete,
    LoginNeeded,
    PolicyError,
)
from pxetwist.interfaces import IBootService, IContent
from pxetwist.model.boot import BootRequest, Login
from pxetwist.model.content import ContentInfo
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.services.http.admission import HttpAdmission
from pxetwist.services.http.service import ContentFactory, HttpService, Settings
from pxetwist.testing import FakeBoot, MemoryContent, MemoryStore, make_site
from pxetwist.wire.iana import Architecture

CLIENT = "10.0.0.50"
TOKEN = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456-_"


OURS, THEIRS = TcpAddress("TCP", "10.0.0.1", 80), TcpAddress("TCP", CLIENT, 40000)


class Connection:
    """A client's connection: `ask` sends, and returns what was answered since."""

    def __init__(
        self, factory: ContentFactory, ours: IAddress = OURS, theirs: IAddress = THEIRS
    ) -> None:
        self.transport = StringTransport(hostAddress=ours, peerAddress=theirs)
        self.channel: Any = factory.buildProtocol(theirs)
        assert self.channel is not None
        self.channel.makeConnection(self.transport)

    def ask(self, raw: str) -> str:
        assert self.channel is not None
        self.transport.clear()
        self.channel.dataReceived(raw.encode("latin-1"))
        return str(self.transport.value(), "latin-1")

    def lose(self) -> None:
        assert self.channel is not None
        self.channel.connectionLost(Failure(ConnectionDone()))


class ServiceCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.files: dict[str, bytes | IContent | Exception] = {"boot/nbp.efi": b"0123456789"}
        self.store = MemoryStore(self.files)
        self.boot = FakeBoot([self.store])
        self.service = HttpService(Settings(), make_site(self.boot, reactor=self.clock))
        self.connection = Connection(self.service.factory)

    def get(self, target: str, *headers: str, method: str = "GET") -> str:
        lines = (f"{method} {target} HTTP/1.1", "Host: h", *headers)
        return self.connection.ask("\r\n".join(lines) + "\r\n\r\n")

    def status(self, target: str, *headers: str, method: str = "GET") -> int:
        return int(self.get(target, *headers, method=method).split(" ")[1])

    def body(self, target: str, *headers: str) -> str:
        return self.get(target, *headers).partition("\r\n\r\n")[2]

    @property
    def asked(self) -> BootRequest:
        return self.store.asked[-1]


class AnswerTests(ServiceCase):
    def test_the_answer_to_the_letter(self) -> None:
        info = ContentInfo(3, 1700000000, "t1", "application/efi")
        self.files["x.efi"] = MemoryContent(b"abc", info)
        self.assertEqual(
            self.get("/x.efi"),
            "HTTP/1.1 200 OK\r\n"
            "Content-Length: 3\r\n"
            "Content-Type: application/efi\r\n"
            "Accept-Ranges: bytes\r\n"
            'ETag: "t1"\r\n'
            "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
            "Server: pxetwist\r\n"
            "Date: Thu, 01 Jan 1970 00:16:40 GMT\r\n"
            "\r\n"
            "abc",
        )

    def test_head_is_get_without_the_body(self) -> None:
        whole = self.get("/boot/nbp.efi")
        head = self.get("/boot/nbp.efi", method="HEAD")
        self.assertEqual(head, whole.removesuffix("0123456789"))
        self.assertEqual(self.status("/none", method="HEAD"), 404)
        self.assertEqual(self.get("/none", method="HEAD").partition("\r\n\r\n")[2], "")

    def test_a_connection_serves_many_requests(self) -> None:
        for _ in range(3):
            self.assertEqual(self.body("/boot/nbp.efi"), "0123456789")
        two = "GET /boot/nbp.efi HTTP/1.1\r\nHost: h\r\n\r\n" * 2
        self.assertEqual(self.connection.ask(two).count("0123456789"), 2)
        self.assertFalse(self.connection.transport.disconnecting)

    def test_http_1_0_ends_with_the_answer(self) -> None:
        answer = self.connection.ask("GET /boot/nbp.efi HTTP/1.0\r\n\r\n")
        self.assertIn("\r\nContent-Length: 10\r\n", answer)
        self.assertTrue(self.connection.transport.disconnecting)

    def test_idle_connections_are_closed(self) -> None:
        self.get("/boot/nbp.efi")
        self.clock.advance(61)
        self.assertTrue(self.connection.transport.disconnecting)

    def test_ranges(self) -> None:
        answer = self.get("/boot/nbp.efi", "Range: bytes=2-4")
        self.assertTrue(answer.startswith("HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n"))
        self.assertTrue(answer.endswith("\r\n\r\n234"))
        self.assertEqual(self.status("/boot/nbp.efi", "Range: bytes=20-"), 416)
        several = self.get("/boot/nbp.efi", "Range: bytes=0-1,-2")
        length = int(several.split("Content-Length: ")[1].split("\r\n")[0])
        body = several.partition("\r\n\r\n")[2]
        self.assertEqual(len(body), length)
        self.assertIn("\r\n\r\n01\r\n--", body)
        self.assertIn("\r\n\r\n89\r\n--", body)

    def test_a_large_content_goes_out_as_the_client_takes_it(self) -> None:
        content = MemoryContent(bytes(range(256)) * 4096)
        self.files["large"] = content
        reads: list[Deferred[None]] = []

        def wait() -> Deferred[None]:
            reads.append(Deferred())
            return reads[-1]

        content.wait = wait
        self.get("/large")
        channel = self.connection.channel
        assert channel is not None
        reads[-1].callback(None)
        self.assertEqual(len(reads), 2)
        channel.pauseProducing()  # the transport's buffer is full
        reads[-1].callback(None)
        self.assertEqual(len(reads), 2)
        channel.resumeProducing()
        self.assertEqual(len(reads), 3)
        reads[-1].callback(None)
        reads[-1].callback(None)
        body = self.connection.transport.value().partition(b"\r\n\r\n")[2]
        self.assertEqual(body, content.data)
        self.assertTrue(content.closed)

    def test_an_empty_file(self) -> None:
        self.files["empty"] = b""
        self.assertIn("\r\nContent-Length: 0\r\n", self.get("/empty"))
        self.assertEqual(self.body("/boot/nbp.efi"), "0123456789")


class AdmissionTests(ServiceCase):
    """One large file at a time."""

    IPXE = "User-Agent: iPXE/1.21.1"

    def setUp(self) -> None:
        super().setUp()
        settings = Settings(downloads_at_once=1)
        self.service = HttpService(settings, make_site(self.boot, reactor=self.clock))
        self.files["kernel"] = b"k" * 300_000
        self.files["small"] = b"s"

    def client(self, address: str) -> Connection:
        theirs = TcpAddress("TCP", address, 40000)
        return Connection(self.service.factory, theirs=theirs)

    def asks(self, client: Connection, *headers: str, path: str = "/kernel") -> str:
        lines = (f"GET {path} HTTP/1.1", "Host: h", *(headers or (self.IPXE,)))
        return client.ask("\r\n".join(lines) + "\r\n\r\n")

    def test_ipxe_waits_for_its_turn(self) -> None:
        admission = self.service.factory.admission
        self.assertEqual(admission.enter("10.0.0.1", 1000.0), 0)
        second, third = self.client("10.0.0.2"), self.client("10.0.0.3")
        for client in (second, third):
            answer = self.asks(client)
            self.assertIn("503 Service Unavailable", answer)
            self.assertIn("Retry-After: 1\r\n", answer)
        self.assertIn(" 200 OK", self.asks(second, "User-Agent: UefiHttpBoot/1.0"))
        self.assertIn(" 200 OK", self.asks(second, path="/small"))
        admission.leave("10.0.0.1")
        self.assertIn(" 503 ", self.asks(third))  # the second was there before it
        self.assertIn(" 200 OK", self.asks(second))
        self.assertIn(" 200 OK", self.asks(third))
        self.assertEqual(admission.sending, 0)
        self.assertEqual(self.service.counts()["503"], 3)

    def test_one_client_cannot_have_all_turns(self) -> None:
        admission = HttpAdmission(8)
        self.assertEqual([admission.enter("10.0.0.1", 1000.0) for _ in range(4)], [0, 0, 1, 1])
        self.assertEqual([admission.enter("10.0.0.2", 1000.0) for _ in range(2)], [0, 0])
        admission.leave("10.0.0.1")
        self.assertEqual(admission.enter("10.0.0.1", 1000.0), 0)

    def test_pieces_of_a_disk_do_not_wait(self) -> None:
        """sanboot reads an image in hundreds of them, one after the other."""
        self.service.factory.admission.enter("10.0.0.1", 1000.0)
        reader = self.client("10.0.0.2")
        self.assertIn(" 206 ", self.asks(reader, self.IPXE, "Range: bytes=0-2047"))
        self.assertIn(" 503 ", self.asks(reader, self.IPXE, "Range: bytes=0-299999"))

    def test_who_does_not_come_again_loses_its_place(self) -> None:
        admission = self.service.factory.admission
        admission.enter("10.0.0.1", 1000.0)
        self.assertEqual(admission.enter("10.0.0.2", 1000.0), 1)
        admission.leave("10.0.0.1")
        self.assertEqual(admission.enter("10.0.0.3", 1001.0), 1)
        self.assertEqual(admission.enter("10.0.0.3", 1031.0), 0)


class TargetTests(ServiceCase):
    def test_spellings(self) -> None:
        for target in (
            "/boot//nbp.efi",
            "//boot/nbp.efi",
            "/boot/nbp%2eefi",
            "/boot%2Fnbp.efi",
            "/./boot/nbp.efi?x=/../..",
            "/boot\\nbp.efi",
            "http://server/boot/nbp.efi",
        ):
            self.assertEqual(self.body(target), "0123456789", target)

    def test_names_with_other_letters(self) -> None:
        self.files["größe 1"] = b"x"
        self.assertEqual(self.body("/gr%C3%B6%C3%9Fe%201"), "x")

    def test_what_is_missing_denied_or_outside_looks_the_same(self) -> None:
        self.files["secret"] = ContentDenied("not for you: /srv/secret")
        answers = {
            self.get(target)
            for target in (
                "/none",
                "/secret",
                "/",
                "/../etc/passwd",
                "/a/../../etc/passwd",
                "/%2e%2e/etc/passwd",
                "/..%2fetc/passwd",
                "/..%5cetc",
                f"/boot/{TOKEN}/boot/nbp.efi",
            )
        }
        self.assertEqual(len(answers), 1)
        (answer,) = answers
        self.assertTrue(answer.startswith("HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n"))
        self.assertTrue(answer.endswith("\r\n\r\nNot found\n"))

    def test_a_wrong_template_is_told_without_a_traceback(self) -> None:
        self.files["script"] = PolicyError("template boot.ipxe.j2: 'romm' is undefined")
        self.assertTrue(self.get("/script").startswith("HTTP/1.1 500 "))
        self.assertIn("'romm' is undefined", self.boot.events[-1].summary)

    def test_a_login_is_asked_for_and_passed_on(self) -> None:
        """RFC 7617: the challenge, and what the client makes of it."""
        self.files["locked"] = LoginNeeded("no login")
        answer = self.get("/locked")
        self.assertTrue(answer.startswith("HTTP/1.1 401 Unauthorized\r\n"))
        self.assertIn('WWW-Authenticate: Basic realm="boot menu"\r\n', answer)
        self.get("/locked", "Authorization: Basic YW5uYTpzM2NyZXQ=")
        self.assertEqual(self.asked.login, Login("anna", "s3cret"))

    def test_malformed(self) -> None:
        for target in ("boot/nbp.efi", "*", "/%", "/%zz", "/a%00b", "/%4"):
            self.assertEqual(self.status(target), 400, target)

    def test_methods(self) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "get"):
            connection = Connection(self.service.factory)
            answer = connection.ask(
                f"{method} /boot/nbp.efi HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
            )
            self.assertTrue(answer.startswith("HTTP/1.1 405 Method Not Allowed\r\n"), method)
            self.assertIn("\r\nAllow: GET, HEAD\r\n", answer)

    def test_trouble_is_told_without_details(self) -> None:
        self.files["nbp"] = RuntimeError("a bug at /srv/secret")
        answer = self.get("/nbp")
        self.assertTrue(answer.startswith("HTTP/1.1 500 Internal Server Error\r\n"))
        self.assertTrue(answer.endswith("\r\n\r\nInternal trouble\n"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class IdentityTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.identity = ClientIdentity(mac="52:54:00:00:00:01")
        self.boot.identities[CLIENT] = (self.identity, "aa")
        self.boot.tokens[TOKEN] = (ClientIdentity(mac="52:54:00:00:00:02"), "bb")

    def test_by_address(self) -> None:
        self.get("/boot/nbp.efi")
        self.assertEqual((self.asked.identity.mac, self.asked.boot_id), (self.identity.mac, "aa"))
        self.assertEqual(self.asked.identity.address, IPv4Address(CLIENT))
        self.assertEqual(self.asked.endpoints.address, "10.0.0.1")

    def test_by_address_of_ipv6(self) -> None:
        """Links to what it may ask next lead to the address that it asked."""
        self.boot.identities["fd77::50"] = (self.identity, "aa")
        ours, theirs = IPv6("TCP", "fd77::1", 80), IPv6("TCP", "fd77::50", 40000)
        self.connection = Connection(self.service.factory, ours, theirs)
        self.assertEqual(self.status("/boot/nbp.efi"), 200)
        self.assertEqual((self.asked.identity.mac, self.asked.boot_id), (self.identity.mac, "aa"))
        self.assertEqual(self.asked.identity.address, IPv6Address("fd77::50"))
        self.assertEqual(self.asked.endpoints.http, "http://[fd77::1]")

    def test_by_link_local_address(self) -> None:
        """The interface is told by its number; in URLs it would mean nothing to the client."""
        self.boot.identities["fe80::50%2"] = (self.identity, "aa")
        ours = IPv6("TCP", "fe80::1%eth0", 80, 0, 2)
        theirs = IPv6("TCP", "fe80::50%eth0", 40000, 0, 2)
        self.connection = Connection(self.service.factory, ours, theirs)
        self.assertEqual(self.status("/boot/nbp.efi"), 200)
        self.assertEqual(self.asked.boot_id, "aa")
        self.assertEqual(self.asked.endpoints.http, "http://[fe80::1]")

    def test_by_token(self) -> None:
        self.assertEqual(self.body(f"/boot/{TOKEN}/boot/nbp.efi"), "0123456789")
        self.assertEqual(self.asked.identity.mac, "52:54:00:00:00:02")
        self.assertEqual(self.asked.boot_id, "bb")
        self.assertEqual(self.asked.identity.address, IPv4Address(CLIENT))
        self.assertEqual(str(self.asked.wanted), "boot/nbp.efi")

    def test_by_query(self) -> None:
        """A machine that is known by nothing else, as one behind a router, says who it is."""
        del self.boot.identities[CLIENT]
        uuid = "6c5a3c9e-0000-4000-8000-000000000001"
        self.get(f"/boot/nbp.efi?mac=52-54-00-00-00-03&uuid={uuid}&arch=x64")
        identity = self.asked.identity
        self.assertEqual(identity.mac, "52:54:00:00:00:03")
        self.assertEqual(identity.uuid, UUID(uuid))
        self.assertEqual(identity.architecture, Architecture.X64_UEFI)
        self.assertEqual(self.asked.boot_id, "")

    def test_nobody_is_given_the_answer_of_another_machine(self) -> None:
        self.get("/boot/nbp.efi?mac=52:54:00:00:00:03&arch=x64&serial=S1")
        self.assertEqual(
            self.asked.identity, attrs.evolve(self.identity, address=IPv4Address(CLIENT))
        )

    def test_a_query_that_agrees_keeps_the_boot(self) -> None:
        self.get("/boot/nbp.efi?mac=52:54:00:00:00:01&arch=0")
        self.assertEqual(self.asked.boot_id, "aa")
        self.assertEqual(self.asked.identity.architecture, Architecture.X86_BIOS)

    def test_nonsense_in_the_query_is_passed_over(self) -> None:
        for query in (
            "mac=${net0/mac}",
            "uuid=x",
            "arch=none",
            "mac",
            "=",
            "mac=%zz",
            "arch=65536",
        ):
            self.get(f"/boot/nbp.efi?{query}")
            self.assertEqual(self.asked.identity.mac, self.identity.mac, query)
            self.assertEqual(self.asked.identity.architecture, self.identity.architecture, query)

    def marks(self, query: str) -> tuple[str, str]:
        """Ask with a query; return serial and asset tag, as the boot was told."""
        self.assertEqual(self.body(f"/boot/nbp.efi?{query}"), "0123456789")
        return self.asked.identity.serial, self.asked.identity.asset

    def test_marks_add_to_what_is_known(self) -> None:
        """Serial and asset tag, as iPXE writes them into its URL."""
        self.assertEqual(self.marks("serial=PF%200X+%26&asset="), ("PF 0X+&", ""))
        self.assertEqual(self.marks("serial.hex=50462026&asset.hex="), ("PF &", ""))
        self.assertEqual(self.marks("serial.hex=xx&asset.hex=ff"), ("", ""))
        self.assertEqual(self.asked.identity.mac, self.identity.mac)
        self.get(f"/boot/{TOKEN}/boot/nbp.efi?serial=PF0&asset=4711")
        identity = self.asked.identity
        self.assertEqual(
            (identity.mac, identity.serial, identity.asset), ("52:54:00:00:00:02", "PF0", "4711")
        )

    def test_marks_alone(self) -> None:
        del self.boot.identities[CLIENT]
        self.assertEqual(self.marks("serial=PF0&asset=4711"), ("PF0", "4711"))

    def test_hearsay(self) -> None:
        """Nobody can give another machine a serial, and so its plan."""
        del self.boot.identities[CLIENT]
        self.assertEqual(self.marks("mac=52:54:00:00:00:03&serial=PF0&asset=4711"), ("", ""))
        self.assertEqual(self.asked.identity.mac, "52:54:00:00:00:03")

    def test_marks_of_nobody(self) -> None:
        for serial in ("", "%20", "Default%20string", "To Be Filled By O.E.M.", "a%0Ab", "0"):
            quoted = serial.replace(" ", "%20")
            self.assertEqual(self.marks(f"serial={quoted}&asset=No%20Asset%20Tag"), ("", ""))

    def test_the_user_agent_tells_the_firmware(self) -> None:
        for agent, firmware in [
            ("iPXE/1.21.1", Firmware.IPXE),
            ("UefiHttpBoot/1.0", Firmware.UEFI_HTTP),
            ("curl/8", Firmware.UNKNOWN),
        ]:
            self.get("/boot/nbp.efi", f"User-Agent: {agent}")
            self.assertIs(self.asked.identity.firmware, firmware)


class EventTests(ServiceCase):
    def test_a_download(self) -> None:
        self.get("/boot/nbp.efi")
        (event,) = self.boot.events
        self.assertEqual((event.kind, event.protocol), (EventKind.ENDED, "http"))
        self.assertEqual(event.summary, "sent boot/nbp.efi, 10 bytes in 0.00 s")
        self.assertFalse(event.details["debug"])

    def test_no_log_has_tokens(self) -> None:
        """Whoever reads it could ask for what is a machine's own."""
        for path, shown in (
            ("/install/win/TOKEN/unattend.xml", "install/win/unattend.xml"),
            ("/install/a/b", "install/a/b"),
            ("/callback/TOKEN/nonsense", "callback/nonsense"),
            ("/discover/TOKEN/x/y", "discover/x/y"),
        ):
            self.assertEqual(self.status(path), 404)
            self.assertEqual(self.boot.events[-1].summary, f"no such file: {shown}")
            self.assertEqual(self.boot.events[-1].details["path"], shown)

    def test_scripts_that_are_missing_for_want_of_a_plan(self) -> None:
        self.boot.broken = "policy main failed: machine 'ws1': unknown profile 'debain'"
        self.assertEqual(self.status("/boot.ipxe?mac=52:54:00:00:00:01"), 404)
        said = f"no such file: boot.ipxe; it has no plan: {self.boot.broken}"
        self.assertEqual(self.boot.events[-1].summary, said)

    def test_what_something_would_be_made_from(self) -> None:
        lacking = "no content store has esxi8/boot.cfg, the boot.cfg of the medium"
        self.files["boot.cfg"] = ContentIncomplete(lacking)
        self.assertEqual(self.status("/boot.cfg"), 404)
        self.assertEqual(self.boot.events[-1].summary, f"no such file: boot.cfg; {lacking}")

    def test_what_is_there_and_not_given(self) -> None:
        """A person who sees the file in its folder must not read that there is none."""
        why = "the server may not read it; mend: chmod a+r /srv/tftp/linux"
        self.files["linux"] = ContentDenied(why)
        self.assertEqual(self.status("/linux"), 404)
        self.assertEqual(self.boot.events[-1].summary, f"did not give: linux; {why}")

    def test_what_is_little_news(self) -> None:
        self.get("/boot/nbp.efi", method="HEAD")
        self.assertEqual(self.boot.events, [])
        self.get("/boot/nbp.efi", "Range: bytes=0-1")
        self.get("/autoexec.ipxe")
        self.assertEqual([event.details["debug"] for event in self.boot.events], [True, True])

    def test_a_client_that_leaves(self) -> None:
        content = MemoryContent(b"x" * 100)
        waiting: Deferred[None] = Deferred()
        content.wait = lambda: waiting
        self.files["slow"] = content
        self.get("/slow")
        self.connection.lose()
        self.assertTrue(content.closed)
        (event,) = self.boot.events
        self.assertEqual(event.kind, EventKind.FAILED)
        self.assertIn("stopped sending slow after 0 bytes of 100 bytes", event.summary)

    def test_content_that_is_cut_short(self) -> None:
        self.files["short"] = MemoryContent(b"abc", ContentInfo(10))
        self.get("/short")
        said = "stopped sending short after 0 bytes of 10 bytes: the content was cut short"
        self.assertEqual(self.boot.events[-1].summary, said)
        self.assertTrue(self.connection.transport.disconnected)
        self.assertEqual(self.boot.events[0].kind, EventKind.FAILED)


class LifeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.site = make_site(FakeBoot([MemoryStore({})]), reactor=self.reactor)
        self.bound: list[tuple[str, int]] = []
        self.patch(HttpService, "listen", staticmethod(self.listen))

    def listen(
        self, reactor: Any, accepts: IProtocolFactory, address: str, port: int
    ) -> IListeningPort:
        self.bound.append((address, port))
        taken: IListeningPort = reactor.listenTCP(port, accepts, 50, address)
        return taken

    def test_ports(self) -> None:
        settings = Settings(addresses=(IPv4Address("127.0.0.1"), IPv6Address("::1")))
        service = HttpService(settings, self.site)
        verifyObject(IBootService, service)
        service.privilegedStartService()
        service.startService()
        self.assertEqual(self.bound, [("127.0.0.1", 80), ("::1", 80)])
        self.assertEqual(len(service.listening()), 2)
        self.successResultOf(service.stopService())
        self.assertEqual(service.listening(), [])

    def test_both_families(self) -> None:
        service = HttpService(Settings(port=8080), self.site)
        service.privilegedStartService()
        self.assertEqual(self.bound, [("0.0.0.0", 8080), ("::", 8080)])

    def test_stop_waits_for_running_answers(self) -> None:
        waiting: Deferred[None] = Deferred()
        content = MemoryContent(b"abc", wait=lambda: waiting)
        self.site.boot.stores = [MemoryStore({"slow": content})]
        service = HttpService(Settings(), self.site)
        service.startService()
        idle, busy = Connection(service.factory), Connection(service.factory)
        busy.ask("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        stopped = service.stopService()
        self.assertTrue(idle.transport.disconnecting)
        self.assertFalse(busy.transport.disconnecting)
        idle.lose()
        self.assertNoResult(stopped)
        waiting.callback(None)
        self.assertTrue(busy.transport.disconnecting)
        self.assertTrue(busy.transport.value().endswith(b"abc"))
        busy.lose()
        self.successResultOf(stopped)
