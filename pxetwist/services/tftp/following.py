"""What a transfer's socket does by itself: it follows ACKs that come in order with more windows.

Nearly all do. One that is answered here costs a comparison and an addition; the transfer is asked
again when another packet comes, a timer ends, or the part of the file in memory does.
"""

from __future__ import annotations

from pxetwist.services.tftp.images import Piece
from pxetwist.wire.tftp import Opcode

#: The head of no ACK.
NONE = -1

_ACK = int(Opcode.ACK) << 16


class Following:
    """The ACK that is `wanted`, by its first four bytes as a number, asks for `size` bytes from
    `at` of the packets of `piece`; the next one, `stride` blocks later, for those after them, and
    so on before `end`. `heard` is when the last one came.
    """

    __slots__ = ("_begun", "at", "end", "heard", "piece", "size", "stride", "wanted")

    piece: Piece

    def __init__(self) -> None:
        self.wanted = NONE
        self._begun = self.at = self.end = 0
        self.size = self.stride = 1
        self.heard = 0.0

    def follow(self, piece: Piece, first: int, window: int, count: int) -> None:
        """Answer so many ACKs: the one before block `first` with a window from there, and so on.

        The piece has all these blocks, and their numbers do not roll over.
        """
        self.piece = piece
        self.size = window * piece.packet
        self.stride = window
        self._begun = self.at = self.begins(piece) + (first - piece.first) * piece.packet
        self.end = self.at + count * self.size
        self.wanted = _ACK | (first - 1) & 0xFFFF

    def begins(self, piece: Piece) -> int:
        """Return what `at` is where a piece begins."""
        return 0

    def answered(self, now: float) -> None:
        """Take note that the window of the wanted ACK was sent."""
        self.at += self.size
        self.heard = now
        self.wanted = self.wanted + self.stride if self.at < self.end else NONE

    def taken(self) -> int:
        """Return how many ACKs were answered since it was asked the last time."""
        answered = (self.at - self._begun) // self.size
        self._begun = self.at
        return answered

    def halt(self) -> None:
        """Answer no more."""
        self.wanted = NONE
