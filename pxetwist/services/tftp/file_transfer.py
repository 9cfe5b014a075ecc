"""One running TFTP transfer: carries out what :mod:`pxetwist.exchange.tftp` decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from pxetwist.exchange.tftp import Action, Finished, Outcome, ReadTransfer, SendBlocks, SendOack
from pxetwist.interfaces import IContent
from pxetwist.model.boot import BootRequest
from pxetwist.services.blocks import read_exactly
from pxetwist.services.requests import octets_text, transferred
from pxetwist.services.segments import MAX_SEGMENTS, MAX_SEND
from pxetwist.services.sockets import Peer
from pxetwist.services.tftp.images import HEADER, FramedImage, Piece, framed
from pxetwist.services.tftp.running_transfer import ITransferOwner, RunningTransfer, reason
from pxetwist.services.tftp.transfer_interfaces import ITransferSocket
from pxetwist.wire.tftp import ReadRequest

#: Some clients stop here, where the numbers of blocks begin anew (quirk T6).
_HIGHEST = 65536
_NOTHING = Piece(0, 0, HEADER, memoryview(bytearray()))


class FileTransfer(RunningTransfer[ReadTransfer]):
    """A content on its way to one client."""

    def __init__(
        self,
        owner: ITransferOwner,
        asked: ReadRequest,
        request: BootRequest,
        *,
        content: IContent,
        peer: Peer,
        clock: Any,
    ) -> None:
        super().__init__(owner, asked, request, peer=peer, clock=clock)
        self._content = content
        self._image: FramedImage | None = None
        self._piece = _NOTHING
        self._wanted: SendBlocks | None = None
        self._fetching: Deferred[None] | None = None

    @property
    def machine(self) -> ReadTransfer:
        """The rules, which know of all ACKs so far."""
        answered = self._socket.taken()
        if answered:
            self._machine.went_on(answered, self._socket.heard)
        return self._machine

    @machine.setter
    def machine(self, machine: ReadTransfer) -> None:
        self._machine = machine

    def begin(
        self, machine: ReadTransfer, socket: ITransferSocket, image: FramedImage | None
    ) -> None:
        """Send the first packet; `image` is that of the content, if a file holds it."""
        self._socket = socket
        self.machine = machine
        self._image = image
        self._packet = packet = machine.terms.block_size + HEADER
        fits = packet <= socket.payload
        self._per_send = min(MAX_SEGMENTS, MAX_SEND // packet) if fits else 1
        self._act(machine.start())

    def acknowledged(self, block: int, now: float) -> None:
        """Take an ACK of the client."""
        self._act(self.machine.acknowledge(block, now))
        self._follow()

    def next_timeout(self) -> float:
        """Return when it wants to be told of the time, without a closer look at what was answered:
        this is asked many times a second.
        """
        return math.inf if self.over else self._machine.next_timeout(self._socket.heard)

    def timed_out(self, now: float) -> None:
        """Repeat, or give up; the next ACK is no usual one."""
        self._socket.halt()
        super().timed_out(now)

    def _follow(self) -> None:
        """Let the socket answer the next ACKs, as far as the piece at hand goes."""
        machine, piece = self._machine, self._piece
        first, window = machine.following, machine.terms.window
        in_memory = self._image is not None and first >= piece.first
        cut = window == 1 or self._per_send > 1
        count = machine.ahead(piece.end) if in_memory and cut else 0
        if count > 0:
            self._socket.follow(piece, first, window, count)
        else:
            self._socket.halt()

    def report(self, finished: Finished) -> tuple[bool, str, Mapping[str, object]]:
        """Return whether it ended well, one line for people, and the same for programs."""
        machine, path = self.machine, self.request.wanted
        whole = finished.outcome in (Outcome.SENT, Outcome.PRESUMED)
        octets = machine.size if whole else machine.acknowledged
        if whole:
            sent = transferred(path, octets, self._seconds())
            summary = f"sent {sent}, window {machine.terms.window}"
            if finished.outcome is Outcome.PRESUMED:
                summary += ", its end not acknowledged"
        else:
            summary = (
                f"stopped sending {path} after {octets_text(octets)} of "
                f"{octets_text(machine.size)}: {reason(finished)}"
            )
            if _HIGHEST - machine.terms.window <= octets // machine.terms.block_size <= _HIGHEST:
                summary += "; it may be unable to count further: let it have that file by HTTP"
        return whole, summary, self._details(finished, octets, machine.size)

    def _perform(self, action: Action) -> None:
        if isinstance(action, SendBlocks):
            if self._image is not None:
                self._send_from(self._image, *action)
            else:
                self._fetch(action)
        elif isinstance(action, SendOack):
            self._socket.send(action.packet)
        else:
            self._finish(action)

    def _send_from(self, image: FramedImage, first: int, count: int) -> None:
        end = first + count
        while first < end:
            piece = self._piece
            if not piece.first <= first < piece.end:
                piece = self._piece = image.piece_with(first)
            here = min(end, piece.end) - first
            self._send(piece, first, here)
            first += here

    def _send(self, piece: Piece, first: int, count: int) -> None:
        """Send blocks that are in a piece."""
        packet = self._packet
        start = (first - piece.first) * packet
        end = min(start + count * packet, piece.size)
        while start < end and not self.over:
            stop = min(start + self._per_send * packet, end)
            if stop - start <= packet:
                self._socket.send_part(piece, start, stop)
            elif not self._socket.send_segments(piece.packets[start:stop], packet):
                self._per_send = 1  # not here: block by block from now on
                continue
            start = stop

    def _fetch(self, blocks: SendBlocks) -> None:
        """Read first, as the content has no descriptor; the latest wish counts."""
        self._wanted = blocks
        if self._fetching is None:
            self._fetching = Deferred.fromCoroutine(self._read_and_send())
            self._fetching.addCallback(self._fetched)

    def _fetched(self, result: None) -> None:
        self._fetching = None

    async def _read_and_send(self) -> None:
        try:
            while (wanted := self._wanted) is not None and not self.over:
                first, count = wanted
                size = self.machine.terms.block_size
                data = await read_exactly(self._content, (first - 1) * size, count * size)
                if self._wanted == wanted:
                    self._wanted = None
                    packets = framed(memoryview(data), first, first + count, size)
                    self._send(Piece(first, first + count, size + HEADER, packets), first, count)
        except CancelledError:
            return
        except Exception as error:
            self._broken(error)

    def _release(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
        self._image, self._piece = None, _NOTHING
        self._content.close()
