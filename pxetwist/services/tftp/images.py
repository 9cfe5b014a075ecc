"""Files cut into DATA packets and kept in memory: what a window needs is one slice of them.

All transfers of a file with one block size share its image. It is made piece by piece as it is
asked for, and the pieces that nobody asked for the longest are dropped.
"""

from __future__ import annotations

import os
from collections import OrderedDict

import attrs

from pxetwist.errors import ContentError
from pxetwist.interfaces import IContent
from pxetwist.services.tftp.messages import address_of
from pxetwist.wire.tftp import data_header

HEADER = 4  # bytes of DATA before its block
_PIECE = 1 << 20  # bytes of a piece, about
_WINDOWS = 64  # blocks: so that usual windows do not begin in one piece and end in the next
_LEAST = 16  # blocks; of the largest ones they are such a piece
_Version = tuple[int, int, int, int]  # device, inode, size, time of change
_Key = tuple[_Version, int, int, int, int]  # offset and size in the file, block size, number


@attrs.frozen(eq=False)
class Piece:
    """The packets of the blocks from `first` up to, but not with, `end`; one after another.

    Each has `packet` bytes, the last one of a file fewer.
    """

    first: int
    end: int
    packet: int
    packets: memoryview
    size: int = attrs.field(init=False)  # of the packets in bytes
    address: int = attrs.field(init=False)  # where they lie in memory

    @size.default
    def _size(self) -> int:
        return len(self.packets)

    @address.default
    def _where(self) -> int:
        return address_of(self.packets)


class FramedImages:
    """The images of all files; they take up to `limit` bytes together, or one piece."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: OrderedDict[_Key, Piece] = OrderedDict()
        self.size = 0

    def open(self, content: IContent, block_size: int) -> FramedImage | None:
        """Return the image of a content; `None` if no file holds it. The content stays open.

        :raises ContentError: if the file is not what it was said to be.
        """
        descriptor = content.fileno()
        if descriptor is None:
            return None
        version = _version(descriptor)
        info = content.info
        if version[2] < info.offset + info.size:
            raise ContentError("the file was cut short")
        return FramedImage(self, descriptor, version, info.offset, info.size, block_size)

    def piece(self, image: FramedImage, number: int) -> Piece:
        """Return a piece of an image, counted from 0.

        :raises ContentError: if the file is not the same as at the beginning of the transfer.
        """
        key = (image.version, image.offset, image.size, image.block_size, number)
        found = self._pieces.get(key)
        if found is None:
            found = self._pieces[key] = image.read(number)
            self.size += len(found.packets)
            while self.size > self._limit and len(self._pieces) > 1:
                _, dropped = self._pieces.popitem(last=False)
                self.size -= len(dropped.packets)
        else:
            self._pieces.move_to_end(key)
        return found

    def clear(self) -> None:
        """Drop all."""
        self._pieces.clear()
        self.size = 0


@attrs.frozen(eq=False)
class FramedImage:
    """The `size` bytes from `offset` of one version of a file, in blocks of one size;
    `descriptor` is open while it is used.
    """

    images: FramedImages
    descriptor: int
    version: _Version
    offset: int
    size: int
    block_size: int
    _blocks: int = attrs.field(init=False)

    @_blocks.default
    def _blocks_of_a_piece(self) -> int:
        return max(_PIECE // self.block_size // _WINDOWS * _WINDOWS, _LEAST)

    def piece_with(self, block: int) -> Piece:
        """Return the piece with a block, counted from 1.

        :raises ContentError: if the file is not the same as at the beginning.
        :raises OSError: if it cannot be read.
        """
        return self.images.piece(self, (block - 1) // self._blocks)

    def read(self, number: int) -> Piece:
        """Make a piece; called by :class:`FramedImages`."""
        start = number * self._blocks * self.block_size
        length = min(self._blocks * self.block_size, self.size - start)
        data = memoryview(os.pread(self.descriptor, length, self.offset + start))
        if len(data) != length or _version(self.descriptor) != self.version:
            raise ContentError("the file was changed while it was being sent")
        first = number * self._blocks + 1
        end = min(first + self._blocks, self.size // self.block_size + 2)
        packets = framed(data, first, end, self.block_size)
        return Piece(first, end, self.block_size + HEADER, packets)


def framed(data: memoryview, first: int, end: int, block_size: int) -> memoryview:
    """Cut data into packets: the blocks from `first` up to, but not with, `end`.

    The last of a file is short, and may be empty.
    """
    parts: list[bytes | memoryview] = []
    for number in range(first, end):
        start = (number - first) * block_size
        parts += (data_header(number), data[start : start + block_size])
    return memoryview(bytearray().join(parts))


def _version(descriptor: int) -> _Version:
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
