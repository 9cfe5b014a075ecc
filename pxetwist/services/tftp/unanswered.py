"""The TFTP transfers whose clients have not answered yet: they may never have asked.

A request proves nothing: its address may be forged. So these are bounded in number, those of
one address give way to newer ones of it, and they do not count as work for long.
"""

from __future__ import annotations

from typing import Any

from pxetwist.services.sockets import Peer
from pxetwist.services.tftp.running_transfer import RunningTransfer

#: So many transfers wait for the first sign of clients that were not seen lately. One more, and
#: the oldest ends: a client answers within milliseconds, and who forges requests never does.
MOST = 1024
_SOON = 1.0  # seconds in which a client that was seen lately is believed to answer
_LOOK_EVERY = 0.1  # seconds

Transfer = RunningTransfer[Any]


class Unanswered:
    """Transfers by peer; those that were answered are noticed a moment later."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._all: dict[Peer, Transfer] = {}
        self._of_host: dict[str, dict[Peer, Transfer]] = {}
        self._strangers: dict[Peer, Transfer] = {}
        self._idle: set[Peer] = set()
        self._looked = float("-inf")

    @property
    def idle(self) -> int:
        """How many transfers need not be fed."""
        now = self._clock.seconds()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            for transfer in list(self._all.values()):
                if not transfer.machine.waits_for_first:
                    self.discard(transfer)
                elif now - transfer.machine.started > _SOON:
                    self._idle.add(transfer.peer)
        return len(self._idle)

    def add(self, transfer: Transfer, *, known: bool) -> None:
        """Take a transfer that begins; `known`: its client was seen lately."""
        peer = transfer.peer
        self._all[peer] = transfer
        self._of_host.setdefault(peer[0], {})[peer] = transfer
        if not known:
            self._strangers[peer] = transfer
            self._idle.add(peer)

    def discard(self, transfer: Transfer) -> None:
        """Forget a transfer that was answered or has ended; doing it twice does no harm."""
        peer = transfer.peer
        if self._all.get(peer) is not transfer:
            return
        del self._all[peer]
        self._strangers.pop(peer, None)
        self._idle.discard(peer)
        of_host = self._of_host[peer[0]]
        del of_host[peer]
        if not of_host:
            del self._of_host[peer[0]]

    def is_stranger(self, transfer: Transfer) -> bool:
        """Whether its client was not seen before, and has not answered."""
        return transfer.peer in self._strangers and bool(transfer.machine.waits_for_first)

    def oldest_of(self, host: str) -> Transfer | None:
        """Return the oldest one of an address."""
        return self._oldest(self._of_host.get(host, {}))

    def surplus(self) -> Transfer | None:
        """Return the oldest one of a stranger, if they are too many."""
        return self._oldest(self._strangers) if len(self._strangers) > MOST else None

    def _oldest(self, transfers: dict[Peer, Transfer]) -> Transfer | None:
        while transfers:
            transfer = next(iter(transfers.values()))
            if transfer.machine.waits_for_first:
                return transfer
            self.discard(transfer)
        return None
