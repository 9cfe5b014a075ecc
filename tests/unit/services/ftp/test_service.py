"""The FTP service over transports in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address as TcpAddress
from twisted.internet.address import IPv6Address as IPv6
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pxetwist.errors import ContentDenied, ContentNotFound, PolicyError, StartError
from pxetwist.interfaces import IBootService, IContent, IListsFolders
from pxetwist.model.boot import Protocol
from pxetwist.model.content import ContentInfo, ContentPath, Listed
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.services.ftp.data import DataPort
from pxetwist.services.ftp.service import FtpService, Settings
from pxetwist.testing import FakeBoot, MemoryContent, MemoryStore, make_site

CLIENT = "10.0.0.50"
OURS = TcpAddress("TCP", "10.0.0.1", 21)
KNOWN = ClientIdentity(mac="52:54:00:12:34:56")


@implementer(IListsFolders)
class Listing(MemoryStore):
    """A store that shows the folder ``boot``."""

    def listed(self, path: ContentPath) -> list[Listed]:
        if str(path) not in ("", "boot"):
            raise ContentNotFound(str(path))
        names = [Listed("grub", None, 0.0), Listed("nbp.efi", 10, 900.0), Listed("a\nb", 1)]
        return names if path.parts else [Listed("boot")]


@implementer(IListeningPort)
class Port:
    """A port that nobody comes to by himself."""

    def __init__(self, address: str, number: int) -> None:
        self.closed = False
        self._host = TcpAddress("TCP", address, number)

    def startListening(self) -> None:
        """It does."""

    def getHost(self) -> IAddress:
        return self._host

    def stopListening(self) -> Deferred[None] | None:
        self.closed = True
        return None


class Wire(StringTransport):
    """A connection that ends when it is asked to, all having left."""

    protocol: Any = None
    aborted = False

    def loseConnection(self) -> None:
        super().loseConnection()
        self._end(ConnectionDone())

    def abortConnection(self) -> None:
        self.aborted = True
        self._end(ConnectionAborted())

    def _end(self, reason: Exception) -> None:
        if self.protocol is not None:
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(reason))


class FtpCase(SynchronousTestCase):
    settings = Settings()

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.files: dict[str, bytes | IContent | Exception] = {"boot/nbp.efi": b"0123456789"}
        self.store = Listing(self.files)
        self.boot = FakeBoot([self.store], tokens={"files:T": (KNOWN, "7"), "S": (KNOWN, "")})
        self.service = FtpService(self.settings, make_site(self.boot, reactor=self.clock))
        self.ports: list[tuple[DataPort, Port]] = []
        self.taken: set[int] = set()
        factory: Any = self.service.factory
        factory.listen = self._listen
        self.factory = self.service.factory
        self.control, self.session = self.connect(CLIENT)
        self.assertEqual(self._said(), "220 pxetwist\r\n")

    def connect(self, host: str, ours: IAddress = OURS) -> tuple[Wire, Any]:
        kind = IPv6 if ":" in host else TcpAddress
        theirs = kind("TCP", host, 4000)
        wire = Wire(hostAddress=ours, peerAddress=theirs)
        session: Any = self.factory.buildProtocol(theirs)
        wire.protocol = session
        session.makeConnection(wire)
        return wire, session

    def _listen(self, reactor: object, made: Any, address: str, port: int) -> Port:
        if port in self.taken:
            raise StartError("in use")
        self.ports.append((made, Port(address, port or 50000 + len(self.ports))))
        return self.ports[-1][1]

    def _said(self) -> str:
        said = str(self.control.value(), "utf-8", "surrogateescape")
        self.control.clear()
        return said

    def say(self, *lines: str) -> str:
        """Send commands, and return the answers."""
        for line in lines:
            if not self.session.disconnected:
                self.session.dataReceived(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self._said()

    def codes(self, *lines: str) -> list[str]:
        return [line[:3] for line in self.say(*lines).splitlines()]

    def log_in(self) -> None:
        self.assertEqual(self.codes("USER anonymous", "PASS me@example.net"), ["331", "230"])

    def data(self, peer: str = CLIENT) -> Wire | None:
        """Connect to the last port that was opened."""
        theirs = TcpAddress("TCP", peer, 5000)
        made = self.ports[-1][0].buildProtocol(theirs)
        if made is None:
            return None
        wire = Wire(hostAddress=OURS, peerAddress=theirs)
        wire.protocol = made
        made.makeConnection(wire)
        return wire

    def fetch(self, *commands: str) -> tuple[list[str], bytes]:
        """Return the answers to the last commands, and what came over the data connection."""
        self.say("PASV")
        wire = self.data()
        assert wire is not None
        return self.codes(*commands), wire.value()


class CommandTests(FtpCase):
    def test_a_guest_reads_a_file(self) -> None:
        verifyObject(IBootService, self.service)
        self.log_in()
        self.assertEqual(self.say("PASV"), "227 Entering Passive Mode (10,0,0,1,195,80).\r\n")
        wire = self.data()
        assert wire is not None
        self.assertEqual(
            self.say("RETR boot/nbp.efi"),
            "150 File status okay; about to open data connection.\r\n226 Transfer Complete.\r\n",
        )
        self.assertEqual(wire.value(), b"0123456789")
        self.assertTrue(self.ports[0][1].closed)
        request = self.store.asked[-1]
        self.assertEqual(request.protocol, Protocol.FTP)
        self.assertEqual(request.identity, ClientIdentity(address=request.identity.address))
        self.assertEqual(str(request.identity.address), CLIENT)
        [event] = self.boot.events
        self.assertEqual((event.kind, event.protocol), (EventKind.ENDED, "ftp"))
        self.assertIn("sent boot/nbp.efi, 10 bytes in", event.summary)
        self.assertEqual(self.service.counts()["transfers"], 1)

    def test_the_known_address_of_a_machine_makes_no_guest_that_machine(self) -> None:
        self.boot.identities[CLIENT] = (KNOWN, "3")
        self.log_in()
        self.say("SIZE boot/nbp.efi")
        self.assertEqual(self.store.asked[-1].identity.mac, "")

    def test_a_token_is_the_password_of_a_machine(self) -> None:
        self.assertEqual(self.codes("USER boot", "PASS nonsense"), ["331", "530"])
        self.assertEqual(self.codes("SIZE boot/nbp.efi"), ["530"])
        for token, boot_id in (("T", "7"), ("S", "")):
            self.assertEqual(self.codes("USER boot", f"PASS {token}"), ["331", "230"])
            self.say("SIZE boot/nbp.efi")
            request = self.store.asked[-1]
            self.assertEqual((request.identity.mac, request.boot_id), (KNOWN.mac, boot_id))

    def test_who_guesses_must_connect_again(self) -> None:
        for _ in range(2):
            self.assertEqual(self.codes("USER x", "PASS y"), ["331", "530"])
        self.assertEqual(self.codes("USER x", "PASS y", "USER x"), ["331", "530"])
        self.assertTrue(self.control.disconnecting)
        self.assertEqual(self.service.counts()["logins refused"], 3)

    def test_before_the_login(self) -> None:
        for command in ("RETR x", "LIST", "PASV", "EPSV", "CWD /", "PWD", "REST 1", "TYPE I"):
            self.assertEqual(self.codes(command), ["530"], command)
        self.assertEqual(self.codes("PASS x", "NOOP", "SYST"), ["503", "200", "215"])
        self.assertIn(" REST STREAM\r\n", self.say("FEAT"))
        self.assertEqual(self.ports, [])

    def test_the_rest_of_a_file(self) -> None:
        self.log_in()
        self.assertEqual(self.say("SIZE boot/nbp.efi"), "213 10\r\n")
        self.assertEqual(self.codes("REST 7"), ["350"])
        self.assertEqual(self.fetch("RETR boot/nbp.efi"), (["150", "226"], b"789"))
        self.assertEqual(self.fetch("RETR boot/nbp.efi"), (["150", "226"], b"0123456789"))
        self.say("REST 10")
        self.assertEqual(self.fetch("RETR boot/nbp.efi"), (["150", "226"], b""))
        self.say("REST 11")
        self.assertEqual(self.fetch("RETR boot/nbp.efi"), (["504"], b""))
        for wrong in ("-1", "x", "1" * 19, "²"):
            self.assertEqual(self.codes(f"REST {wrong}"), ["501"], wrong)

    def test_empty_files_and_such_as_are_cut_short(self) -> None:
        self.files["empty"] = b""
        self.files["cut"] = MemoryContent(b"123", ContentInfo(5))
        self.log_in()
        self.assertEqual(self.fetch("RETR empty"), (["150", "226"], b""))
        self.assertEqual(self.fetch("RETR cut"), (["150", "451"], b""))
        self.assertEqual(self.boot.events[-1].kind, EventKind.FAILED)

    def test_text_is_translated(self) -> None:
        self.files["grub.cfg"] = b"a\nb\n"
        self.log_in()
        self.assertEqual(self.codes("TYPE A"), ["200"])
        self.assertEqual(self.codes("SIZE grub.cfg"), ["504"])
        self.say("PASV")
        wire = self.data()
        self.assertEqual(self.codes("RETR grub.cfg"), [])
        self.clock.advance(0)
        self.assertEqual(self.codes("NOOP"), ["150", "226", "200"])
        assert wire is not None
        self.assertEqual(wire.value(), b"a\r\nb\r\n")

    def test_times(self) -> None:
        self.files["x"] = MemoryContent(b"", ContentInfo(0, 1700000000))
        self.log_in()
        self.assertEqual(self.say("MDTM x"), "213 20231114221320\r\n")

    def test_folders(self) -> None:
        self.log_in()
        self.assertEqual(self.codes("CWD /boot/grub", "CDUP"), ["250", "250"])
        self.assertEqual(self.say("PWD"), '257 "/boot"\r\n')
        self.assertEqual(self.say("SIZE nbp.efi"), "213 10\r\n")
        self.assertEqual(
            self.codes('CWD a"b', "CWD /" + "x" * 4090, "CWD y"), ["250"] * 2 + ["250"]
        )
        self.assertEqual(self.codes("CWD ../..", "CWD ../../..", "CWD /"), ["250", "550", "250"])

    def test_nothing_is_written(self) -> None:
        self.log_in()
        for command in ("STOR x", "APPE x", "DELE x", "MKD x", "RMD x", "RNFR x", "SITE CHMOD x"):
            self.assertEqual(self.codes(command), ["550"], command)
        self.assertEqual(
            self.codes("PORT 10,0,0,50,19,136", "EPRT |1|10.0.0.50|5000|"), ["502"] * 2
        )
        counts = self.service.counts()
        self.assertEqual((counts["writing refused"], counts["active mode refused"]), (7, 2))

    def test_what_cannot_be_had(self) -> None:
        self.files["denied"] = ContentDenied("no")
        self.files["broken"] = PolicyError("template: line 3")
        self.log_in()
        self.say("PASV")
        for name in ("none", "denied", "/", "../x", "a\\..\\..\\x", "\udcff"):
            self.assertEqual(self.codes(f"RETR {name}"), ["550"], name)
        self.assertEqual(self.codes("RETR broken"), ["451"])
        self.assertIn("template: line 3", self.boot.events[-1].summary)
        self.assertEqual(self.codes("RETR", "RETR boot/nbp.efi"), ["501", "150"])

    def test_garbage(self) -> None:
        self.assertEqual(self.codes("", "\0", "GET / HTTP/1.1", "\udcff\udcfe"), ["502"] * 4)
        self.assertEqual(self.codes("USER \r\0\x1b[2J"), ["331"])
        self.session.dataReceived(b"x" * 5000)
        self.assertEqual(self._said()[:3], "421")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_commands_ahead(self) -> None:
        self.log_in()
        self.say("PASV")
        self.assertEqual(self.codes("RETR boot/nbp.efi", "NOOP", "PWD"), ["150"])
        self.assertIsNotNone(self.data())
        self.assertEqual(self._said().count("\r\n"), 3)
        self.say("PASV", "RETR boot/nbp.efi", *["NOOP"] * 33)
        self.assertTrue(self.control.disconnecting)


class DataTests(FtpCase):
    def setUp(self) -> None:
        super().setUp()
        self.log_in()

    def test_extended_passive_mode(self) -> None:
        self.assertEqual(self.say("EPSV"), "229 Entering Extended Passive Mode (|||50000|).\r\n")
        self.assertEqual(self.codes("EPSV 2", "EPSV 9", "EPSV 1"), ["522", "522", "229"])
        self.assertTrue(self.ports[0][1].closed)
        self.assertEqual(self.codes("EPSV ALL", "PASV", "EPSV"), ["200", "503", "229"])

    def test_ipv6(self) -> None:
        self.control, self.session = self.connect("fd00::50", IPv6("TCP", "fd00::1", 21))
        self._said()
        self.log_in()
        self.assertEqual(self.codes("PASV", "EPSV 1", "EPSV 2"), ["502", "522", "229"])
        where: Any = self.ports[-1][1].getHost()
        self.assertEqual(where.host, "fd00::1")

    def test_the_ports_of_a_range(self) -> None:
        self.factory.ports = range(20000, 20003)
        self.taken = {20000, 20001}
        self.assertIn("(|||20002|)", self.say("EPSV"))
        self.taken = {20000, 20001, 20002}
        self.assertEqual(self.codes("EPSV"), ["425"])
        self.assertEqual(self.service.counts()["no port for data"], 1)

    def test_nobody_else_gets_the_data(self) -> None:
        self.say("PASV")
        self.assertIsNone(self.data("10.0.0.66"))
        self.assertEqual(self.service.counts()["data connections of others"], 1)
        self.assertIsNotNone(self.data())
        self.assertIsNone(self.data())

    def test_a_client_that_does_not_come_for_its_data(self) -> None:
        self.assertEqual(self.codes("RETR boot/nbp.efi"), ["503"])
        self.assertEqual(self.codes("PASV", "RETR boot/nbp.efi"), ["227", "150"])
        self.clock.advance(11)
        self.assertEqual(self._said()[:3], "425")
        self.assertTrue(self.ports[0][1].closed)

    def _begin_large(self) -> Wire:
        self.large = MemoryContent(b"x" * (1 << 20))
        self.files["large"] = self.large
        self.say("PASV")
        wire = self.data()
        assert wire is not None
        reads: list[Deferred[None]] = []

        def wait() -> Deferred[None]:
            reads.append(Deferred())
            return reads[-1]

        self.large.wait = wait
        self.assertEqual(self.codes("RETR large"), ["150"])
        reads[0].callback(None)
        self.assertEqual(len(wire.value()), 1 << 18)
        return wire

    def test_an_abort(self) -> None:
        wire = self._begin_large()
        self.session.dataReceived(b"\xff\xf4\xff\xf2ABOR\r\n")
        self.assertEqual(self.codes(), ["426", "226"])
        self.assertTrue(wire.aborted)
        self.assertTrue(self.large.closed)
        self.assertIn("stopped sending large after 256.0 KiB", self.boot.events[-1].summary)
        self.assertEqual(self.codes("ABOR", "NOOP"), ["226", "200"])

    def test_a_lost_data_connection(self) -> None:
        wire = self._begin_large()
        wire.protocol.connectionLost(Failure(ConnectionAborted()))
        self.assertEqual(self.codes(), ["426"])
        self.assertEqual(self.service.counts()["transfers broken off"], 1)
        self.assertEqual(self.boot.events[-1].kind, EventKind.FAILED)
        self.assertEqual(self.codes("NOOP"), ["200"])

    def test_a_lost_session(self) -> None:
        wire = self._begin_large()
        self.session.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(wire.aborted)
        self.assertTrue(self.large.closed)
        self.assertEqual(len(self.factory.sessions), 0)

    def test_nothing_moves(self) -> None:
        wire = self._begin_large()
        self.clock.advance(299)
        self.assertFalse(wire.aborted)
        self.clock.pump([300, 300])
        self.assertTrue(wire.aborted)
        self.assertEqual(self.codes(), ["426"])

    def test_a_connection_that_was_lost_before(self) -> None:
        self.say("PASV")
        wire = self.data()
        assert wire is not None
        wire.abortConnection()
        self.assertEqual(self.codes("RETR boot/nbp.efi"), ["150", "426"])

    def test_listings(self) -> None:
        codes, data = self.fetch("LIST -la boot")
        self.assertEqual(codes, ["150", "226"])
        self.assertEqual(
            data.decode(),
            "dr-xr-xr-x 1 ftp ftp            0 Jan 01 00:00 grub\r\n"
            "-r--r--r-- 1 ftp ftp           10 Jan 01 00:15 nbp.efi\r\n",
        )
        self.assertEqual(self.fetch("CWD boot", "NLST")[1], b"grub\r\nnbp.efi\r\n")
        self.assertEqual(self.fetch("LIST /")[1].split()[-1], b"boot")
        self.assertEqual(self.fetch("LIST none"), (["550"], b""))


class LimitTests(FtpCase):
    settings = Settings(max_connections=3, max_per_client=2, anonymous=False)

    def test_no_guests(self) -> None:
        self.assertEqual(self.codes("USER anonymous", "PASS x"), ["331", "530"])

    def test_idle_clients_are_sent_away(self) -> None:
        self.clock.advance(301)
        self.assertEqual(self._said()[:3], "421")
        self.assertTrue(self.control.disconnecting)
        self.assertEqual(self.service.counts()["idle connections closed"], 1)
        self.assertEqual(len(self.factory.sessions), 0)

    def test_so_many_and_no_more(self) -> None:
        self.connect(CLIENT)
        wire, _ = self.connect(CLIENT)
        self.assertEqual(wire.value()[:4], b"421 ")
        other, session = self.connect("10.0.0.51")
        self.assertEqual(other.value()[:4], b"220 ")
        wire, _ = self.connect("10.0.0.52")
        self.assertEqual(wire.value()[:4], b"421 ")
        session.connectionLost(Failure(ConnectionDone()))
        wire, _ = self.connect("10.0.0.52")
        self.assertEqual(wire.value()[:4], b"220 ")
        counts = self.service.counts()
        self.assertEqual(counts["too many connections"], 1)
        self.assertEqual(counts["too many connections of one client"], 1)
        self.assertEqual(counts["connections"], 4)

    def test_the_end_of_the_service(self) -> None:
        self.codes("USER boot", "PASS T", "PASV", "RETR boot/nbp.efi")
        idle, _ = self.connect("10.0.0.51")
        stopped = self.service.stopService()
        self.assertTrue(idle.disconnecting)
        self.assertFalse(self.control.disconnecting)
        self.assertNoResult(stopped)
        self.assertIsNotNone(self.data())
        self.assertIn("226 ", self._said())
        self.successResultOf(stopped)
        wire, _ = self.connect("10.0.0.53")
        self.assertEqual(wire.value()[:4], b"421 ")
