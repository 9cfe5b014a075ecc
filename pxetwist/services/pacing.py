"""Waiting for a client that takes nothing now."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Paced:
    """The producer of a transport, for those who send in pieces: they await its :meth:`room`."""

    _room: Deferred[None] | None = None

    def room(self) -> Deferred[None] | None:
        """Return what to wait for before more is sent; `None`: nothing."""
        return self._room

    def pauseProducing(self) -> None:
        """Know that the client takes nothing now."""
        if self._room is None:
            self._room = Deferred()

    def resumeProducing(self) -> None:
        """Go on."""
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        """Know that the connection is lost, which comes by another way as well."""
