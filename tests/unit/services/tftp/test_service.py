"""The TFTP service on a network in memory."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.config.server import spelled
from pxetwist.content.directory import Directory
from pxetwist.errors import ContentDenied, ContentError, PolicyError
from pxetwist.exchange.tftp import ReadTransfer
from pxetwist.interfaces import IBootService, IContent
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ContentPath
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.services.tftp.service import TftpService
from pxetwist.services.tftp.settings import Settings
from pxetwist.services.tftp.unanswered import MOST
from pxetwist.testing import (
    Datagram,
    FakeBoot,
    Lossy,
    MemoryClient,
    MemoryContent,
    MemoryNetwork,
    MemoryStore,
    make_site,
)
from pxetwist.wire.tftp import (
    Ack,
    Data,
    Error,
    ErrorCode,
    OptionAck,
    Options,
    Packet,
    ReadRequest,
    WriteRequest,
    decode,
    encode,
)

SERVER = ("10.0.0.1", 69)
CLIENT = "10.0.0.50"
ANY4, ANY6 = "udp 0.0.0.0:69", "udp [::]:69"


@attrs.define(eq=False)
class Download:
    """A client that takes a whole file, with the options it is given (RFC 7440)."""

    client: MemoryClient
    window: int = 1
    block_size: int = 512
    received: bytes = b""
    blocks: int = 0
    in_window: int = 0
    ended: bool = False
    error: Error | None = None
    agreed: Options = ()

    def begin(
        self,
        name: bytes,
        options: Options = (),
        mode: str = "octet",
        to: tuple[str, int] = SERVER,
    ) -> None:
        self.client.on_datagram = self.take
        self.client.send(encode(ReadRequest(name, mode, options)), to)

    def take(self, datagram: Datagram) -> None:
        match decode(datagram.data):
            case OptionAck(options):
                self.agreed = options
                values = {name.lower(): int(value) for name, value in options}
                self.window = values.get("windowsize", 1)
                self.block_size = values.get("blksize", 512)
                self.client.send(encode(Ack(0)), datagram.source)
            case Data(block, payload):
                self.take_block(block, payload, datagram)
            case Error() as error:
                self.error = error

    def take_block(self, block: int, payload: bytes, datagram: Datagram) -> None:
        wanted = block == (self.blocks + 1) & 0xFFFF
        if wanted and not self.ended:
            self.blocks += 1
            self.in_window += 1
            self.received += payload
            self.ended = len(payload) < self.block_size
        if not wanted or self.ended or self.in_window == self.window:
            self.in_window = 0
            self.client.send(encode(Ack(self.blocks & 0xFFFF)), datagram.source)


class ShortFile(MemoryContent):
    """A file that has fewer bytes than it is said to have."""

    def __init__(self, path: Path) -> None:
        super().__init__(b"x" * 5000)
        self.path = path

    def fileno(self) -> int | None:
        self.file = self.path.open("rb")
        return self.file.fileno()

    def close(self) -> None:
        self.file.close()


class ServiceCase(SynchronousTestCase):
    files: dict[str, bytes | IContent | Exception]

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.network.clock.advance(1000)
        self.files = {}
        self.store = MemoryStore(self.files)
        self.boot = FakeBoot([self.store])
        self.service = self.start(Settings())

    def start(self, settings: Settings) -> TftpService:
        site = make_site(self.boot, reactor=self.network.clock)
        service = TftpService(settings, site, self.network.socket, self.network.transfers)
        service.privilegedStartService()
        service.startService()
        return service

    def restart(self, settings: Settings) -> None:
        self.service.stopService()
        self.service = self.start(settings)

    def run_for(self, seconds: float) -> None:
        for _ in range(int(seconds * 10) or 1):
            self.network.clock.advance(min(seconds, 0.1))

    def download(
        self, name: bytes, *options: tuple[str, str], mode: str = "octet", port: int = 2000
    ) -> Download:
        made = Download(self.network.client(CLIENT, port))
        made.begin(name, options, mode)
        self.run_for(0)
        return made

    def begin(self, address: str, to: tuple[str, int] = SERVER) -> None:
        """Ask for the NBP from a new port, and take its first block, if it comes."""
        client = self.network.client(address, 5000 + len(self.network.clients))
        client.send(encode(ReadRequest(b"nbp")), to)
        self.run_for(0)
        if client.received:
            client.send(encode(Ack(1)), client.received[0].source)
            self.run_for(0)

    def answers(
        self, packet: Packet | bytes, to: tuple[str, int] = SERVER, sender: str = CLIENT
    ) -> list[Packet]:
        """Send one packet from a new port, and return what comes back at once."""
        client = self.network.client(sender, 3000 + len(self.network.clients))
        client.send(packet if isinstance(packet, bytes) else encode(packet), to)
        self.run_for(0)
        return [decode(datagram.data) for datagram in client.received]


class TransferTests(ServiceCase):
    def test_interface(self) -> None:
        verifyObject(IBootService, self.service)
        self.assertEqual(list(map(spelled, self.service.listening())), [ANY4, ANY6])
        self.restart(Settings(addresses=(IPv4Address("10.0.0.1"),)))
        self.assertEqual(list(map(spelled, self.service.listening())), ["udp 10.0.0.1:69"])

    def test_a_file(self) -> None:
        self.files["boot/nbp"] = bytes(range(256)) * 5
        download = self.download(b"/boot//nbp")
        self.assertEqual(download.received, bytes(range(256)) * 5)
        self.assertEqual(self.network.connected, 0)
        ports = {datagram.source[1] for datagram in download.client.received}
        self.assertEqual(len(ports), 1)
        self.assertNotIn(69, ports)  # a transfer has an id of its own

    def test_options(self) -> None:
        self.files["nbp"] = b"x" * 100000
        download = self.download(
            b"nbp", ("tsize", "0"), ("BLKSIZE", "8192"), ("windowsize", "16"), ("multicast", "")
        )
        agreed = (("tsize", "100000"), ("BLKSIZE", "1468"), ("windowsize", "16"))
        self.assertEqual(download.agreed, agreed)
        self.assertEqual(download.received, b"x" * 100000)

    def test_the_operators_limits(self) -> None:
        self.restart(Settings(max_window=2, max_block_size=1024))
        self.files["nbp"] = b"x" * 5000
        download = self.download(b"nbp", ("blksize", "1468"), ("windowsize", "16"))
        self.assertEqual(download.agreed, (("blksize", "1024"), ("windowsize", "2")))
        self.assertEqual(download.received, b"x" * 5000)

    def test_the_limit_of_a_machine(self) -> None:
        """Firmware that loses larger packets has a label; one that is no number is none."""
        self.files["nbp"] = b"x" * 5000
        for label, size in (("1024", "1024"), ("600", "600"), ("9000", "1428"), ("x", "1428")):
            self.boot.machine = Machine("ws1", labels={"tftp-block-size": label})
            done = self.download(b"nbp", ("blksize", "1428"), port=2000 + int(size))
            self.assertEqual(done.agreed, (("blksize", size),), label)
            self.network.clients.clear()

    def test_a_plain_file_goes_out_in_segments_or_block_by_block(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        content = os.urandom(1468 * 100)
        Path(folder.name, "plain").write_bytes(content)
        Path(folder.name, "empty").write_bytes(b"")
        self.boot.stores = [Directory(Path(folder.name))]
        for segments in (True, False):
            for window in ("1", "3", "64"):
                self.network.segments = segments
                options = (("blksize", "1468"), ("windowsize", window))
                download = self.download(b"plain", *options)
                self.assertEqual(download.received, content)
                self.assertTrue(download.ended)
        self.assertTrue(self.download(b"empty").ended)

    def test_netascii(self) -> None:
        self.files["text"] = b"one\ntwo\r" * 20000
        download = self.download(b"text", ("tsize", "0"), ("blksize", "1000"), mode="netascii")
        self.assertEqual(download.received, b"one\r\ntwo\r\0" * 20000)
        self.assertEqual(download.agreed, (("blksize", "1000"),))

    def test_a_large_file_is_no_text(self) -> None:
        """One packet costs no reading of gigabytes."""
        self.files["image"] = b"x" * ((1 << 20) + 1)
        error = Error(ErrorCode.ILLEGAL_OPERATION, "Too large for netascii: ask for octet")
        self.assertEqual(self.answers(ReadRequest(b"image", "netascii")), [error])

    def test_loss_both_ways(self) -> None:
        self.files["nbp"] = os.urandom(40000)
        for seed, window in enumerate(("1", "4", "16")):
            self.network.to_client = Lossy(lose=0.1, double=0.05, seed=seed)
            self.network.to_server = Lossy(lose=0.1, double=0.05, seed=seed + 9)
            download = self.download(b"nbp", ("windowsize", window), port=2100 + seed)
            for _ in range(40):  # the request is the client's to repeat
                if download.client.received:
                    break
                download.begin(b"nbp", (("windowsize", window),))
                self.run_for(1)
            self.run_for(600)
            self.assertEqual(download.received, self.files["nbp"])
            self.assertEqual(self.network.connected, 0)

    def test_the_reply_comes_from_the_address_that_was_asked(self) -> None:
        self.network.add_interface("eth1", "10.0.1.1")
        self.files["nbp"] = b"abc"
        client = self.network.client("10.0.1.9", 2000, "eth1")
        client.send(encode(ReadRequest(b"nbp")), ("10.0.1.1", 69))
        client.send(encode(ReadRequest(b"none")), ("10.0.1.1", 69))
        self.run_for(0)
        self.assertEqual({datagram.source[0] for datagram in client.received}, {"10.0.1.1"})
        request = self.store.asked[0]
        self.assertEqual(request.endpoints.address, "10.0.1.1")
        self.assertEqual(request.identity.interface, "eth1")

    def test_ipv6(self) -> None:
        """The same, from the address that was asked; blocks leave room for the larger header."""
        self.network.add_interface("eth0", "10.0.0.1", "fd77::1", "fd77::2")
        identity = ClientIdentity(mac="52:54:00:00:00:01", address=IPv6Address("fd77::50"))
        self.boot.identities["fd77::50"] = (identity, "ab12")
        self.files["nbp"] = bytes(5000)
        download = Download(self.network.client("fd77::50", 2000))
        download.begin(b"nbp", (("blksize", "9000"), ("windowsize", "4")), to=("fd77::2", 69))
        self.run_for(0)
        self.assertEqual(download.received, bytes(5000))
        self.assertEqual(download.agreed[0], ("blksize", "1448"))
        self.assertEqual({each.source[0] for each in download.client.received}, {"fd77::2"})
        asked = self.store.asked[0]
        self.assertEqual((asked.identity.mac, asked.boot_id), ("52:54:00:00:00:01", "ab12"))
        self.assertEqual(asked.endpoints.tftp, "tftp://[fd77::2]")
        group = self.answers(ReadRequest(b"nbp"), ("ff02::1", 69), "fd77::51")
        self.assertEqual(group, [])  # RFC 1123 §4.2.3.4, in the spirit of it
        missing = self.answers(ReadRequest(b"none"), ("fd77::1", 69), "fd77::51")
        self.assertEqual(missing, [Error(ErrorCode.NOT_FOUND, "File not found")])

    def test_link_local(self) -> None:
        """The transfer knows the interface; URLs do not name it, for it is one of ours."""
        self.network.add_interface("eth0", "fe80::1%2")
        self.files["nbp"] = b"abc"
        client = self.network.client("fe80::50%2", 2000)
        client.send(encode(ReadRequest(b"nbp")), ("fe80::1%2", 69))
        self.run_for(0)
        self.assertEqual([each.source[0] for each in client.received], ["fe80::1%2"])
        self.assertEqual(self.store.asked[0].endpoints.http, "http://[fe80::1]")

    def test_transfers_of_one_client_in_each_family(self) -> None:
        self.network.add_interface("eth0", "10.0.0.1", "fd77::1")
        self.restart(Settings(max_per_client=1))
        self.files["nbp"] = bytes(5000)
        for client, server in ((CLIENT, "10.0.0.1"), ("fd77::50", "fd77::1")):
            self.begin(client, (server, 69))
            self.assertEqual(self.answers(ReadRequest(b"nbp"), (server, 69), client), [])

    def test_the_stores_learn_who_asks(self) -> None:
        identity = ClientIdentity(mac="52:54:00:00:00:01", address=IPv4Address(CLIENT))
        self.boot.identities[CLIENT] = (identity, "ab12")
        self.files["nbp"] = b"abc"
        self.download(b"nbp")
        asked = self.store.asked[0]
        self.assertEqual((asked.identity.mac, asked.boot_id), ("52:54:00:00:00:01", "ab12"))
        self.assertEqual(self.boot.events[0].machine, "52:54:00:00:00:01")
        self.assertEqual(self.boot.events[0].boot_id, "ab12")


class SinglePortTests(ServiceCase):
    """All comes from the port that was asked."""

    def setUp(self) -> None:
        super().setUp()
        self.network.add_interface("eth0", "10.0.0.1", "fd77::1")
        self.restart(Settings(single_port=True))
        self.files["nbp"] = bytes(range(256)) * 40

    def test_a_file(self) -> None:
        for window in ("1", "4"):
            for client, server in ((CLIENT, "10.0.0.1"), ("fd77::50", "fd77::1")):
                download = Download(self.network.client(client, 2000 + int(window)))
                download.begin(b"nbp", (("windowsize", window),), to=(server, 69))
                self.run_for(0)
                self.assertEqual(download.received, self.files["nbp"])
                sources = {datagram.source for datagram in download.client.received}
                self.assertEqual(sources, {(server, 69)})

    def test_no_other_ports(self) -> None:
        error = self.assertRaises(
            ValueError, Settings, single_port=True, port_range=range(2000, 3000)
        )
        self.assertIn("take port-range out", str(error))

    def test_a_client_that_starts_anew_with_its_port(self) -> None:
        self.files["other"] = b"y" * 700
        client = self.network.client(CLIENT, 2000)
        for packet in (ReadRequest(b"nbp"), Ack(1), ReadRequest(b"other"), Ack(1)):
            client.send(encode(packet), SERVER)
            self.run_for(0)
        last = [decode(datagram.data) for datagram in client.received[-2:]]
        self.assertEqual(last, [Data(1, b"y" * 512), Data(2, b"y" * 188)])
        self.assertEqual(self.network.connected, 1)

    def test_stop_lets_transfers_end(self) -> None:
        client = self.network.client(CLIENT, 2000)
        client.send(encode(ReadRequest(b"nbp")), SERVER)
        self.run_for(0)
        stopped = self.service.stopService()
        self.assertEqual(self.answers(ReadRequest(b"nbp")), [])
        download = Download(client)
        client.on_datagram = download.take
        download.take(client.received[0])
        self.run_for(1)
        self.assertEqual(download.received, self.files["nbp"])
        self.successResultOf(stopped)
        self.assertEqual(self.network.sockets, [])


class RefusalTests(ServiceCase):
    def test_what_is_missing_denied_or_outside_looks_the_same(self) -> None:
        self.files["secret"] = ContentDenied("not for you")
        missing = [Error(ErrorCode.NOT_FOUND, "File not found")]
        for name in (b"none", b"secret", b"../x", b"a/../../x", b"..\\x", b"", b"/"):
            self.assertEqual(self.answers(ReadRequest(name)), missing, name)

    def test_trouble_is_no_missing_file(self) -> None:
        self.files["nbp"] = RuntimeError("a bug")
        self.assertEqual(
            self.answers(ReadRequest(b"nbp")), [Error(ErrorCode.UNDEFINED, "Internal trouble")]
        )
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_wrong_template_is_told_without_a_traceback(self) -> None:
        self.files["nbp"] = PolicyError("template boot.ipxe.j2: 'romm' is undefined")
        self.assertEqual(
            self.answers(ReadRequest(b"nbp")), [Error(ErrorCode.UNDEFINED, "Internal trouble")]
        )
        self.assertIn("'romm' is undefined", self.boot.events[-1].summary)

    def test_writing_and_mail(self) -> None:
        for packet in (WriteRequest(b"nbp"), ReadRequest(b"nbp", "mail")):
            (answer,) = self.answers(packet)
            assert isinstance(answer, Error)
            self.assertEqual(answer.code, ErrorCode.ILLEGAL_OPERATION)

    def test_what_is_no_request_gets_no_answer(self) -> None:
        self.files["nbp"] = b"abc"
        for packet in (b"", b"\0\1nbp", Error(ErrorCode.UNDEFINED, "x"), Ack(1), Data(1, b"x")):
            self.assertEqual(self.answers(packet), [])
        broadcast = self.answers(ReadRequest(b"nbp"), ("10.0.0.255", 69))
        self.assertEqual(broadcast, [])
        self.assertEqual(self.service.counters["sent to a broadcast address"], 1)
        self.assertEqual(self.service.counters["no request"], 3)

    def test_content_that_breaks_midway(self) -> None:
        content = MemoryContent(b"x" * 5000)
        self.files["nbp"] = content
        client = self.network.client(CLIENT, 2000)
        client.send(encode(ReadRequest(b"nbp")), SERVER)
        self.run_for(0)
        content.data = b"x" * 100  # cut short
        client.send(encode(Ack(1)), client.received[0].source)
        self.run_for(0)
        error = decode(client.received[-1].data)
        self.assertEqual(error, Error(ErrorCode.UNDEFINED, "The server cannot use the file"))
        self.assertTrue(content.closed)
        self.assertEqual(self.boot.events[-1].kind, EventKind.FAILED)
        self.assertEqual(self.network.connected, 0)

    def test_a_file_that_is_cut_short_before_it_begins(self) -> None:
        """Nothing is left of the transfer: its socket, or its place among those of the client."""
        self.restart(Settings(max_per_client=1))
        with TemporaryDirectory() as folder:
            path = Path(folder, "nbp")
            path.write_bytes(b"short")
            self.files["nbp"] = ShortFile(path)
            for _ in range(2):
                (error,) = self.answers(ReadRequest(b"nbp"))
                self.assertEqual(error, Error(ErrorCode.UNDEFINED, "Internal trouble"))
        self.assertEqual(len(self.flushLoggedErrors(ContentError)), 2)
        self.assertEqual(self.network.connected, 0)

    def test_limits(self) -> None:
        self.restart(Settings(max_transfers=3, max_per_client=2))
        self.files["nbp"] = b"x" * 5000
        for address in (CLIENT, CLIENT, CLIENT, "10.0.0.51", "10.0.0.52"):
            self.begin(address)
        self.assertEqual(self.network.connected, 3)
        self.assertEqual(self.service.counters["too many transfers of one client"], 1)
        self.assertEqual(self.service.counters["too many transfers"], 1)
        self.run_for(60)  # they fall silent, and there is room again
        self.assertEqual(self.network.connected, 0)
        self.assertEqual(self.download(b"nbp").received, b"x" * 5000)

    def test_the_oldest_unanswered_stranger_makes_room(self) -> None:
        self.restart(Settings(max_per_client=2000))
        self.files["nbp"] = b"x" * 5000
        download = Download(self.network.client(CLIENT, 2000))
        self.answers(ReadRequest(b"nbp"))  # never answers
        download.begin(b"nbp")
        self.network.clock.advance(0)
        for number in range(MOST):
            client = self.network.client(f"10.0.{number >> 8}.{number & 255}", 3000)
            client.send(encode(ReadRequest(b"nbp")), SERVER)
        self.run_for(2)
        self.assertEqual(self.network.connected, MOST)
        self.assertGreaterEqual(self.service.counts()["given up for newer requests"], 1)
        self.assertEqual(download.received, b"x" * 5000)
        self.run_for(30)
        self.assertEqual((self.network.connected, self.boot.events[1:]), (0, []))

    def test_who_asks_in_the_name_of_a_machine_does_not_lock_it_out(self) -> None:
        self.restart(Settings(max_per_client=3))
        self.files["nbp"] = b"x" * 5000
        self.boot.identities[CLIENT] = (ClientIdentity(mac="52:54:00:00:00:01"), "ab12")
        for _ in range(10):
            self.answers(ReadRequest(b"nbp"))
        self.assertEqual(self.network.connected, 3)
        self.assertEqual(self.download(b"nbp").received, b"x" * 5000)
        self.assertEqual(self.service.counts()["given up for newer requests"], 8)

    def test_strangers_that_miss_files_are_told_of_now_and_then(self) -> None:
        for number in range(200):
            self.answers(ReadRequest(b"none"), sender=f"10.0.1.{number}")
        self.assertEqual(len(self.boot.events), 20)
        self.assertEqual(self.service.counts()["refused: File not found"], 200)


class RepetitionTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.files["nbp"] = b"x" * 5000
        self.client = self.network.client(CLIENT, 2000)

    def ask(self, name: bytes = b"nbp", *options: tuple[str, str]) -> None:
        self.client.send(encode(ReadRequest(name, "octet", options)), SERVER)
        self.run_for(0)

    def test_a_repeated_request_gets_the_same_answer_from_the_same_port(self) -> None:
        self.ask(b"nbp", ("tsize", "0"))
        self.ask(b"nbp", ("tsize", "0"))
        first, second = self.client.received
        self.assertEqual(first, second)
        self.assertEqual(self.network.connected, 1)

    def test_a_late_copy_of_the_request_disturbs_nothing(self) -> None:
        self.ask()
        self.client.send(encode(Ack(1)), self.client.received[0].source)
        self.run_for(0)
        self.ask()
        self.assertEqual([decode(d.data).block for d in self.client.received], [1, 2])  # type: ignore[union-attr]  # all are DATA

    def test_a_client_that_starts_anew_with_its_port(self) -> None:
        self.files["other"] = b"y" * 700
        self.ask()
        self.client.send(encode(Ack(1)), self.client.received[0].source)
        self.run_for(0)
        self.ask(b"other")
        self.assertEqual(self.network.connected, 1)
        self.assertEqual(decode(self.client.received[-1].data), Data(1, b"y" * 512))
        self.client.send(encode(Ack(1)), self.client.received[-1].source)
        self.run_for(5)
        self.ask(b"other")  # the same name, but long after
        self.assertEqual(decode(self.client.received[-1].data), Data(1, b"y" * 512))
        self.assertEqual(len({datagram.source for datagram in self.client.received}), 3)

    def test_requests_while_the_answer_is_still_sought(self) -> None:
        waits: list[Deferred[None]] = []
        boot = self.boot

        class Slow(FakeBoot):
            async def open(self, path: ContentPath, request: BootRequest) -> IContent:
                waits.append(Deferred())
                await waits[-1]
                return await boot.open(path, request)

        site = make_site(Slow(), reactor=self.network.clock)
        self.service.stopService()
        service = TftpService(Settings(), site, self.network.socket, self.network.transfers)
        service.startService()
        self.ask()
        self.ask()
        self.assertEqual(len(waits), 1)
        self.files["other"] = b"yy"
        self.ask(b"other")
        self.assertEqual(len(waits), 2)
        waits[1].callback(None)
        self.run_for(0)
        self.assertEqual([decode(d.data) for d in self.client.received], [Data(1, b"yy")])

    def test_stop_lets_transfers_end(self) -> None:
        self.ask()
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        download = Download(self.client, received=b"")
        self.client.on_datagram = download.take
        download.take(self.client.received[0])
        self.run_for(1)
        self.assertEqual(download.received, b"x" * 5000)
        self.successResultOf(stopped)
        self.assertEqual(self.network.sockets, [])

    def test_stop_does_not_wait_for_ever(self) -> None:
        self.ask()
        stopped = self.service.stopService()
        self.run_for(6)
        self.successResultOf(stopped)
        self.assertEqual(self.network.connected, 0)


class EventTests(ServiceCase):
    def test_a_whole_transfer(self) -> None:
        self.files["loaders/nbp"] = b"x" * 2048
        self.download(b"loaders/nbp", ("windowsize", "4"))
        (event,) = self.boot.events
        self.assertEqual((event.kind, event.protocol), (EventKind.ENDED, "tftp"))
        self.assertEqual(event.summary, "sent loaders/nbp, 2.0 KiB in 0.00 s, window 4")
        self.assertEqual(event.machine, CLIENT)
        self.assertEqual(event.details["bytes"], 2048)
        self.assertEqual(event.details["repetitions"], 0)

    def test_a_size_probe_is_no_news(self) -> None:
        self.files["nbp"] = b"x" * 5000
        client = self.network.client(CLIENT, 2000)
        client.send(encode(ReadRequest(b"nbp", "octet", (("tsize", "0"),))), SERVER)
        self.run_for(0)
        aborted = Error(ErrorCode.OPTIONS_REFUSED, "User aborted the transfer")
        client.send(encode(aborted), client.received[0].source)
        self.run_for(40)
        self.assertEqual(len(client.received), 1)
        self.assertEqual(self.boot.events, [])
        self.assertEqual(self.network.connected, 0)

    def test_a_probe_whose_end_comes_late_is_no_news_either(self) -> None:
        self.files["nbp"] = b"x" * 5000
        client = self.network.client(CLIENT, 2000)
        client.send(encode(ReadRequest(b"nbp", "octet", (("tsize", "0"),))), SERVER)
        self.run_for(0)
        client.send(encode(ReadRequest(b"nbp", "octet", (("blksize", "1468"),))), SERVER)
        self.run_for(0)
        self.assertEqual(self.boot.events, [])
        self.assertEqual(self.network.connected, 1)

    def test_a_client_that_falls_silent(self) -> None:
        self.files["nbp"] = b"x" * 5000
        client = self.network.client(CLIENT, 2000)
        client.send(encode(ReadRequest(b"nbp")), SERVER)
        self.run_for(0)
        client.send(encode(Ack(1)), client.received[0].source)
        self.run_for(60)
        (event,) = self.boot.events
        self.assertEqual(event.kind, EventKind.FAILED)
        self.assertEqual(
            event.summary,
            "stopped sending nbp after 512 bytes of 4.9 KiB: the client fell silent",
        )

    def test_a_client_that_cannot_count_further(self) -> None:
        """Where block numbers begin anew is where some stop for ever."""
        self.files["kernel"] = b"x" * 5000
        client = self.network.client(CLIENT, 2000)
        client.send(encode(ReadRequest(b"kernel")), SERVER)
        self.run_for(0)
        client.send(encode(Ack(1)), client.received[0].source)
        with patch.object(ReadTransfer, "acknowledged", 512 * 65535):
            self.run_for(60)
        (event,) = self.boot.events
        self.assertIn("it may be unable to count further", event.summary)

    def test_a_client_that_never_answers(self) -> None:
        """Of a stranger it is no news, for anybody may have asked in its name."""
        self.files["nbp"] = b"x" * 5000
        known = ClientIdentity(mac="52:54:00:00:00:01", address=IPv4Address("10.0.0.60"))
        self.boot.identities["10.0.0.60"] = (known, "ab12")
        for address in (CLIENT, "10.0.0.60"):
            client = self.network.client(address, 2000)
            for _ in range(100):
                client.send(encode(ReadRequest(b"nbp")), SERVER)
                self.run_for(0.1)
            self.run_for(20)
            self.assertLess(len(client.received), 16)
        (event,) = self.boot.events
        self.assertEqual(event.machine, "52:54:00:00:00:01")
        self.assertIn("the client never answered", event.summary)
        self.assertEqual(self.service.counts()["never answered"], 2)

    def test_what_strangers_choose_does_not_fill_the_memory_or_the_log(self) -> None:
        self.answers(ReadRequest(b"a" * 60_000))
        self.assertEqual(self.boot.events[-1].summary, f"no such file: {'a' * 986}\u2026")
        before = set(self.service.counts())
        for opcode in range(10, 300):
            self.network.client(CLIENT, 6000).send(opcode.to_bytes(2, "big"), SERVER)
            self.run_for(0)
        self.assertEqual(set(self.service.counts()) - before, {"unknown opcode N"})
        self.assertEqual(self.service.counts()["unknown opcode N"], 290)

    def test_missing_files(self) -> None:
        news = ("kernel", "pxelinux.cfg/default", "grub/grub.cfg", "kernel.model/x")
        probes = (
            *("pxelinux.cfg/01-52-54-00-00-00-01", "grub/grub.cfg-C0A8", "x/autoexec.ipxe"),
            *("\\Boot\\Fonts\\SEGMONO_boot.TTF", "\\Boot\\BCD.{0c1e}"),
        )
        for name in news + probes:
            self.answers(ReadRequest(name.encode()))
        self.assertEqual(self.boot.events[0].summary, "no such file: kernel")
        debug = [event.details["debug"] for event in self.boot.events]
        self.assertEqual(debug, [False] * len(news) + [True] * len(probes))
        self.assertTrue(all(event.details["missing"] for event in self.boot.events))
