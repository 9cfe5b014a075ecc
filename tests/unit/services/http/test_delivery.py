"""What has arrived at a client: not what a layer above the socket still keeps."""

from __future__ import annotations

import socket
import time
from typing import Any
from unittest import mock

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.services.http.delivery import PATIENCE, Delivery

SECRET = b"d-i passwd/root-password-crypted password $6$x\n"


class Reactor(Clock):
    """A clock that knows of writers; sockets are written to by hand."""

    def addWriter(self, writer: object) -> None:
        """Do nothing."""

    def removeWriter(self, writer: object) -> None:
        """Do nothing."""


class DeliveryTests(SynchronousTestCase):
    """A client at the other end of a real connection, whose system acknowledges what comes."""

    def setUp(self) -> None:
        self.clock = Reactor()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.client = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
        ours.setblocking(False)
        self.addCleanup(self.client.close)
        self.addCleanup(ours.close)
        reactor: Any = self.clock
        self.wire: Any = tcp.Connection(ours, Protocol(), reactor)
        self.wire.connected = 1
        self.tls = mock.Mock(transport=self.wire)

    def write_over_tls(self, data: bytes) -> None:
        """Write as `twisted.protocols.tls` does: little is kept until the reactor's next turn."""
        self.clock.callLater(0, self.wire.write, data)

    def watch(self) -> Delivery:
        delivery = Delivery(self.tls)
        self.addCleanup(delivery.close)
        self.done: Deferred[None] = Deferred.fromCoroutine(delivery.complete(self.clock))
        return delivery

    def test_what_tls_keeps_has_not_arrived(self) -> None:
        self.write_over_tls(SECRET)
        delivery = self.watch()
        self.assertFalse(delivery.arrived())
        self.assertNoResult(self.done)
        self.clock.advance(0)
        self.assertEqual(self.client.recv(1000), SECRET)
        for _ in range(100):  # until it is acknowledged
            if self.done.called:
                break
            time.sleep(0.05)
            self.clock.advance(0.05)
        self.assertTrue(delivery.arrived())
        self.successResultOf(self.done)

    def test_a_client_that_left_before_tls_let_it_go(self) -> None:
        self.write_over_tls(SECRET)
        delivery = self.watch()
        self.wire.connected = 0
        self.clock.pump([0, PATIENCE, PATIENCE])
        self.successResultOf(self.done)
        self.assertFalse(delivery.arrived())

    def test_a_client_that_left_before_it_was_watched(self) -> None:
        self.wire.connected = 0
        delivery = self.watch()
        self.clock.pump([0, PATIENCE, PATIENCE])
        self.assertFalse(delivery.arrived())

    def test_in_memory_nothing_is_lost(self) -> None:
        delivery = Delivery(mock.Mock(spec=()))
        self.successResultOf(Deferred.fromCoroutine(delivery.complete(self.clock)))
        self.assertTrue(delivery.arrived())
