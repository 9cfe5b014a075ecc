"""The syslog service: whose lines become events, and how many of them."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.config.server import spelled
from pxetwist.errors import StateUnavailable
from pxetwist.interfaces import IBootService
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.services.syslog import Settings, SyslogService
from pxetwist.testing import FakeBoot, MemoryNetwork, make_site

SERVER = ("10.0.0.1", 514)
MAC = "52:54:00:12:34:56"
KNOWN, STRANGER, BOOTED = "10.0.0.50", "10.0.0.66", "10.0.0.51"


class SlowBoot(FakeBoot):
    """Finds out who speaks when `found` is called back."""

    found: Deferred[None]

    async def identify(self, address: str, now: float) -> tuple[ClientIdentity, str]:
        await self.found
        return await super().identify(address, now)


class SyslogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.network.clock.advance(1000)
        self.boot = FakeBoot(machine=Machine("ws1", (MAC,)))
        self.know(self.boot)
        self.service = self.start()

    def know(self, boot: FakeBoot) -> None:
        boot.identities[KNOWN] = (ClientIdentity(mac=MAC, address=IPv4Address(KNOWN)), "1a2b")

    def start(self, **settings: object) -> SyslogService:
        site = make_site(self.boot, reactor=self.network.clock)
        service = SyslogService(Settings(**settings), site, self.network.socket)  # type: ignore[arg-type]  # of any test
        service.privilegedStartService()
        service.startService()
        return service

    def say(self, *lines: bytes, sender: str = KNOWN) -> None:
        client = self.network.client(sender, 2000 + len(self.network.clients))
        for line in lines:
            client.send(line, SERVER)
        self.network.clock.advance(0)

    def said(self) -> list[str]:
        return [f"{event.machine}: {event.summary}" for event in self.boot.events]

    def test_interface(self) -> None:
        verifyObject(IBootService, self.service)
        self.assertIn("udp 0.0.0.0:514", map(spelled, self.service.listening()))
        self.service.stopService()
        self.assertEqual(self.service.listening(), [])

    def test_a_line(self) -> None:
        self.say(b"<11>ws1 ipxe: no such file\x1b[2J")
        (event,) = self.boot.events
        self.assertEqual((event.kind, event.protocol), (EventKind.SAID, "syslog"))
        self.assertEqual((event.machine, event.boot_id, event.time), ("ws1", "1a2b", 1000))
        self.assertEqual(event.summary, r"ipxe: no such file\x1b[2J")
        self.assertEqual(event.details["severity"], "error")
        self.assertEqual(event.details["facility"], "user")
        self.assertEqual(self.service.counts(), {"taken": 1})

    def test_empty_lines(self) -> None:
        self.say(b"", b"<13>", b"<13>\r\n", b"<13>ws1 ipxe: \0", b"<13>x")
        self.assertEqual(self.said(), ["ws1: x"])
        self.assertEqual(self.service.counts(), {"empty": 4, "taken": 1})

    def test_length(self) -> None:
        self.service.stopService()
        self.service = self.start(max_length=80)
        self.say(b"<13>" + b"x" * 5000)
        self.assertEqual(self.said(), ["ws1: " + "x" * 76])
        self.assertEqual(self.service.counters["cut"], 1)

    def test_strangers(self) -> None:
        """They are counted; who wants to read them says so."""
        self.boot.machine = None
        self.say(b"<13>hello", sender=STRANGER)
        self.boot.identities[BOOTED] = (ClientIdentity(mac="52:54:00:00:00:09"), "")
        self.say(b"<13>hello", sender=BOOTED)
        self.assertEqual((self.said(), self.service.counts()), ([], {"of strangers": 2}))
        self.service.stopService()
        self.service = self.start(strangers=True)
        self.say(b"<13>hello", sender=STRANGER)
        self.say(b"<13>hello", sender=BOOTED)
        self.assertEqual(self.said(), [f"{STRANGER}: hello", "52:54:00:00:00:09: hello"])

    def test_who_booted_from_here(self) -> None:
        """No directory knows it, but its boot is known."""
        self.boot.machine = None
        self.say(b"<13>hello")
        self.assertEqual(self.said(), [f"{MAC}: hello"])

    def test_rate(self) -> None:
        self.service.stopService()
        self.service = self.start(rate=2)
        self.say(*[b"<13>x"] * 50)
        self.assertEqual(len(self.boot.events), 20)
        self.assertEqual(self.service.counters["too many of one sender"], 30)
        self.network.clock.advance(1)
        self.say(*[b"<13>y"] * 3)
        lost = "ws1: y (30 lines were dropped)"
        self.assertEqual(self.said()[20:], [lost, "ws1: y"])

    def test_rate_of_all(self) -> None:
        """However many senders there are, so much is written in a second."""
        self.service.stopService()
        self.service = self.start(strangers=True)
        for number in range(100):
            self.say(*[b"<13>x"] * 30, sender=f"10.0.1.{number + 1}")
        self.assertEqual(len(self.boot.events), 1000)
        self.assertGreater(self.service.counters["too many of all"], 1000)

    def test_invented_senders(self) -> None:
        """They take nothing from those who are known; so many are looked up in a second."""
        self.say(b"<13>before")
        self.boot.machine = None
        for number in range(1000):
            self.say(*[b"<13>x"] * 3, sender=f"10.1.{number // 250}.{number % 250 + 1}")
        self.say(b"<13>after")
        self.assertEqual(self.said(), ["ws1: before", "ws1: after"])
        self.assertEqual(self.service.counters["of strangers"], 3 * 199)
        self.assertEqual(self.service.counters["too many senders at once"], 3 * 801)

    def test_severity(self) -> None:
        self.service.stopService()
        self.service = self.start(severity="warning")
        self.say(b"<12>grave", b"<13>not so")
        self.assertEqual(self.said(), ["ws1: grave"])
        self.assertEqual(self.service.counters["not grave enough"], 1)

    def test_garbage(self) -> None:
        self.say(b"<999>x", b"<x", b"")
        self.assertEqual(self.service.counters["a priority that is too high"], 1)
        self.assertEqual(self.service.counters["a priority that is none"], 1)

    def test_order_while_it_is_found_out(self) -> None:
        """Nothing is overtaken, and nothing is asked twice."""
        self.service.stopService()
        self.boot = SlowBoot(machine=Machine("ws1", (MAC,)))
        self.boot.found = Deferred()
        self.know(self.boot)
        self.service = self.start(rate=1)
        self.say(*(b"<13>%d" % number for number in range(30)))
        self.assertEqual(self.said(), [])
        self.boot.found.callback(None)
        first, *others = self.said()
        self.assertEqual(first, "ws1: 0 (20 lines were dropped)")
        self.assertEqual(others, [f"ws1: {number}" for number in range(1, 10)])
        self.assertEqual(self.service.counters["too many of one sender"], 20)

    def test_the_leases_cannot_be_asked(self) -> None:
        """Counted, and tried again with the next line."""
        self.service.stopService()
        self.boot = SlowBoot(machine=Machine("ws1", (MAC,)))
        self.boot.found = fail(StateUnavailable("away"))
        self.know(self.boot)
        self.service = self.start()
        self.say(b"<13>x")
        self.assertEqual(self.service.counts(), {"could not be told apart": 1})
        self.boot.found = succeed(None)
        self.say(b"<13>y")
        self.assertEqual(self.said(), ["ws1: y"])

    def test_so_many_are_asked_for_at_once(self) -> None:
        self.service.stopService()
        self.boot = SlowBoot()
        self.boot.found = Deferred()
        self.service = self.start()
        for number in range(100):
            self.say(b"<13>x", sender=f"10.0.1.{number + 1}")
        self.assertEqual(self.service.counters["too many senders at once"], 36)
        self.service.stopService()  # nobody waits any more
        self.assertEqual(self.flushLoggedErrors(), [])
