"""What workers tell the server."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.interfaces import Port
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.services.workers.duty import Duty
from pxetwist.services.workers.feed import EventFeed, Feed, LogFeed, Pieces


class FeedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent = bytearray()
        self.feed = Feed(self.write)

    def write(self, data: memoryview) -> int:
        """Take a little at a time, as pipes do."""
        self.sent += data[:5]
        return min(len(data), 5)

    def told(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return what arrives, in pieces as small as they can be."""
        pieces = Pieces()
        return [told for byte in self.sent for told in pieces.add(bytes([byte]))]

    def test_counters(self) -> None:
        self.feed.tell("ready")
        self.feed.tell("counts", {"service http": {"200": 3}})
        self.assertEqual(self.told(), [("ready", ()), ("counts", ({"service http": {"200": 3}},))])

    def test_lines_of_the_log(self) -> None:
        log = Logger("service:http", observer=LogFeed(self.feed))
        log.warn("{n} of\nthem", n=3)
        try:
            raise KeyError("oh")
        except KeyError:
            log.failure("broke")
        for quiet in ("twisted.internet.base", "log_legacy"):
            Logger(quiet, observer=LogFeed(self.feed)).info("starting")
        first, second = self.told()
        self.assertEqual(first, ("log", ("service:http", "warn", "3 of\nthem")))
        self.assertEqual(second[1][:2], ("service:http", LogLevel.critical.name))
        self.assertIn("Traceback", second[1][2])

    def test_events(self) -> None:
        event = BootEvent(1.0, EventKind.ENDED, "tftp", "ws1", "1a2b", "loader", "sent", {"n": 1})
        observer = EventFeed(self.feed)
        observer.notice(event)
        odd = object()
        observer.notice(
            BootEvent(1.0, EventKind.ENDED, "tftp", "ws1", details={"odd": odd, "n": 1})
        )
        (_, (first,)), (_, (second,)) = self.told()
        self.assertEqual(first, event)
        self.assertEqual(second.details, {"odd": str(odd), "n": "1"})

    def test_what_is_no_value(self) -> None:
        self.assertRaises(ValueError, list, Pieces().add(b"\0\0\0\3cos"))


class DutyTests(SynchronousTestCase):
    def test_as_a_line(self) -> None:
        import io

        ports = {Port("udp", "0.0.0.0", 69, "eth0"): 10, Port("tcp", "::", 80): 11}
        duty = Duty(2, ("tftp", "http"), ports, {"pxe.ini": "[pxe]\nservices = é"}, 7)
        self.assertEqual(Duty.read(io.BytesIO(duty.written() + b"more")), duty)
