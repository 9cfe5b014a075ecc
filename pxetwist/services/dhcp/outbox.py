"""Replies to a relay agent: it asks for many clients at once, and is answered at once as well."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pxetwist.services.segments import MAX_SEGMENTS, MAX_SEND
from pxetwist.services.sockets import Peer

_Way = tuple[Peer, str, int, int]  # peer, our address, interface, length of the datagrams


@runtime_checkable
class ISendsAlike(Protocol):
    """May be provided by a socket as well."""

    def send_alike(self, datagrams: list[bytes], peer: Peer, source: str, index: int) -> None:
        """Send datagrams of the same length, no more than the kernel takes as one."""


class Outbox:
    """What is to leave at the end of a batch."""

    def __init__(self, socket: ISendsAlike) -> None:
        self._socket = socket
        self._ways: dict[_Way, list[bytes]] = {}

    def put(self, data: bytes, peer: Peer, source: str, index: int) -> None:
        """Keep a datagram until the end of the batch, or until there are many like it."""
        size = len(data)
        waiting = self._ways.setdefault((peer, source, index, size), [])
        waiting.append(data)
        if len(waiting) >= MAX_SEGMENTS or (len(waiting) + 1) * size > MAX_SEND:
            del self._ways[peer, source, index, size]
            self._socket.send_alike(waiting, peer, source, index)

    def flush(self) -> None:
        """Let all of it leave."""
        if self._ways:
            ways, self._ways = self._ways, {}
            for (peer, source, index, _), waiting in ways.items():
                self._socket.send_alike(waiting, peer, source, index)
