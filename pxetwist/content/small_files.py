"""Small files are kept in memory: a rack that is switched on asks a hundred times for the same.

What is kept are bytes, by the identity of the file that they are in: never an answer, and never
by who has asked or by what name. The file system is asked each time which file that name is now.
"""

from __future__ import annotations

import os
import time

from pxetwist.content.text import DataContent
from pxetwist.model.content import ContentInfo
from pxetwist.model.recent import Recent

#: A file of more bytes is not small.
LARGEST = 1 << 16
#: So many are kept at least, and twice as many at most: 16 MiB.
_FILES = 128
#: One that was changed less than so many seconds ago may be changed again without another time.
_SETTLED = 2.0

_Identity = tuple[int, int, int, int, int]


class SmallFiles:
    """The small files of one folder."""

    def __init__(self) -> None:
        self._kept: Recent[tuple[_Identity, str], DataContent] = Recent(_FILES)

    def get(self, place: str, media_type: str) -> DataContent | None:
        """Return the file that is at a place now, if it is kept."""
        try:
            found = _identity(os.stat(place))
        except (OSError, ValueError):
            return None
        return self._kept.get((found, media_type))

    def keep(self, descriptor: int, facts: os.stat_result, info: ContentInfo) -> None:
        """Keep an open regular file, if it is small and does not seem to be written to."""
        changed = max(facts.st_mtime, facts.st_ctime)
        if facts.st_size > LARGEST or not changed < time.time() - _SETTLED:
            return
        data = os.pread(descriptor, facts.st_size + 1, 0)
        if len(data) == facts.st_size and _identity(os.fstat(descriptor)) == _identity(facts):
            self._kept.put((_identity(facts), info.media_type), DataContent(data, info))


def _identity(facts: os.stat_result) -> _Identity:
    """Return what is another when the file is another, or its bytes, rights or names changed."""
    return (facts.st_dev, facts.st_ino, facts.st_ctime_ns, facts.st_mtime_ns, facts.st_size)
