"""Contents that are in memory."""

from __future__ import annotations

import hashlib

from zope.interface import implementer

from pxetwist.interfaces import IContent
from pxetwist.model.content import ContentInfo


@implementer(IContent)
class DataContent:
    """Bytes in memory."""

    def __init__(self, data: bytes, info: ContentInfo) -> None:
        self.info = info
        self._data = data

    async def read(self, offset: int, length: int) -> bytes:
        """Return a part of it."""
        return self._data[offset : offset + length]

    def fileno(self) -> int | None:
        """There is no file."""
        return None

    def close(self) -> None:
        """Nothing is held."""


class TextContent(DataContent):
    """A text in memory."""

    def __init__(self, text: str, modified: float, media_type: str = "text/plain") -> None:
        data = text.encode("utf-8", "replace")  # JSON can tell of surrogates
        tag = hashlib.sha256(data).hexdigest()[:16]
        super().__init__(data, ContentInfo(len(data), modified, tag, media_type))
