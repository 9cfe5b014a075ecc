"""Replies that leave together."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.services.dhcp.outbox import Outbox
from pxetwist.services.segments import MAX_SEGMENTS
from pxetwist.services.sockets import Peer

RELAY = ("10.0.0.99", 67)


@attrs.define(eq=False)
class Socket:
    """Keeps what leaves together."""

    sent: list[tuple[object, ...]] = attrs.field(factory=list)

    def send_alike(self, datagrams: list[bytes], peer: Peer, source: str, index: int) -> None:
        self.sent.append((datagrams, peer, source, index))


class OutboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.socket = Socket()
        self.outbox = Outbox(self.socket)

    def test_what_is_alike_leaves_together(self) -> None:
        other = ("10.0.1.99", 67)
        for data, peer, source in (
            (b"one", RELAY, "10.0.0.1"),
            (b"four", RELAY, "10.0.0.1"),
            (b"two", RELAY, "10.0.0.1"),
            (b"six", other, "10.0.0.1"),
            (b"ten", RELAY, "10.0.0.2"),
        ):
            self.outbox.put(data, peer, source, 3)
        self.assertEqual(self.socket.sent, [])
        self.outbox.flush()
        self.outbox.flush()
        together = [
            ([b"one", b"two"], RELAY, "10.0.0.1", 3),
            ([b"four"], RELAY, "10.0.0.1", 3),
            ([b"six"], other, "10.0.0.1", 3),
            ([b"ten"], RELAY, "10.0.0.2", 3),
        ]
        self.assertEqual(self.socket.sent, together)

    def test_no_more_than_the_kernel_takes(self) -> None:
        for size, most in ((300, MAX_SEGMENTS), (9000, 7)):
            self.socket.sent.clear()
            for _ in range(most + 1):
                self.outbox.put(bytes(size), RELAY, "", 0)
            self.outbox.flush()
            self.assertEqual([len(sent[0]) for sent in self.socket.sent], [most, 1])  # type: ignore[arg-type]  # lists
