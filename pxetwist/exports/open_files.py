"""Files that are open, and what the system says of those that cannot be."""

from __future__ import annotations

import errno
import os
import stat

import attrs
from zope.interface import implementer

from pxetwist.errors import TreeDenied, TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.file_tree import IFileData
from pxetwist.model.file_tree import FileAttributes, FileKind

_KINDS = {
    stat.S_IFREG: FileKind.REGULAR,
    stat.S_IFDIR: FileKind.DIRECTORY,
    stat.S_IFBLK: FileKind.BLOCK,
    stat.S_IFCHR: FileKind.CHARACTER,
    stat.S_IFLNK: FileKind.SYMLINK,
    stat.S_IFSOCK: FileKind.SOCKET,
    stat.S_IFIFO: FileKind.FIFO,
}


def facts_of(found: os.stat_result, fileid: int) -> FileAttributes:
    """Return what the system knows of a file."""
    return FileAttributes(
        kind=_KINDS[stat.S_IFMT(found.st_mode)],
        mode=stat.S_IMODE(found.st_mode),
        fileid=fileid,
        size=found.st_size,
        used=found.st_blocks * 512,
        links=found.st_nlink,
        uid=found.st_uid,
        gid=found.st_gid,
        device=(os.major(found.st_rdev), os.minor(found.st_rdev)),
        atime=found.st_atime_ns,
        mtime=found.st_mtime_ns,
        ctime=found.st_ctime_ns,
    )


@implementer(IFileData)
class FileData:
    """An open regular file; what replaces it under its name does not disturb it."""

    offset = 0

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._descriptor

    def read(self, offset: int, length: int) -> bytes:
        """Return a part of it."""
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        """Close the descriptor, once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@implementer(IFileData)
@attrs.frozen
class BytesData:
    """Bytes in memory."""

    data: bytes
    offset: int = 0

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.data)

    def fileno(self) -> int | None:
        """There is no file."""
        return None

    def read(self, offset: int, length: int) -> bytes:
        """Return a part of the bytes."""
        return self.data[offset : offset + length]

    def close(self) -> None:
        """Nothing is held."""


def link(descriptor: int) -> bytes:
    """Return the path by which an open file is opened once more."""
    return b"/proc/self/fd/%d" % descriptor


class Errors:
    """Lets what the system says be what a tree says; a class, for it is entered for each file."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, PermissionError):
            raise TreeDenied(error.strerror) from None
        if isinstance(error, OSError):
            match error.errno:
                case errno.ENOENT | errno.ENAMETOOLONG:
                    raise TreeNotFound(error.strerror) from None
                case errno.ENOTDIR | errno.ELOOP:
                    raise TreeWrongKind(error.strerror) from None
                case errno.ESTALE | errno.EINVAL | errno.EOPNOTSUPP:
                    raise TreeStale(error.strerror) from None


ERRORS = Errors()
