"""What a DHCP port hears of a flood."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Interface
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.machine import Machine
from pxetwist.services.dhcp import admission
from pxetwist.services.dhcp.admission import Admission
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Arrival
from pxetwist.testing import FakeBoot, make_site

KNOWN = bytes.fromhex("525400000001")
PEER = ("0.0.0.0", 68)
ARRIVAL = Arrival("eth0", 2, "10.0.0.1", "255.255.255.255")


def message(mac: bytes, giaddr: bytes = bytes(4), xid: int = 7) -> bytes:
    head = bytes([1, 1, 6, 0]) + xid.to_bytes(4, "big") + bytes(16) + giaddr
    return head + mac.ljust(16, b"\0") + bytes(192) + bytes.fromhex("63825363350101ff")


def stranger(number: int) -> bytes:
    return message(b"\x02\0" + number.to_bytes(4, "big"))


class Port:
    """Keeps what it is given; each message takes it `takes` seconds, or for ever if it waits."""

    interface = NetworkInterface("eth0", 2, IPv4Interface("10.0.0.1/24"), "", 1)
    waits = False
    takes = 0.0

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.counters: Counter[str] = Counter()
        self.taken: list[bytes] = []
        self.in_flight = 0
        self.batches = 0

    def received(self, data: bytes, peer: tuple[str, int], arrival: Arrival) -> None:
        assert (peer, arrival) == (PEER, ARRIVAL)
        self.taken.append(data)
        self.in_flight += self.waits
        self.clock.advance(self.takes)

    def drained(self) -> None:
        self.batches += 1


class Seconds(Clock):
    """A clock whose calls come when the test says so, though it goes on while a port works."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount

    def run(self) -> None:
        super().advance(0)


class AdmissionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Seconds()
        self.port = Port(self.clock)
        boot: Any = FakeBoot(machine=Machine("ws1", (KNOWN.hex(":"),)))
        self.admission = Admission(self.port, make_site(boot, reactor=self.clock))

    def hear(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.admission.received(data, PEER, ARRIVAL)
        self.admission.drained()

    def test_without_a_flood(self) -> None:
        """Everybody is heard in the same turn."""
        self.hear(stranger(1), message(KNOWN), stranger(2))
        self.assertEqual(self.port.taken, [message(KNOWN), stranger(1), stranger(2)])
        self.assertEqual((self.port.batches, self.port.counters), (1, Counter()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_known_machines_come_first(self) -> None:
        """However many strangers wait; those who find no place are dropped, and counted."""
        self.port.takes = 0.001
        strangers = [stranger(n) for n in range(admission.WAITING + 100)]
        self.hear(*strangers, message(KNOWN))
        self.assertEqual(self.port.taken[:2], [message(KNOWN), strangers[0]])
        self.assertLess(len(self.port.taken), 10)
        self.assertEqual(self.port.counters, {"dropped of others": 100})
        for _ in range(1000):
            self.clock.run()
        self.assertEqual(len(self.port.taken), admission.WAITING + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_glance(self) -> None:
        """Once nobody else finds a place, strangers are dropped unread."""
        unread = bytearray(stranger(5)), len(stranger(5))
        self.assertTrue(self.admission.glance(*unread))
        self.port.waits = True
        self.hear(*(stranger(n) for n in range(admission.WAITING + admission.OTHERS_AT_ONCE)))
        for n in range(admission.OTHERS_AT_ONCE):
            self.admission.received(stranger(n), PEER, ARRIVAL)
        self.assertFalse(self.admission.glance(*unread))
        self.assertTrue(self.admission.glance(bytearray(message(KNOWN)), 300))

    def test_reading_comes_before_strangers(self) -> None:
        """While whole batches arrive, others get one short spell in each turn of the reactor."""
        self.port.takes = 0.0005
        taken = []
        for _ in range(3):  # the port is read again before the reactor comes to its calls
            for number in range(200):
                self.admission.glance(bytearray(stranger(number)), 300)
            self.hear(*(stranger(n) for n in range(200)))
            taken.append(len(self.port.taken))
        self.assertEqual(taken, [2, 2, 2])
        self.clock.run()
        self.assertEqual(len(self.port.taken), 600)

    def test_at_once(self) -> None:
        """While a directory is slow, strangers take few places; known machines have theirs."""
        self.port.waits = True
        self.hear(*(stranger(n) for n in range(200)))
        self.assertEqual(self.port.in_flight, admission.OTHERS_AT_ONCE)
        self.hear(message(KNOWN))
        self.assertEqual(self.port.taken[-1], message(KNOWN))
        self.port.in_flight = 10
        self.clock.advance(1)
        self.clock.run()
        self.assertEqual(self.port.in_flight, admission.OTHERS_AT_ONCE)
        self.port.in_flight = admission.KNOWN_AT_ONCE
        self.hear(message(KNOWN))
        self.assertEqual(self.port.counters, {"dropped of known machines": 1})

    def test_one_client(self) -> None:
        """It is heard so often in a second, known or not; behind a relay it is another one."""
        for mac in (KNOWN, b"\x02\0\0\0\0\1"):
            self.hear(*(message(mac, xid=n) for n in range(admission.PER_CLIENT + 50)))
        self.assertEqual(len(self.port.taken), 2 * admission.PER_CLIENT)
        self.assertEqual(self.port.counters, {"too many of one client": 100})
        self.hear(message(KNOWN, giaddr=bytes([10, 1, 0, 1])))
        self.clock.advance(1)
        self.hear(message(KNOWN))
        self.assertEqual(len(self.port.taken), 2 * admission.PER_CLIENT + 2)

    def test_what_is_no_message(self) -> None:
        whole = message(KNOWN)
        self.hear(b"", whole[:235], b"\2" + whole[1:], whole[:2] + b"\x11" + whole[3:])
        self.hear(whole + bytes(admission.LONGEST))
        self.assertEqual(self.port.counters, {"malformed": 4, "oversized": 1})
        self.assertEqual(self.port.taken, [])

    def test_sizes_are_judged_at_a_glance(self) -> None:
        """So that they are counted as what they are, also in a flood."""
        for size in (0, 235, 236, 4096, 4097):
            self.admission.glance(bytearray(5000), size)
        self.assertEqual(self.port.counters, {"malformed": 2, "oversized": 1})

    def test_what_is_remembered_is_bounded(self) -> None:
        self.patch(admission, "_REMEMBERED", 4)
        for number in range(40):
            self.hear(stranger(number))
        self.assertLessEqual(len(self.admission._heard), 4)
        self.assertEqual(len(self.port.taken), 40)

    def test_it_is_told_once_a_minute(self) -> None:
        with capturedLogs() as events:
            for _ in range(5):
                self.port.waits = True
                self.hear(*(stranger(n) for n in range(admission.WAITING + 200)))
                self.clock.advance(20)
        lines = [formatEvent(each) for each in events if each["log_namespace"] == "pxetwist.test"]
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], "eth0: more messages than can be answered, .* dropped")

    def test_stopped(self) -> None:
        self.port.waits = True
        self.hear(*(stranger(n) for n in range(200)))
        self.admission.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
