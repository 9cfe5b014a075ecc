"""How the bytes of a content get onto a connection."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import ContentError
from pxetwist.exchange.http import Span
from pxetwist.services.sending import FileSender, SecureFileSender

_PRODUCING = ("registerProducer", "unregisterProducer", "startWriting")


class SecureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = mock.Mock(reactor=self.clock)
        request: Any = mock.Mock(octets=0)
        request.channel.transport.transport = self.wire
        self.sender = SecureFileSender(request, 0, Span(0, 10))

    def test_after_the_headers(self) -> None:
        """TLS has them until the reactor's next turn: ours wait for that."""
        done = self.sender.start()
        self.wire.registerProducer.assert_not_called()
        self.clock.advance(0)
        self.wire.registerProducer.assert_called_once_with(self.sender, False)
        self.assertNoResult(done)

    def test_a_client_that_is_gone(self) -> None:
        self.sender.start().addErrback(lambda _: None).cancel()
        self.clock.advance(0)
        self.wire.registerProducer.assert_not_called()


class PlainTests(SynchronousTestCase):
    """A real socket; the reactor's part is played by hand."""

    def setUp(self) -> None:
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        self.client.settimeout(5)
        self.addCleanup(ours.close)
        self.addCleanup(self.client.close)
        path = Path(self.mktemp())
        path.write_bytes(b"0123456789")
        self.file = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, self.file)
        self.wire = mock.Mock(spec_set=("fileno", "reactor", *_PRODUCING), fileno=ours.fileno)
        self.request: Any = mock.Mock(octets=0)
        self.request.channel.transport = self.wire

    def started(self, end: int = 10) -> FileSender:
        """Return one that the transport has asked for more."""
        sender = FileSender(self.request, self.file, Span(2, end))
        self.addCleanup(sender.done.addErrback, lambda _: None)
        sender.start()
        sender.resumeProducing()
        self.wire.reactor.addWriter.assert_not_called()
        self.wire.startWriting.assert_called_once_with()
        sender.resumeProducing()
        self.wire.reactor.addWriter.assert_called_once_with(sender)
        self.wire.registerProducer.assert_called_with(self.request.channel, True)
        return sender

    def assert_over(self, descriptor: int, sender: FileSender) -> None:
        self.wire.reactor.removeWriter.assert_called_once_with(sender)
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertEqual(sender.fileno(), -1)

    def test_whole(self) -> None:
        sender = self.started()
        descriptor = sender.fileno()
        sender.doWrite()
        self.successResultOf(sender.done)
        self.assertEqual(self.client.recv(100), b"23456789")
        self.assertEqual(self.request.octets, 8)
        self.assert_over(descriptor, sender)

    def test_a_file_that_was_cut_short(self) -> None:
        sender = self.started(end=20)
        descriptor = sender.fileno()
        sender.doWrite()
        self.assertNoResult(sender.done)
        sender.doWrite()
        self.failureResultOf(sender.done, ContentError)
        self.assert_over(descriptor, sender)

    def test_a_client_that_is_gone(self) -> None:
        sender = self.started()
        descriptor = sender.fileno()
        self.client.close()
        sender.doWrite()
        self.failureResultOf(sender.done, BrokenPipeError)
        self.assert_over(descriptor, sender)

    def test_what_the_reactor_finds_out(self) -> None:
        sender = self.started()
        descriptor = sender.fileno()
        sender.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(sender.done, ConnectionResetError)
        self.assert_over(descriptor, sender)

    def test_cancelled(self) -> None:
        sender = self.started()
        descriptor = sender.fileno()
        sender.done.addErrback(lambda _: None).cancel()
        self.assert_over(descriptor, sender)
