"""The watch on interfaces, with the kernel of this host."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.services import interface_watch
from pxetwist.services.interface_watch import InterfaceWatch
from pxetwist.services.interfaces import NetworkInterface


class Reactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.readers: list[object] = []

    def addReader(self, reader: object) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.remove(reader)


class InterfaceWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.told: list[object] = []
        self.watch = InterfaceWatch(self.reactor, self.told.append)
        self.addCleanup(self.watch.stop)

    def test_start_and_stop(self) -> None:
        self.watch.start()
        self.assertIn("lo", [each.name for each in self.watch.present])
        self.assertEqual(self.reactor.readers, [self.watch])
        self.watch.stop()
        self.watch.stop()
        self.assertEqual((self.reactor.readers, self.watch.fileno()), ([], -1))

    def test_hints_are_looked_at_together(self) -> None:
        """Only what has changed is told, and once."""
        self.watch.start()
        new = [NetworkInterface("eth9", 9, None, "", 1)]
        self.watch.doRead()
        self.reactor.advance(1)
        self.assertEqual(self.told, [])
        self.patch(interface_watch, "network_interfaces", lambda: new)
        self.watch.doRead()
        self.watch.doRead()
        self.reactor.advance(1)
        self.assertEqual(self.told, [new])
        self.assertEqual(self.watch.present, new)

    def test_what_was_lost_is_found(self) -> None:
        """An overrun is reported as an error, which the reactor takes for the end."""
        self.watch.start()
        new = [NetworkInterface("eth9", 9, None, "", 1)]
        self.patch(interface_watch, "network_interfaces", lambda: new)
        self.reactor.removeReader(self.watch)
        self.watch.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.reactor.readers, [self.watch])
        self.reactor.advance(1)
        self.assertEqual(self.told, [new])
