"""Files on their way from a mirror, each once for all that want it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import attrs
from zope.interface import implementer

from pxetwist.content.cache_folder import Part
from pxetwist.content.mirror import MirrorError
from pxetwist.content.waiting import Signal
from pxetwist.errors import ContentError
from pxetwist.interfaces import IContent
from pxetwist.model.content import ContentInfo


@attrs.define(eq=False)
class Fetch:
    """One question to the mirror. `part` and `info` are set while a file of known size arrives
    that may be shown already; `over` when nothing more comes, with `failure` if it went wrong.
    """

    part: Part | None = None
    info: ContentInfo | None = None
    received: int = 0
    over: bool = False
    failure: str = ""
    absent: bool = False
    signal: Signal = attrs.field(factory=Signal)

    def end(self, failure: str = "", *, absent: bool = False) -> None:
        """Tell all that it is over."""
        self.over, self.failure, self.absent = True, failure, absent
        self.signal.wake()


@attrs.define(eq=False)
class Receiver:
    """Writes what arrives to a part, and reckons its digest.

    :param reserve: makes room for so many bytes; false if there is none.
    """

    fetch: Fetch
    part: Part
    reserve: Callable[[int], bool]
    digest: hashlib._Hash = attrs.field(factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        """Take a piece.

        :raises MirrorError: if there is no room for it.
        :raises OSError: if it cannot be written.
        """
        if not self.reserve(self.fetch.received + len(data)):
            raise MirrorError("it is larger than the cache may be")
        view = memoryview(data)
        while view:
            view = view[os.write(self.part.descriptor, view) :]
        self.digest.update(data)
        self.fetch.received += len(data)
        self.fetch.signal.wake()


@implementer(IContent)
class ArrivingFile:
    """A file of which the first part is there; who wants more waits for it."""

    def __init__(self, fetch: Fetch, info: ContentInfo, descriptor: int) -> None:
        self.info = info
        self._fetch = fetch
        self._descriptor = descriptor

    async def read(self, offset: int, length: int) -> bytes:
        """Return a part of the file, when it is there.

        :raises ContentError: if it will not come.
        """
        end = min(offset + length, self.info.size)
        while self._fetch.received < end:
            if self._fetch.over:
                raise ContentError(self._fetch.failure or "it was cut short")
            await self._fetch.signal.wait()
        return os.pread(self._descriptor, max(end - offset, 0), offset)

    def fileno(self) -> int | None:
        """Return the file's descriptor, once all of it is there."""
        return self._descriptor if self._fetch.received >= self.info.size else None

    def close(self) -> None:
        """Close the descriptor, once; the file goes on arriving."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
