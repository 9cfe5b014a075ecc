"""Real TFTP clients against `twistd pxe`, over a good wire and a bad one."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootlab.network import Lan, Namespace
from bootlab.processes import LabError, wait_until
from pxetwist.wire.tftp import (
    Ack,
    Data,
    Error,
    ErrorCode,
    OptionAck,
    Options,
    Packet,
    ReadRequest,
    decode,
    encode,
)
from tests.integration.case import FilesCase, url_host

INI = """
[pxe]
services = tftp
policies = main
content = files
state = memory
[policy:main]
plugin = fixed
profile = disk
[profile:disk]
kind = local
[content:files]
plugin = directory
root = files
"""
SERVER = Lan.address
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_IPV4, _IPV6 = b"\x08\0", b"\x86\xdd"
_UDP, _FRAGMENT = 17, 44


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Make sockets in a namespace; it holds for this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home:
        with Path("/run/netns", namespace.name).open() as there:
            if libc.setns(there.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), _CLONE_NEWNET)


def tap(name: str) -> int:
    """Make a tap, and return the descriptor that its frames are read from and written to."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


class BadWire(threading.Thread):
    """Carries frames between two taps, and loses, doubles or holds back some IP frames.

    The faults are probabilities; the same ones come in every run. `only` is the one UDP port
    that passes, from the second tap or to it, as in a network with a strict firewall.
    """

    def __init__(
        self, *taps: int, lose: float = 0, double: float = 0, hold: float = 0, only: int = 0
    ) -> None:
        super().__init__(daemon=True)
        self._only = only
        self._lose, self._double, self._hold = lose, double, hold
        self._random = random.Random(1)
        self._taps = taps
        self._held: list[tuple[int, bytes]] = []
        self._over, self._end = os.pipe()

    def run(self) -> None:
        left, right = self._taps
        other = {left: right, right: left}
        while True:
            ready, _, _ = select.select([*self._taps, self._over], [], [], 0.02)
            if self._over in ready:
                return
            held, self._held = self._held, []
            for end in ready:
                self._carry(os.read(end, 70000), other[end])
            for end, frame in held:
                os.write(end, frame)

    def _carry(self, frame: bytes, to: int) -> None:
        # what makes IPv6 work at all, neighbour discovery, is left alone as ARP is
        six = frame[12:14] == _IPV6 and frame[20] in (_UDP, _FRAGMENT)
        if self._only and not self._passes(frame, to):
            return
        lottery = self._random.random() if six or frame[12:14] == _IPV4 else 1.0
        if lottery < self._lose:
            return
        if lottery < self._hold:
            self._held.append((to, frame))
            return
        os.write(to, frame)
        if lottery < self._double:
            os.write(to, frame)

    def _passes(self, frame: bytes, to: int) -> bool:
        kind, at = (20, 54) if frame[12:14] == _IPV6 else (23, 34)
        if frame[12:14] not in (_IPV4, _IPV6) or frame[kind] != _UDP:
            return True
        ports = frame[at : at + 4]
        port = ports[:2] if to == self._taps[0] else ports[2:]
        return int.from_bytes(port, "big") == self._only

    def close(self) -> None:
        os.close(self._end)
        self.join()
        for descriptor in (*self._taps, self._over):
            os.close(descriptor)


class TftpCase(FilesCase):
    ini = INI
    service = "tftp"

    address = SERVER

    def hpa(self, name: str, *, mode: str = "binary") -> bytes:
        into = self.folder / "hpa"
        self.host.run("tftp", "-m", mode, self.address, "-c", "get", name, str(into))
        return into.read_bytes()

    def atftp(self, name: str, *options: str) -> bytes:
        into = self.folder / "atftp"
        words = [word for option in options for word in ("--option", option)]
        self.run_atftp(*words, "-g", "-r", name, "-l", str(into))
        return into.read_bytes()

    def run_atftp(self, *words: str) -> None:
        """Run atftp, again if it gave up at an OACK that came once more: what it had answered to
        the first one was lost.
        """
        for _ in range(5):
            try:
                self.host.run("atftp", *words, self.address)
            except LabError as error:
                if "unexpected OACK" not in str(error):
                    raise
            else:
                return
        self.fail("atftp gave up five times")

    def busybox(self, name: str, *words: str) -> bytes:
        into = self.folder / "busybox"
        self.host.run("busybox", "tftp", "-g", "-r", name, "-l", str(into), *words, self.address)
        return into.read_bytes()

    def curl(self, name: str, *words: str) -> bytes:
        into = self.folder / "curl"
        into.unlink(missing_ok=True)
        url = f"tftp://{url_host(self.address)}/{name}"
        self.host.run("curl", "-gsS", "-m", "60", *words, "-o", str(into), url)
        return into.read_bytes()


class ClientTests(TftpCase):
    def test_sizes(self) -> None:
        """Every client takes every length, also those that end with an empty block."""
        for size in (0, 1, 511, 512, 513, 1024, 1408 * 3, 1468 * 4, 100_000):
            expected = self.put("file", size).read_bytes()
            self.assertEqual(self.hpa("file"), expected, size)
            self.assertEqual(self.atftp("file"), expected, size)
            self.assertEqual(self.busybox("file"), expected, size)
            if size:  # curl takes the tsize of an empty file for a mistake
                self.assertEqual(self.curl("file"), expected, size)

    def test_options(self) -> None:
        expected = self.put("boot/nbp", 300_000).read_bytes()
        for option in ("blksize 8", "blksize 1468", "blksize 65464", "timeout 3", "tsize 0"):
            if option != "blksize 8":
                self.assertEqual(self.atftp("boot/nbp", option), expected, option)
        for window in (1, 2, 16, 64, 1000):
            options = (f"windowsize {window}", "blksize 1468", "tsize 0", "timeout 2")
            self.assertEqual(self.atftp("boot/nbp", *options), expected, window)
        for size in ("8", "1400", "65464"):
            self.assertEqual(self.curl("boot/nbp", "--tftp-blksize", size), expected, size)
        self.assertEqual(self.curl("boot/nbp", "--tftp-no-options"), expected)
        for size in ("64", "1432", "65464"):
            self.assertEqual(self.busybox("boot/nbp", "-b", size), expected, size)

    def test_netascii(self) -> None:
        (self.files / "text").write_bytes(b"one\ntwo\rthree\r\n" * 9000)
        self.assertEqual(self.hpa("text", mode="netascii"), (self.files / "text").read_bytes())

    def test_more_blocks_than_numbers(self) -> None:
        """Block 65535 is followed by block 0, in steps and in windows."""
        expected = self.put("large", 65536 * 512 + 5000).read_bytes()
        self.assertEqual(self.busybox("large"), expected)
        self.assertEqual(self.atftp("large", "windowsize 16"), expected)

    def test_many_at_once(self) -> None:
        expected = self.put("nbp", 1_000_000).read_bytes()
        clients = []
        for number in range(40):
            into = self.folder / f"many{number}"
            words = ["atftp", "--option", "windowsize 8", "-g", "-r", "nbp", "-l", str(into)]
            client = self.host.start([*words, self.address], self.folder / f"many{number}.log")
            self.addCleanup(client.stop)
            clients.append(client)
        wait_until(lambda: not any(client.running for client in clients), 60, "40 downloads")
        for number in range(40):
            self.assertEqual((self.folder / f"many{number}").read_bytes(), expected)

    def test_what_the_log_says(self) -> None:
        self.put("loaders/nbp", 2048)
        self.atftp("loaders/nbp", "windowsize 4")
        self.server.wait_for(r"sent loaders/nbp, 2\.0 KiB in [0-9.]+ s, window 4", 10)

    def test_missing_files(self) -> None:
        for client in (self.atftp, self.busybox):
            error = self.assertRaises(LabError, client, "none")
            self.assertRegex(str(error).lower(), "not found", client.__name__)
        error = self.assertRaises(LabError, self.curl, "none")
        self.assertIn("(68)", str(error))  # its number for "file not found"
        self.assertIn("File not found", self.host.run("tftp", self.address, "-c", "get", "none"))

    def test_writing_is_refused(self) -> None:
        ours = self.folder / "ours"
        ours.write_bytes(b"x")
        put = ("busybox", "tftp", "-p", "-l", str(ours), "-r", "theirs", self.address)
        self.assertRaises(LabError, self.host.run, *put)
        self.assertEqual(list(self.files.iterdir()), [])


class SinglePortTests(ClientTests):
    """The same with one port for everything."""

    ini = INI + "[service:tftp]\nsingle-port = yes\n"


class BadWireCase(TftpCase):
    """The client's wire goes through a program that treats its frames badly."""

    def spoil(self, lose: float = 0, double: float = 0, hold: float = 0, only: int = 0) -> None:
        self.host = Namespace(f"{self.lan.server.name}-bad")
        self.addCleanup(self.host.close)
        with inside(self.host):
            ours = tap("eth0")
        with inside(self.lan.server):
            theirs = tap("bad")
        wire = BadWire(ours, theirs, lose=lose, double=double, hold=hold, only=only)
        self.addCleanup(wire.close)
        self.lan.server.ip(f"link set bad master {Lan.bridge} up")
        self.host.ip("addr add 10.77.0.21/24 dev eth0")
        self.host.ip("addr add fd77::21/64 dev eth0 nodad")
        self.host.ip("link set eth0 up")
        wire.start()


class BadWireTests(BadWireCase):
    """Files are read over a bad wire."""

    def sent(self) -> int:
        """Return how many UDP datagrams the server's namespace has sent."""
        lines = self.lan.server.run("cat", "/proc/net/snmp", "/proc/net/snmp6").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Udp:"))
        (six,) = (line.split()[1] for line in lines if line.startswith("Udp6OutDatagrams"))
        return int(values[names.index("OutDatagrams")]) + int(six)

    def test_lost_datagrams(self) -> None:
        expected = self.put("nbp", 60_000).read_bytes()
        self.spoil(lose=0.05)
        self.assertEqual(self.busybox("nbp", "-b", "1432"), expected)
        self.assertEqual(self.atftp("nbp", "blksize 1432", "windowsize 8"), expected)

    def test_few_lost_datagrams(self) -> None:
        """One in a hundred, where windows are large."""
        expected = self.put("nbp", 400_000).read_bytes()
        self.spoil(lose=0.01)
        self.assertEqual(self.atftp("nbp", "blksize 1432", "windowsize 16"), expected)

    def test_doubled_datagrams(self) -> None:
        """Doubled ACKs are not answered: the number of blocks sent does not grow."""
        expected = self.put("nbp", 400_000).read_bytes()
        self.spoil(double=0.6)
        before = self.sent()
        self.assertEqual(self.busybox("nbp", "-b", "1000"), expected)
        self.assertLess(self.sent() - before, 450)

    def test_reordered_datagrams(self) -> None:
        expected = self.put("nbp", 400_000).read_bytes()
        self.spoil(hold=0.1)
        self.assertEqual(self.atftp("nbp", "blksize 1432", "windowsize 4"), expected)


class SinglePortBadWireTests(BadWireTests):
    """The same with one port for everything, past a firewall that knows that port only."""

    ini = SinglePortTests.ini

    def spoil(self, lose: float = 0, double: float = 0, hold: float = 0, only: int = 69) -> None:
        super().spoil(lose, double, hold, only)


class Client6Tests(ClientTests):
    """The same over IPv6."""

    address = Lan.address6

    def test_no_packet_is_cut_in_two(self) -> None:
        """What the MTU carries is less by 20 bytes than in IPv4."""
        expected = self.put("nbp", 200_000).read_bytes()
        self.assertEqual(self.atftp("nbp", "blksize 65464", "windowsize 8"), expected)
        counted = self.lan.server.run("cat", "/proc/net/snmp6")
        self.assertRegex(counted, r"Ip6FragCreates\s+0\n")

    def test_a_narrower_network(self) -> None:
        self.lan.server.ip(f"link set {Lan.bridge} mtu 1280")
        self.host.ip("link set eth0 mtu 1280")
        expected = self.put("nbp", 200_000).read_bytes()
        self.assertEqual(self.curl("nbp", "--tftp-blksize", "1468"), expected)
        self.assertRegex(self.lan.server.run("cat", "/proc/net/snmp6"), r"Ip6FragCreates\s+0\n")

    def test_two_addresses(self) -> None:
        """Clients that look where an answer comes from get it from the address they asked."""
        self.lan.server.ip(f"addr add fd77::2/64 dev {Lan.bridge} nodad")
        expected = self.put("nbp", 5000).read_bytes()
        for self.address in ("fd77::2", Lan.address6):
            self.assertEqual(self.curl("nbp"), expected)
            self.assertEqual(self.atftp("nbp"), expected)
            error = self.assertRaises(LabError, self.curl, "none")
            self.assertIn("(68)", str(error))

    def test_link_local(self) -> None:
        """The answer comes from the link-local address that was asked."""
        expected = self.put("nbp", 5000).read_bytes()
        self.address = f"{self.lan.link_local()}%eth0"
        self.assertEqual(self.hpa("nbp"), expected)
        self.assertEqual(self.atftp("nbp", "windowsize 8"), expected)


class BadWire6Tests(BadWireTests):
    """The same over IPv6."""

    address = Lan.address6


class SinglePort6Tests(SinglePortBadWireTests):
    """The same over IPv6."""

    address = Lan.address6


class RawTests(TftpCase):
    """A client by hand, for what the others do not do."""

    def setUp(self) -> None:
        super().setUp()
        with inside(self.host):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        self.addCleanup(self.socket.close)

    def ask(self, name: bytes, options: Options = ()) -> tuple[Packet, tuple[str, int]]:
        self.socket.sendto(encode(ReadRequest(name, "octet", options)), (SERVER, 69))
        return self.take()

    def take(self) -> tuple[Packet, tuple[str, int]]:
        data, source = self.socket.recvfrom(70000)
        return decode(data), source

    def rest(self, first: Packet, source: tuple[str, int]) -> bytes:
        """Take the rest of a file, block by block."""
        found = b""
        while isinstance(first, Data):
            found += first.payload
            self.socket.sendto(encode(Ack(first.block)), source)
            if len(first.payload) < 512:
                break
            first, source = self.take()
        return found

    def test_paths_that_climb_out(self) -> None:
        (self.folder / "secret").write_bytes(b"secret")
        (self.files / "link").symlink_to(self.folder / "secret")
        (self.files / "folder").symlink_to("..")
        missing = Error(ErrorCode.NOT_FOUND, "File not found")
        for name in (
            b"../secret",
            b"/../secret",
            b"..\\secret",
            b"a/../../secret",
            b"\\..\\..\\secret",
            os.fsencode(self.folder / "secret"),
            b"/etc/passwd",
            b"link",
            b"folder/secret",
            b"%2e%2e/secret",
            b"",
            b".",
            b"..",
        ):
            self.assertEqual(self.ask(name)[0], missing, name)

    def test_spellings(self) -> None:
        (self.files / "Boot").mkdir()
        (self.files / "Boot" / "BCD").write_bytes(b"bcd")
        for name in (b"Boot/BCD", b"\\Boot\\BCD", b"/boot//bcd", b"boot\\BCD\xff", b"Boot/BCD.0"):
            packet, source = self.ask(name)
            self.assertEqual(packet, Data(1, b"bcd"), name)
            self.socket.sendto(encode(Ack(1)), source)

    def test_a_size_probe_leaves_nothing_behind(self) -> None:
        """OVMF asks for the size, says ERROR 8, and asks again."""
        self.put("nbp", 5000)
        packet, source = self.ask(b"nbp", (("tsize", "0"), ("blksize", "1468")))
        self.assertEqual(packet, OptionAck((("tsize", "5000"), ("blksize", "1468"))))
        refused = Error(ErrorCode.OPTIONS_REFUSED, "User aborted the transfer")
        self.socket.sendto(encode(refused), source)
        packet, source = self.ask(b"nbp", (("blksize", "1468"), ("windowsize", "4")))
        self.assertEqual(packet, OptionAck((("blksize", "1468"), ("windowsize", "4"))))
        self.socket.sendto(encode(refused), source)
        wait_until(lambda: self.open_files() == 0, 10, "the files closed")
        self.assertNotIn("nbp", self.server.text)

    def open_files(self) -> int:
        """Return how many files the server holds open."""
        found = 0
        for link in Path(f"/proc/{self.server.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed by now
                found += str(self.files) in os.readlink(link)
        return found

    def test_a_client_that_is_gone(self) -> None:
        """Its closed port is noticed at once, without waiting for the timer."""
        self.put("nbp", 5000)
        _, source = self.ask(b"nbp")
        self.socket.sendto(encode(Ack(1)), source)
        self.take()
        self.assertEqual(self.open_files(), 1)
        self.socket.close()
        wait_until(lambda: self.open_files() == 0, 10, "the file closed")
        self.server.wait_for("stopped sending nbp .*: the client closed its port", 10)

    def test_a_replaced_file(self) -> None:
        """A transfer goes on with the file that it began with."""
        before = self.put("nbp", 5000).read_bytes()
        packet, source = self.ask(b"nbp")
        after = self.put("new", 7000).read_bytes()
        (self.files / "new").replace(self.files / "nbp")
        self.assertEqual(self.rest(packet, source), before)
        self.assertEqual(self.rest(*self.ask(b"nbp")), after)

    def test_a_file_that_is_cut_short(self) -> None:
        """The client is told, and the server lives."""
        self.put("nbp", 3_000_000)
        packet, source = self.ask(b"nbp")
        os.truncate(self.files / "nbp", 0)
        while isinstance(packet, Data):  # what is in memory still comes
            self.socket.sendto(encode(Ack(packet.block)), source)
            packet, source = self.take()
        self.assertEqual(packet, Error(ErrorCode.UNDEFINED, "The server cannot use the file"))
        self.put("nbp", 700)
        self.assertEqual(len(self.rest(*self.ask(b"nbp"))), 700)

    def test_answers_come_from_the_address_that_was_asked(self) -> None:
        self.lan.server.ip(f"addr add 10.77.0.2/24 dev {Lan.bridge}")
        self.put("nbp", 100)
        for address in ("10.77.0.2", SERVER):
            self.socket.sendto(encode(ReadRequest(b"nbp")), (address, 69))
            _, source = self.take()
            self.assertEqual(source[0], address)
            self.socket.sendto(encode(Ack(1)), source)
            self.socket.sendto(encode(ReadRequest(b"none")), (address, 69))
            self.assertEqual(self.take()[1], (address, 69))

    def test_a_broadcast_is_not_answered(self) -> None:
        self.put("nbp", 100)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.sendto(encode(ReadRequest(b"nbp")), ("10.77.0.255", 69))
        packet, _ = self.ask(b"none")
        self.assertIsInstance(packet, Error)  # the only answer, to the second request


class WriteTests(BadWireCase):
    """Real clients put files, over a good wire and a bad one."""

    ini = INI + "[service:tftp]\nwrite-folder = dumps\nwrite-limit = 1M\n"

    def prepare(self) -> None:
        super().prepare()
        self.dumps = self.folder / "dumps"
        self.dumps.mkdir()

    def store(self, client: str, name: str, *words: str, mode: str = "binary") -> None:
        """Put the file `ours` with a client; the name says which."""
        ours = str(self.folder / "ours")
        if client == "atftp":
            self.run_atftp(*words, "--put", "-l", ours, "-r", name)
            return
        commands = {
            "hpa": ("tftp", "-m", mode, self.address, "-c", "put", ours, name),
            "busybox": ("busybox", "tftp", "-p", *words, "-l", ours, "-r", name, self.address),
        }
        self.host.run(*commands[client])

    def check(self, client: str, name: str, *words: str) -> None:
        self.store(client, name, *words)
        expected = (self.folder / "ours").read_bytes()
        self.assertEqual((self.dumps / name).read_bytes(), expected, (client, len(expected)))
        (self.dumps / name).unlink()

    def test_sizes(self) -> None:
        for size in (0, 1, 511, 512, 513, 1468 * 4, 100_000):
            (self.folder / "ours").write_bytes(os.urandom(size))
            self.check("hpa", "dump")
            self.check("atftp", "dump", "--option", "blksize 1468")
            self.check("busybox", "dump", "-b", "1432")
        self.server.wait_for(r"received dump, 97\.7 KiB in [0-9.]+ s", 10)

    def test_windows(self) -> None:
        (self.folder / "ours").write_bytes(os.urandom(300_000))
        for window in (2, 16, 64):
            options = ("--option", f"windowsize {window}", "--option", "blksize 1468")
            self.check("atftp", "dump", *options)

    def test_netascii(self) -> None:
        (self.folder / "ours").write_bytes(b"one\ntwo\rthree\r\n" * 9000)
        self.store("hpa", "text", mode="netascii")
        expected = (self.folder / "ours").read_bytes()
        self.assertEqual((self.dumps / "text").read_bytes(), expected)

    def test_refusals(self) -> None:
        ours = self.folder / "ours"
        ours.write_bytes(b"new")
        (self.dumps / "taken").write_bytes(b"old")
        (self.dumps / "up").symlink_to("..")
        for name in ("taken", "../out", "up/out", ".hidden", "none/x"):
            for client in ("atftp", "busybox"):
                self.assertRaises(LabError, self.store, client, name)
        ours.write_bytes(bytes(1_100_000))
        for client in ("atftp", "busybox"):
            self.assertRaises(LabError, self.store, client, "large")
        wait_until(
            lambda: sorted(os.listdir(self.dumps)) == ["taken", "up"], 10, "nothing is left over"
        )
        self.assertEqual((self.dumps / "taken").read_bytes(), b"old")
        self.assertFalse((self.folder / "out").exists())
        self.assertNotIn("Traceback", self.server.text)

    def test_lost_datagrams(self) -> None:
        (self.folder / "ours").write_bytes(os.urandom(60_000))
        self.spoil(lose=0.05)
        self.check("busybox", "dump", "-b", "1432")
        self.check("atftp", "dump", "--option", "blksize 1432", "--option", "windowsize 8")

    def test_doubled_and_reordered_datagrams(self) -> None:
        (self.folder / "ours").write_bytes(os.urandom(100_000))
        self.spoil(double=0.3, hold=0.1)
        self.check("hpa", "dump")
        self.check("atftp", "dump", "--option", "windowsize 4")


class SinglePortWriteTests(WriteTests):
    """The same with one port for everything, past a firewall that knows that port only."""

    ini = WriteTests.ini + "single-port = yes\n"

    def spoil(self, lose: float = 0, double: float = 0, hold: float = 0, only: int = 69) -> None:
        super().spoil(lose, double, hold, only)


class Write6Tests(WriteTests):
    """The same over IPv6."""

    address = Lan.address6
