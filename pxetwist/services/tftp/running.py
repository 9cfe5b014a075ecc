"""The TFTP transfers that are running: their sockets, their deadlines, and how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from pxetwist.exchange.tftp import Finished, Limits, Outcome, ReadTransfer, negotiate
from pxetwist.exchange.tftp_write import WriteTransfer
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.event import EventKind
from pxetwist.services.requests import tell
from pxetwist.services.sockets import IDatagramSocket, Peer
from pxetwist.services.tftp.deadlines import Deadlines
from pxetwist.services.tftp.file_reception import FileReception
from pxetwist.services.tftp.file_transfer import FileTransfer
from pxetwist.services.tftp.images import HEADER, FramedImages
from pxetwist.services.tftp.running_transfer import RunningTransfer
from pxetwist.services.tftp.settings import BLOCK_SIZE_LABEL, block_size
from pxetwist.services.tftp.transfer_interfaces import MAX_BLOCK, ITransferSocket, ITransferSockets
from pxetwist.services.tftp.unanswered import Unanswered
from pxetwist.services.uploads import Upload
from pxetwist.wire.tftp import ReadRequest, WriteRequest

_LATE = 1.0  # seconds in which an equal request is one that was delayed on its way
_GRACE = 5.0  # seconds that transfers get when the service stops

Transfer = RunningTransfer[Any]


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
        self._running: dict[Peer, Transfer] = {}
        self._unanswered = Unanswered(site.reactor)
        self._stopped: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._running)

    @property
    def load(self) -> int:
        """How many are to be fed."""
        return len(self._running) - self._unanswered.idle

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
        for transfer in [each for each in self._running.values() if each.told]:
            transfer.closed()  # it only waits for what may come again
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

    def repeated(self, asked: ReadRequest | WriteRequest, peer: Peer) -> bool:
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
        known: bool = True,
    ) -> None:
        """Begin a transfer from our address `local`, which closes the content at its end.

        It goes over the request socket `over`, if that is given. `known`: the client was seen
        here lately.

        :raises OSError: if there is no socket for it; the content is still open.
        :raises ContentError: if the content is no longer what it was; it is still open.
        """
        clock = self._site.reactor
        transfer = FileTransfer(self, asked, request, content=content, peer=peer, clock=clock)
        lockstep = negotiate(asked.options, None, Limits(window=self._window)).window == 1
        socket = self._sockets.open(local, peer, transfer, over=over, shared=lockstep)
        machine = ReadTransfer(
            content.info.size,
            asked.options,
            Limits(self._largest(request, socket), self._window),
            clock.seconds(),
            tell_size=asked.mode == "octet",
        )
        try:
            image = self._images.open(content, machine.terms.block_size)
        except BaseException:
            socket.close()
            raise
        self._add(transfer, known)
        transfer.begin(machine, socket, image)
        self._make_room()

    def take(
        self,
        asked: WriteRequest,
        request: BootRequest,
        upload: Upload,
        *,
        local: str,
        peer: Peer,
        over: IDatagramSocket | None = None,
        known: bool = True,
    ) -> None:
        """Begin to receive a file; the rest is as in :meth:`begin`.

        :raises OSError: if there is no socket for it; the upload is still open.
        """
        clock = self._site.reactor
        transfer = FileReception(self, asked, request, upload=upload, peer=peer, clock=clock)
        socket = self._sockets.open(local, peer, transfer, over=over)
        largest = min(self._largest(request, socket), MAX_BLOCK)
        self._add(transfer, known)
        machine = WriteTransfer(asked.options, Limits(block_size=largest), clock.seconds())
        transfer.begin(machine, socket)
        self._make_room()

    def _largest(self, request: BootRequest, socket: ITransferSocket) -> int:
        """Return the largest block: some firmware loses packets that are not small (quirk T4)."""
        largest = self._block_size or socket.payload - HEADER
        label = request.machine.labels.get(BLOCK_SIZE_LABEL) if request.machine else None
        return min(largest, block_size(label) or largest) if label else largest

    def receptions(self, host: str) -> int:
        """Return how many files a client is sending."""
        running = (each for each in self._running.values() if not each.told)
        return sum(isinstance(each, FileReception) and each.peer[0] == host for each in running)

    def _add(self, transfer: Transfer, known: bool) -> None:
        self._running[transfer.peer] = transfer
        self._unanswered.add(transfer, known=known)

    def _make_room(self) -> None:
        self._give_up(self._unanswered.surplus())

    def make_room_for(self, host: str) -> bool:
        """End the oldest transfer that an address has not answered, and return whether there was
        one: somebody may ask in its name.
        """
        return self._give_up(self._unanswered.oldest_of(host))

    def _give_up(self, oldest: Transfer | None) -> bool:
        if oldest is None:
            return False
        self.counters["given up for newer requests"] += 1
        oldest.give_up()
        return True

    def moved(self, transfer: Transfer) -> None:
        """Look at a transfer's deadline."""
        self._deadlines.watch(transfer)

    def ended(self, transfer: Transfer, finished: Finished) -> None:
        """Forget a transfer and tell how it ended; a size probe is no news, and neither is what
        nobody may have asked for.
        """
        del self._running[transfer.peer]
        self.tell(transfer, finished)
        self._unanswered.discard(transfer)
        self._left(transfer.peer)
        if self._stopped is not None and not self._running:
            self._stopped.callback(None)

    def tell(self, transfer: Transfer, finished: Finished) -> None:
        """Tell how a transfer ended, once."""
        if transfer.told:
            return
        transfer.told = True
        self.counters[finished.outcome.value] += 1
        well, summary, details = transfer.report(finished)
        kind = EventKind.ENDED if well else EventKind.FAILED
        forged = self._unanswered.is_stranger(transfer)
        if finished.outcome is not Outcome.PROBED and not forged:
            tell(self._site, transfer.request, kind, summary, details)
