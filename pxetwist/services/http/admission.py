"""How many large files are sent by HTTP at a time: who is one too many is asked to come again.

iPXE does what ``Retry-After`` says; firmware, GRUB and installers do not, and are always served.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

#: So many are let in, unless something else is said.
AT_ONCE = 512
#: From so many bytes on a file is large.
LARGE = 256 << 10
_FORGOTTEN = 30.0  # seconds after which a client that did not come again has lost its place
_REMEMBERED = 16384


def queues(agent: str, size: int) -> bool:
    """Whether a client waits for its turn: by what it calls itself, and the bytes that it asks
    for.
    """
    return size >= LARGE and "iPXE" in agent


class HttpAdmission:
    """Lets `at_once` in, no more than a quarter of them of one client, and of those that were sent
    away the first ones first.
    """

    def __init__(self, at_once: int) -> None:
        self.sending = 0
        self._at_once = at_once
        self._share = max(at_once // 4, 1)
        self._of_clients: Counter[str] = Counter()  # that are in
        self._waiting: OrderedDict[str, float] = OrderedDict()  # when they came last

    def enter(self, client: str, now: float) -> int:
        """Let a client in, and return 0; else return in how many seconds it should come again.

        Who is in must :meth:`leave`.
        """
        while self._waiting and now - next(iter(self._waiting.values())) > _FORGOTTEN:
            self._waiting.popitem(last=False)
        if self._of_clients[client] >= self._share:
            return 1
        free = self._at_once - self.sending
        place = self._place(client, free)
        if place < free:
            self._waiting.pop(client, None)
            self.sending += 1
            self._of_clients[client] += 1
            return 0
        if client in self._waiting or len(self._waiting) < _REMEMBERED:
            self._waiting[client] = now
        return min(1 + place // (2 * self._at_once), 5)

    def leave(self, client: str) -> None:
        """Know that one was served, or has left."""
        self.sending -= 1
        self._of_clients[client] -= 1
        if not self._of_clients[client]:
            del self._of_clients[client]

    def _place(self, client: str, free: int) -> int:
        """Return how many were sent away before it: exactly, if that decides."""
        if client not in self._waiting:
            return len(self._waiting)
        for place, waiting in enumerate(self._waiting):
            if place >= free or waiting == client:
                return place
        return len(self._waiting)
