"""The TFTP transfers that are running: their sockets, their deadlines, and how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred

from pxetwist.exchange.tftp import Finished, Limits, Outcome, ReadTransfer, negotiate
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.event import EventKind
from pxetwist.services.deadlines import Deadlines
from pxetwist.services.file_transfer import FileTransfer
from pxetwist.services.images import HEADER, FramedImages
from pxetwist.services.requests import octets_text, tell, transferred
from pxetwist.services.sockets import IDatagramSocket
from pxetwist.services.transfer_interfaces import ITransferSockets, Peer
from pxetwist.wire.tftp import ReadRequest

_LATE = 1.0  # seconds in which an equal request is one that was delayed on its way
_GRACE = 5.0  # seconds that transfers get when the service stops


class RunningTransfers:
    """All transfers, by the client's address and port (its transfer id).

    `left` is told of each that has ended; `counters` counts how. `block_size` of 0 means as large
    as the MTU allows.
    """

    def __init__(
        self,
        site: Site,
        sockets: ITransferSockets,
        *,
        block_size: int,
        window: int,
        image_memory: int,
        left: Callable[[Peer], None],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._site = site
        self._sockets = sockets
        self._block_size = block_size
        self._window = window
        self._images = FramedImages(image_memory)
        self._left = left
        self._deadlines = Deadlines(site.reactor)
        self._running: dict[Peer, FileTransfer] = {}
        self._stopped: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, peer: object) -> bool:
        return peer in self._running

    def start(self) -> None:
        """Be ready for transfers."""
        self._sockets.start()

    def stop(self) -> Deferred[None]:
        """Let them end, for a few seconds; then end them."""
        stopped = self._stopped = Deferred[None]()
        stopped.addTimeout(_GRACE, self._site.reactor)
        stopped.addBoth(self._close)
        if not self._running:
            stopped.callback(None)
        return stopped

    def _close(self, result: object) -> None:
        self._stopped = None
        for transfer in list(self._running.values()):
            transfer.abandon("the server was stopped")
        self._sockets.stop()
        self._deadlines.stop()
        self._images.clear()

    def repeated(self, asked: ReadRequest, peer: Peer) -> bool:
        """Treat a request from a port that has a transfer; `True` if it needs no new one."""
        running = self._running.get(peer)
        if running is None:
            return False
        if running.asked == asked:
            if running.machine.waits_for_first:
                running.repeat_first()
                return True
            if self._site.reactor.seconds() - running.machine.heard < _LATE:
                return True
        running.abandon("the client started anew")  # ROMs and U-Boot keep their port
        return False

    def begin(
        self,
        asked: ReadRequest,
        request: BootRequest,
        content: IContent,
        *,
        local: str,
        peer: Peer,
        over: IDatagramSocket | None = None,
    ) -> None:
        """Begin a transfer from our address `local`, which closes the content at its end.

        It goes over the request socket `over`, if that is given.

        :raises OSError: if there is no socket for it; the content is still open.
        """
        clock = self._site.reactor
        transfer = FileTransfer(self, asked, request, content=content, peer=peer, clock=clock)
        lockstep = negotiate(asked.options, None, Limits(window=self._window)).window == 1
        socket = self._sockets.open(local, peer, transfer, over=over, shared=lockstep)
        machine = ReadTransfer(
            content.info.size,
            asked.options,
            Limits(self._block_size or socket.payload - HEADER, self._window),
            clock.seconds(),
            tell_size=asked.mode == "octet",
        )
        self._running[peer] = transfer
        transfer.begin(machine, socket, self._images)

    def moved(self, transfer: FileTransfer) -> None:
        """Look at a transfer's deadline."""
        self._deadlines.watch(transfer)

    def ended(self, transfer: FileTransfer, finished: Finished) -> None:
        """Forget a transfer and tell how it ended; a size probe is no news."""
        del self._running[transfer.peer]
        self._left(transfer.peer)
        self.counters[finished.outcome.value] += 1
        if finished.outcome is not Outcome.PROBED:
            self._tell(transfer, finished)
        if self._stopped is not None and not self._running:
            self._stopped.callback(None)

    def _tell(self, transfer: FileTransfer, finished: Finished) -> None:
        machine, path = transfer.machine, transfer.request.wanted
        seconds = self._site.reactor.seconds() - machine.started
        whole = finished.outcome in (Outcome.SENT, Outcome.PRESUMED)
        octets = machine.size if whole else machine.acknowledged
        if whole:
            summary = f"sent {transferred(path, octets, seconds)}, window {machine.terms.window}"
            if finished.outcome is Outcome.PRESUMED:
                summary += ", its end not acknowledged"
        else:
            summary = (
                f"stopped sending {path} after {octets_text(octets)} of "
                f"{octets_text(machine.size)}: {_reason(finished)}"
            )
        details = {
            "outcome": finished.outcome.value,
            "bytes": octets,
            "size": machine.size,
            "seconds": seconds,
            "rate": octets / seconds / 1e6 if seconds else 0.0,  # MB/s
            "repetitions": machine.repetitions,
            "block size": machine.terms.block_size,
            "window": machine.terms.window,
        }
        kind = EventKind.ENDED if whole else EventKind.FAILED
        tell(self._site, transfer.request, kind, summary, details)


def _reason(finished: Finished) -> str:
    if finished.error is not None:
        return finished.error.text or f"the client said ERROR {int(finished.error.code)}"
    if finished.outcome is Outcome.LOST:
        return "the client fell silent"
    return "the client closed its port"
