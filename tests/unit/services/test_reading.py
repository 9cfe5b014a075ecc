"""What every socket of the reactor does, whatever it is for."""

from __future__ import annotations

import socket

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.services.reading import SocketReader
from tests.unit.services.test_sockets import Reactor


class Lines(SocketReader):
    """Keeps what arrives; breaks at ``break``, cannot read at ``fail``, ends at ``end``."""

    batch = 3

    def __init__(self, reactor: Reactor, opened: socket.socket) -> None:
        super().__init__(reactor)
        self._socket = opened
        self.seen: list[bytes] = []

    def _read(self, opened: socket.socket) -> None:
        data = opened.recv(99)
        match data:
            case b"break":
                raise KeyError("a mistake")
            case b"fail":
                raise OSError(100, "Network is down")
            case b"end":
                self.stop()
        self.seen.append(data)


class SocketReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.peer, opened = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.peer.close)
        opened.setblocking(False)
        self.reader = Lines(self.reactor, opened)
        self.addCleanup(self.reader.stop)
        self.reader.start()

    def read(self, *packets: bytes) -> list[bytes]:
        for packet in packets:
            self.peer.send(packet)
        self.reader.doRead()
        return self.reader.seen

    def test_the_reactor_stops(self) -> None:
        verifyObject(IReadDescriptor, self.reader)
        self.assertEqual(self.reactor.readers, [self.reader])
        self.assertEqual(self.reader.logPrefix(), "Lines")
        self.reader.connectionLost(Failure(ConnectionDone()))
        self.reader.stop()
        self.assertEqual((self.reactor.readers, self.reader.fileno()), ([], -1))

    def test_one_batch_at_a_time(self) -> None:
        self.assertEqual(self.read(b"1", b"2", b"3", b"4"), [b"1", b"2", b"3"])
        self.assertEqual(self.read(), [b"1", b"2", b"3", b"4"])

    def test_what_cannot_be_read_is_counted(self) -> None:
        self.assertEqual(self.read(b"fail", b"1"), [b"1"])
        self.assertEqual(self.reader.failures, {"ENETDOWN": 1})

    def test_a_mistake_does_not_end_it(self) -> None:
        self.assertEqual(self.read(b"break", b"1"), [b"1"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(self.reactor.readers, [self.reader])

    def test_stopped_while_it_reads(self) -> None:
        self.assertEqual(self.read(b"end", b"1"), [b"end"])
