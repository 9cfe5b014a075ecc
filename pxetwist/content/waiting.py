"""Waiting for what others do."""

from __future__ import annotations

from twisted.internet.defer import Deferred


class Signal:
    """Wakes all that wait for it; each of them may give up by itself."""

    def __init__(self) -> None:
        self._waiting: dict[Deferred[None], None] = {}

    def wait(self) -> Deferred[None]:
        """Fire at the next :meth:`wake`."""
        waiting: Deferred[None] = Deferred(lambda given_up: self._waiting.pop(given_up, None))
        self._waiting[waiting] = None
        return waiting

    def wake(self) -> None:
        """Let all of them go on."""
        waiting, self._waiting = self._waiting, {}
        for each in waiting:
            if not each.called:  # given up in the meantime
                each.callback(None)
