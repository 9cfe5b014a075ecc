"""Content in memory, part of the public test kit :mod:`pxetwist.testing`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import attrs
from zope.interface import implementer

from pxetwist.errors import ContentNotFound
from pxetwist.interfaces import IContent, IContentStore
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ContentInfo, ContentPath


@implementer(IContent)
@attrs.define(eq=False)
class MemoryContent:
    """Bytes without a descriptor; `wait`, if given, is awaited before each read."""

    data: bytes
    info: ContentInfo = attrs.field(
        default=attrs.Factory(lambda self: ContentInfo(len(self.data)), takes_self=True)
    )
    wait: Callable[[], Awaitable[object]] | None = None
    closed: bool = False

    async def read(self, offset: int, length: int) -> bytes:
        """Return a part of the bytes."""
        if self.wait is not None:
            await self.wait()
        return self.data[offset : offset + length]

    def fileno(self) -> int | None:
        """Return `None`: there is no file."""
        return None

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


@implementer(IContentStore)
@attrs.define(eq=False)
class MemoryStore:
    """Files by path; a value may also be an exception to raise. `asked` collects the requests."""

    files: Mapping[str, bytes | IContent | Exception]
    asked: list[BootRequest] = attrs.field(factory=list)

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open one of the files."""
        self.asked.append(request)
        found = self.files.get(str(path))
        if found is None:
            raise ContentNotFound(str(path))
        if isinstance(found, Exception):
            raise found
        return MemoryContent(found) if isinstance(found, bytes) else found
