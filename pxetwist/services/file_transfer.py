"""One running TFTP transfer: carries out what :mod:`pxetwist.exchange.tftp` decides."""

from __future__ import annotations

import math
from typing import Any, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from pxetwist.errors import PxeError
from pxetwist.exchange.tftp import (
    Action,
    Finished,
    Outcome,
    ReadTransfer,
    SendBlocks,
    SendOack,
)
from pxetwist.interfaces import IContent
from pxetwist.model.boot import BootRequest
from pxetwist.services.blocks import read_exactly
from pxetwist.services.images import HEADER, FramedImage, FramedImages, Piece, framed
from pxetwist.services.transfer_interfaces import MAX_SEGMENTS, MAX_SEND, ITransferSocket
from pxetwist.wire.tftp import Error, ErrorCode, ReadRequest, encode

_NOTHING = Piece(0, 0, memoryview(bytearray()))


class ITransferOwner(Protocol):
    """Who keeps the running transfers."""

    def moved(self, transfer: FileTransfer) -> None:
        """Know that something happened: the transfer's deadline may have changed."""

    def ended(self, transfer: FileTransfer, finished: Finished) -> None:
        """Know that a transfer is over; its socket and content are closed."""


class FileTransfer:
    """A content on its way to one client; the transfer's socket delivers to it.

    `asked` is the packet that began it, `request` the resolved request, `peer` the client's
    address and port.
    """

    _log = Logger()

    def __init__(
        self,
        owner: ITransferOwner,
        asked: ReadRequest,
        request: BootRequest,
        *,
        content: IContent,
        peer: tuple[str, int],
        clock: Any,
    ) -> None:
        self.asked = asked
        self.request = request
        self.peer = peer
        self.over = False
        self.watched = math.inf
        self.machine: ReadTransfer
        self._owner = owner
        self._content = content
        self._clock = clock
        self._socket: ITransferSocket
        self._image: FramedImage | None = None
        self._piece = _NOTHING
        self._wanted: SendBlocks | None = None
        self._fetching: Deferred[None] | None = None

    def begin(self, machine: ReadTransfer, socket: ITransferSocket, images: FramedImages) -> None:
        """Send the first packet.

        :raises ContentError: if the content is no longer what it was.
        """
        self.machine = machine
        self._socket = socket
        self._image = images.open(self._content, machine.terms.block_size)
        self._packet = packet = machine.terms.block_size + HEADER
        fits = packet <= socket.payload
        self._per_send = min(MAX_SEGMENTS, MAX_SEND // packet) if fits else 1
        self._perform(machine.start())

    def repeat_first(self) -> None:
        """Answer a request that came once more."""
        self._perform(self.machine.repeat_first(self._clock.seconds()))

    def next_timeout(self) -> float:
        """Return when it wants to be told of the time; infinite when it is over."""
        return math.inf if self.over else self.machine.next_timeout()

    def timed_out(self, now: float) -> None:
        """Repeat, or give up."""
        self._perform(self.machine.handle_timeout(now))

    def received(self, data: bytes, now: float) -> None:
        """Take a packet of the client."""
        action = self.machine.receive(data, now)
        if action is not None:
            self._perform(action)

    def acknowledged(self, block: int, now: float) -> None:
        """Take an ACK of the client."""
        machine = self.machine
        following = machine.step(block, now)
        if not following:
            action = machine.acknowledge(block, now)
            if action is not None:
                self._perform(action)
            return
        piece = self._piece
        if not piece.first <= following < piece.end:
            self._perform(SendBlocks(following, 1))
            return
        start = (following - piece.first) * self._packet
        stop = start + self._packet
        self._socket.send_part(piece, start, stop if stop < piece.size else piece.size)
        if machine.next_timeout() < self.watched:
            self._owner.moved(self)

    def closed(self) -> None:
        """Know that the client's port is closed."""
        if not self.over:
            self._finish(self.machine.closed())

    def abandon(self, reason: str) -> None:
        """End it without a word to the client, who may have had what it wanted."""
        self._finish(attrs.evolve(self.machine.closed(), error=Error(ErrorCode.UNDEFINED, reason)))

    def _perform(self, action: Action) -> None:
        try:
            if isinstance(action, SendBlocks):
                if self._image is not None:
                    self._send_from(self._image, *action)
                else:
                    self._fetch(action)
            elif isinstance(action, SendOack):
                self._socket.send(action.packet)
            else:
                self._finish(action)
        except Exception as error:
            self._broken(error)
        if not self.over and self.machine.next_timeout() < self.watched:
            self._owner.moved(self)

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
                    self._send(Piece(first, first + count, packets), first, count)
        except CancelledError:
            return
        except Exception as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        """End it for a fault of ours, and say so to the client; called where it was caught."""
        if self.over:
            return
        path = str(self.request.wanted)
        if isinstance(error, PxeError | OSError):
            self._log.warn("Sending {path} failed: {error}", path=path, error=error)
        else:
            self._log.failure("Sending {path} failed", path=path)
        told = Error(ErrorCode.UNDEFINED, "The server cannot read the file")
        self._socket.send(encode(told))
        self._finish(Finished(Outcome.LOST, told))

    def _finish(self, finished: Finished) -> None:
        if self.over:
            return
        self.over = True
        if self._fetching is not None:
            self._fetching.cancel()
        self._image, self._piece = None, _NOTHING
        self._socket.close()
        self._content.close()
        self._owner.ended(self, finished)
