"""Contents that are texts in memory."""

from __future__ import annotations

import hashlib

from zope.interface import implementer

from pxetwist.interfaces import IContent
from pxetwist.model.content import ContentInfo


@implementer(IContent)
class TextContent:
    """A text in memory."""

    def __init__(self, text: str, modified: float, media_type: str = "text/plain") -> None:
        self._data = text.encode()
        tag = hashlib.sha256(self._data).hexdigest()[:16]
        self.info = ContentInfo(len(self._data), modified, tag, media_type)

    async def read(self, offset: int, length: int) -> bytes:
        """Return a part of it."""
        return self._data[offset : offset + length]

    def fileno(self) -> int | None:
        """There is no file."""
        return None

    def close(self) -> None:
        """Nothing is held."""
