"""What a file tree says of its files; no bytes of NFS here."""

from __future__ import annotations

import enum
import hashlib
from bisect import bisect_right
from collections.abc import Iterable

import attrs

#: Keys of files are no longer, so that signed file handles can hold them (RFC 1813 §2.4).
KEY_SIZE = 40
#: Cookies begin above this: the first ones are those of ``.`` and ``..``.
FIRST_COOKIE = 16


class FileKind(enum.Enum):
    """What a file is."""

    REGULAR = "regular"
    DIRECTORY = "directory"
    BLOCK = "block"
    CHARACTER = "character"
    SYMLINK = "symlink"
    SOCKET = "socket"
    FIFO = "fifo"


@attrs.frozen
class FileAttributes:
    """The facts of one file. `mode` has 12 bits, `used` is what it takes on the disk in bytes,
    `device` are the major and minor number of a block or character device, times are nanoseconds
    since the epoch. `fileid` is its own within the tree.
    """

    kind: FileKind
    mode: int
    fileid: int
    size: int = 0
    used: int = 0
    links: int = 1
    uid: int = 0
    gid: int = 0
    device: tuple[int, int] = (0, 0)
    atime: int = 0
    mtime: int = 0
    ctime: int = 0


@attrs.frozen
class Entry:
    """One name in a directory. `cookie` is where a reading goes on behind it, below 2**63."""

    cookie: int
    name: bytes
    key: bytes


class Listing:
    """The names of a directory in an order that no change of others disturbs: that of a hash.

    So the cookie of a name stays the same when names beside it come and go, and after a restart.
    """

    def __init__(self, names: Iterable[bytes]) -> None:
        found = sorted((_hash(name), name) for name in names)
        self.names = [name for _, name in found]
        self.cookies: list[int] = []
        last = 0
        for number, _ in found:
            last = max(number, last + 1)
            self.cookies.append(last)

    def after(self, cookie: int) -> Iterable[tuple[int, bytes]]:
        """Yield cookies and names behind a cookie; 0 is the start."""
        for at in range(bisect_right(self.cookies, cookie), len(self.names)):
            yield self.cookies[at], self.names[at]


def _hash(name: bytes) -> int:
    number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1
    return max(number, FIRST_COOKIE)
