"""Where the bytes of a transfer come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from zope.interface import implementer

from pxetwist.errors import ContentError
from pxetwist.interfaces import IContent
from pxetwist.model.content import ContentInfo
from pxetwist.wire.netascii import PIECE, NetasciiIndex, encode


async def read_exactly(content: IContent, offset: int, length: int) -> bytes:
    """Read `length` bytes, fewer only at the end of the content.

    :raises ContentError: if the content is not what it was said to be: its file was cut short, or
        the plugin that reads it has a bug.
    """
    data = await content.read(offset, length)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ContentError(f"read returns a {type(data).__name__}, no bytes")
    wanted = min(length, content.info.size - offset)
    if len(data) > wanted:
        raise ContentError(f"read returns {len(data)} bytes instead of {wanted}")
    if len(data) < wanted:
        raise ContentError("the content was cut short")
    return data if isinstance(data, bytes) else bytes(data)


@implementer(IContent)
@attrs.define(eq=False)
class NetasciiContent:
    """A content as it looks in netascii; made by :meth:`translate`, its size is exact."""

    info: ContentInfo
    _content: IContent
    _index: NetasciiIndex

    @classmethod
    async def translate(
        cls, content: IContent, breathe: Callable[[], Awaitable[object]]
    ) -> NetasciiContent:
        """Read through a content once; `breathe` is awaited between its pieces."""
        index = NetasciiIndex()
        for offset in range(0, content.info.size, PIECE):
            index.add(await read_exactly(content, offset, PIECE))
            await breathe()
        return cls(attrs.evolve(content.info, size=index.size), content, index)

    async def read(self, offset: int, length: int) -> bytes:
        """Return a part of the translation."""
        end = min(offset + length, self.info.size)
        result = b""
        while offset + len(result) < end:
            number, skip = self._index.locate(offset + len(result))
            piece = encode(await read_exactly(self._content, number * PIECE, PIECE))
            result += piece[skip : skip + end - offset - len(result)]
        return result

    def fileno(self) -> int | None:
        """Return `None`: no file holds the translation."""
        return None

    def close(self) -> None:
        """Close the content itself."""
        self._content.close()
