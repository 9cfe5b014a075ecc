"""Which TFTP requests are answered, in which order."""

from __future__ import annotations

from collections import Counter

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.interfaces import Port
from pxetwist.services.sockets import Arrival, Binding
from pxetwist.services.tftp.admission import (
    OTHERS_WAITING,
    PER_ADDRESS,
    Asked,
    Bounds,
    TransferAdmission,
)
from pxetwist.testing import MemoryNetwork
from pxetwist.wire.tftp import ReadRequest

ARRIVAL = Arrival("eth0", 2, "10.0.0.1", "10.0.0.1")


class AdmissionTests(SynchronousTestCase):
    """The process is as busy as `busy` says; what was begun runs until :meth:`end`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        network = MemoryNetwork(self.clock)
        self.socket = network.socket(self.clock, None, Binding(Port("udp", "", 69)))  # type: ignore[arg-type]  # unused
        self.begun: list[str] = []
        self.running = 0
        self.busy = 1.0
        self.used = 0.0
        self.counters: Counter[str] = Counter()
        self.admission = TransferAdmission(
            self.clock,
            self.counters,
            Bounds(at_once=2, patience=10.0),
            begin=self.begin,
            load=lambda: self.running,
            used=lambda: self.used,
        )

    def begin(self, asked: Asked) -> None:
        self.begun.append(asked.peer[0])
        self.running += asked.known  # a stranger counts when it has answered

    def ask(self, *addresses: str, known: bool = True, port: int = 2000) -> None:
        for address in addresses:
            packet, now = ReadRequest(b"nbp"), self.clock.seconds()
            peer = (address, port)
            self.admission.take(Asked(packet, self.socket, peer, ARRIVAL, now, known))
        self.clock.advance(0)

    def end(self, number: int = 1) -> None:
        self.running -= number
        self.admission.go_on()
        self.pass_time(0.2)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.used += 0.05 * self.busy
            self.clock.advance(0.05)

    def test_the_first_come_first(self) -> None:
        self.ask("a", "b", "c", "d")
        self.pass_time(1)
        self.ask("c")  # again: it keeps its place
        self.assertEqual((self.begun, len(self.admission)), (["a", "b"], 2))
        self.end()
        self.assertEqual(self.begun, ["a", "b", "c"])
        self.end()
        self.assertEqual((self.begun, len(self.admission)), (["a", "b", "c", "d"], 0))
        self.assertEqual(self.counters, {"had to wait": 2})

    def test_nobody_waits_for_too_long(self) -> None:
        self.ask("a", "b", "c")
        self.pass_time(9)
        self.assertEqual(self.begun, ["a", "b"])
        self.pass_time(2)
        self.assertEqual(self.begun, ["a", "b", "c"])
        self.assertEqual(self.counters["waited for long"], 1)

    def test_slow_clients_do_not_keep_others_waiting(self) -> None:
        """As long as the process has time, it takes more than the bound."""
        self.busy = 0.3
        self.ask(*"abcdefgh")
        self.pass_time(1)
        self.assertEqual(self.begun, list("abcdefgh"))

    def test_known_machines_come_first(self) -> None:
        self.running = 2
        self.ask("a", "b", known=False)
        self.ask("c")
        self.assertEqual(self.begun, [])
        self.end()
        self.assertEqual(self.begun, ["c"])
        self.end()
        self.assertEqual(self.begun, ["c", "a", "b"])

    def test_floods_are_bounded(self) -> None:
        self.running = 2
        for number in range(2000):
            self.ask(f"x{number}", known=False)
        self.assertEqual(len(self.admission), OTHERS_WAITING)
        self.assertEqual(self.counters["no room to wait"], 2000 - OTHERS_WAITING)
        self.ask("known")
        for port in range(1000):
            self.ask("one", port=port)
        self.assertEqual(len(self.admission), OTHERS_WAITING + 1 + PER_ADDRESS)
        self.assertEqual(self.counters["too many requests of one client"], 1000 - PER_ADDRESS)
        self.end()
        self.assertEqual(self.begun, ["known"])
        self.admission.stop()
        self.assertEqual((len(self.admission), self.clock.getDelayedCalls()), (0, []))
