"""The processes that serve contents, without any."""

from __future__ import annotations

import io
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from signal import SIGHUP, SIGKILL, SIGTERM, SIGUSR2
from typing import Any

import attrs
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.errors import StartError
from pxetwist.interfaces import ISharesPorts, Port
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.services.workers import processes as workers
from pxetwist.services.workers.duty import Duty
from pxetwist.services.workers.feed import FEED, EventFeed, Feed, LogFeed
from pxetwist.services.workers.processes import Workers

PORT = Port("tcp", "127.0.0.1", 80)


@attrs.define
class FakeSocket:
    """One of several of a port."""

    number: int
    open: bool = True

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        self.open = False


@attrs.define
class FakeProcess:
    """What was spawned; :meth:`end` lets it end, and :meth:`tells` lets it tell something."""

    protocol: Any
    command: Sequence[str]
    descriptors: Mapping[int, Any]
    pid: int
    signals: list[int] = attrs.field(factory=list)
    written: bytes = b""

    def writeToChild(self, child: int, data: bytes) -> None:
        self.written += data

    def signalProcess(self, number: int) -> None:
        self.signals.append(number)

    def end(self, number: int | None = None) -> None:
        ended = ProcessTerminated(signal=number) if number else ProcessDone(0)
        self.protocol.processEnded(Failure(ended))

    def tells(self, kind: str, *values: object) -> None:
        self.feed.tell(kind, *values)

    @property
    def feed(self) -> Feed:
        def write(data: memoryview) -> int:
            self.protocol.childDataReceived(FEED, bytes(data))
            return len(data)

        return Feed(write)


class Reactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []

    def spawnProcess(
        self, protocol: Any, program: str, args: Sequence[str], env: Any, childFDs: Any
    ) -> FakeProcess:
        made = FakeProcess(protocol, args, childFDs, 100 + len(self.processes))
        self.processes.append(made)
        return made


@implementer(ISharesPorts)
class Web:
    def ports(self) -> Sequence[Port]:
        return [PORT]


class WorkersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.told: list[BootEvent] = []
        self.prepared: list[int] = []
        self.sockets: list[FakeSocket] = []
        self.patch(workers, "bound_together", self.bound)
        self.patch(workers, "spoken_of", lambda bound: "the port")
        self.workers = Workers(
            self.reactor,
            2,
            {"web": Web()},
            texts={"pxe.ini": "[pxe]"},
            key="6b",
            tell=self.told.append,
            prepare=lambda: self.prepared.append(len(self.reactor.processes)),
        )
        self.workers.command = lambda number: ["worker", str(number)]

    def bound(self, port: Port, count: int, reactor: object) -> list[FakeSocket]:
        made = [FakeSocket(30 + number) for number in range(count)]
        self.sockets += made
        return made

    def start(self) -> list[FakeProcess]:
        self.workers.privilegedStartService()
        self.workers.startService()
        return self.reactor.processes

    def logged(self, events: Sequence[LogEvent]) -> list[str]:
        return [event["log_format"].format(**event) for event in events]

    def test_what_a_worker_is_given(self) -> None:
        first, second = self.start()
        self.assertEqual(self.prepared, [0], "before the first one")
        self.assertEqual((first.command, second.command), (["worker", "1"], ["worker", "2"]))
        self.assertEqual(second.descriptors, {0: "w", 1: "r", 2: "r", 3: "r", 10: 31})
        duty = Duty.read(io.BytesIO(second.written))
        self.assertEqual((duty.number, duty.services, duty.ports), (2, ("web",), {PORT: 10}))
        self.assertEqual((duty.texts, duty.key), ({"pxe.ini": "[pxe]"}, "6b"))
        self.assertEqual(self.workers.listening("web"), ["the port"])
        self.assertEqual(self.workers.listening("other"), ())

    def test_a_port_that_cannot_be_taken(self) -> None:
        def fails(*words: object) -> None:
            raise StartError("tcp port 80 is in use")

        self.patch(workers, "bound_together", fails)
        error = self.assertRaises(StartError, self.workers.privilegedStartService)
        self.assertEqual(str(error), "[service:web] tcp port 80 is in use")

    def test_one_that_ends_is_replaced(self) -> None:
        """At once, then later and later; one that lived long at once again."""
        victim = self.start()[0]
        self.reactor.advance(1)
        with capturedLogs() as events:
            victim.end(SIGKILL)
        expected = "worker 1 has ended (signal 9); another one starts"
        self.assertEqual(self.logged(events), [expected])
        self.assertTrue(self.workers.status()[0].startswith("worker 1 has ended, another"))
        self.reactor.advance(0)
        pauses = []
        for _ in range(8):
            count = len(self.reactor.processes)
            self.reactor.processes[-1].end(SIGKILL)
            before = self.reactor.seconds()
            while len(self.reactor.processes) == count:
                self.reactor.advance(0.5)
            pauses.append(self.reactor.seconds() - before)
        self.assertEqual(pauses, [0.5, 1, 2, 4, 8, 16, 30, 30])
        again = self.reactor.processes[-1]
        self.assertEqual((again.command, again.descriptors[10]), (["worker", "1"], 30))
        self.reactor.advance(61)
        again.end()
        self.reactor.advance(0)
        self.assertEqual(len(self.reactor.processes), 12)
        self.assertTrue(all(each.open for each in self.sockets))

    def test_reload(self) -> None:
        """A signal before it is ready would end it."""
        first, second = self.start()
        first.tells("ready")
        self.workers.reload()
        self.assertEqual((first.signals, second.signals), ([SIGHUP], []))
        second.tells("ready")
        self.assertEqual(second.signals, [SIGHUP])
        second.tells("ready")
        self.assertEqual(second.signals, [SIGHUP])

    def test_counters(self) -> None:
        first, second = self.start()
        first.tells("ready")
        self.assertEqual(
            self.workers.status(),
            ["worker 1 serves (process 100)", "worker 2 starts (process 101)"],
        )
        with capturedLogs() as events:
            first.tells("counts", {"service web": {"200": 3}})
        self.assertEqual(self.logged(events), ["service web of all workers: 200 3"])
        second.tells("ready")
        self.workers.status()
        self.assertEqual((first.signals, second.signals), ([SIGUSR2] * 2, [SIGUSR2]))
        with capturedLogs() as events:
            for each in (first, first, second):
                each.tells("counts", {"service web": Counter({"200": 3, "404": 1})})
        self.assertEqual(self.logged(events), ["service web of all workers: 200 6, 404 2"])
        self.workers.status()
        first.tells("counts", {"service web": {}})
        with capturedLogs() as events:
            self.reactor.advance(2)
        line = "service web of all workers, 1 did not answer: nothing yet"
        self.assertEqual(self.logged(events), [line])

    def test_what_they_tell(self) -> None:
        first, second = self.start()
        event = BootEvent(1.0, EventKind.ENDED, "tftp", "ws1", details={"size": 3})
        EventFeed(second.feed).notice(event)
        self.assertEqual(self.told, [attrs.evolve(event, details={"size": 3, "worker": 2})])
        with capturedLogs() as events:
            Logger("service:web", observer=LogFeed(first.feed)).warn("{x}", x="{curly}")
            first.protocol.childDataReceived(2, b"pxe.ini:1: a mistake\n")
        line, printed = events
        self.assertEqual(line["log_namespace"], "worker 1 service:web")
        self.assertEqual(line["log_level"].name, "warn")
        self.assertEqual(
            self.logged([line, printed]), ["{curly}", "worker 1: pxe.ini:1: a mistake"]
        )

    def test_nonsense(self) -> None:
        first, second = self.start()
        first.protocol.childDataReceived(FEED, b"\0\0\0\1x")
        self.assertEqual((first.signals, second.signals), ([SIGKILL], []))

    def test_stop(self) -> None:
        first, second = self.start()
        first.tells("ready")
        self.workers.status()
        stopped = self.workers.stopService()
        for each in (first, second):
            self.assertEqual(each.signals[-1], SIGTERM)
        first.end()
        self.reactor.advance(10)
        self.assertNoResult(stopped)
        self.assertEqual((first.signals[-1], second.signals[-1]), (SIGTERM, SIGKILL))
        self.assertTrue(all(each.open for each in self.sockets))
        second.end(SIGKILL)
        self.successResultOf(stopped)
        self.assertFalse(any(each.open for each in self.sockets))
        self.assertEqual((self.reactor.getDelayedCalls(), len(self.reactor.processes)), ([], 2))

    def test_stop_while_one_is_to_be_replaced(self) -> None:
        first, second = self.start()
        first.end(signal.SIGSEGV)
        stopped = self.workers.stopService()
        second.end()
        self.successResultOf(stopped)
        self.assertEqual((self.reactor.getDelayedCalls(), len(self.reactor.processes)), ([], 2))
