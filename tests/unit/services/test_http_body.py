"""How the bytes of a content get onto a connection."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.http import Span
from pxetwist.services.http_body import SecureFileSender


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
