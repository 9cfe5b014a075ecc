"""One version of an ISO image: an open file, and a table of what is inside."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs
from zope.interface import implementer

from pxetwist.content.iso_index import Entry as Found
from pxetwist.content.iso_index import Folder, Link, Special, Stored, places, read_index
from pxetwist.exports.nodes import Node, NodeTree, file_id, key_below, root_key
from pxetwist.file_tree import IFileData
from pxetwist.model.file_tree import FileAttributes, FileKind

#: Where the descriptions of an image begin, and how many bytes tell one from another.
_DESCRIPTORS, _TELLING = 0x8000, 0x2000
#: What the first one is called (ECMA-167 3/9.1.2, ECMA-119 §8.1.2).
_MARKS = (b"CD001", b"BEA01", b"NSR02", b"NSR03")
_KINDS: dict[type[Found], FileKind] = {
    Stored: FileKind.REGULAR,
    Link: FileKind.SYMLINK,
    Folder: FileKind.DIRECTORY,
}
_SPECIAL = {
    stat.S_IFBLK: FileKind.BLOCK,
    stat.S_IFCHR: FileKind.CHARACTER,
    stat.S_IFIFO: FileKind.FIFO,
    stat.S_IFSOCK: FileKind.SOCKET,
}


def identify(file: Path) -> bytes:
    """Return what the keys of an image begin with: from its descriptors, size and time.

    :raises OSError: if it cannot be read.
    """
    with file.open("rb", buffering=0) as image:
        facts = os.fstat(image.fileno())
        telling = os.pread(image.fileno(), _TELLING, _DESCRIPTORS)
    known = b"%d %d " % (facts.st_size, facts.st_mtime_ns) + telling
    return hashlib.blake2b(known, digest_size=8).digest()


def image_gap(file: Path) -> str:
    """Say why a file is no image that can be read now; empty if it may be one."""
    try:
        with file.open("rb", buffering=0) as image:
            mark = os.pread(image.fileno(), 6, _DESCRIPTORS)[1:]
    except OSError as error:
        return f"{file}: {error.strerror}"
    return "" if mark in _MARKS else f"{file} is no ISO image"


class Volume:
    """The tree in an image, which stays readable while somebody exchanges its file."""

    def __init__(self, file: Path) -> None:
        self.prefix = identify(file)
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        self._facts = os.fstat(self._descriptor)
        self.tree = NodeTree({}, self.prefix)

    def read(self) -> None:
        """Read all names, which takes a while: for a thread.

        :raises ValueError: if it is no image, or a broken one.
        """
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            self.show(read_index(file))

    def show(self, root: Folder) -> None:
        """Make the tree of these names."""
        self.tree = NodeTree(dict(self._nodes(root)), self.prefix)

    def close(self) -> None:
        """Let go of the file; what was opened in it stays open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _nodes(self, root: Folder) -> Iterator[tuple[bytes, Node]]:
        """Yield all nodes; hard links are one."""
        waiting: list[tuple[bytes, bytes, bytes, Found]] = [
            (root_key(self.prefix), b"", b"", root)
        ]
        while waiting:
            key, parent, name, entry = waiting.pop()
            node = Node(self._attributes(key, entry), parent, name)
            match entry:
                case Folder():
                    inside = list(self._inside(key, entry))
                    waiting += inside
                    children = {name: child for child, _, name, _ in inside}
                    yield key, attrs.evolve(node, children=children)
                case Link():
                    yield key, attrs.evolve(node, target=os.fsencode(entry.target))
                case Stored():
                    yield key, attrs.evolve(node, open=partial(self._open, entry.pieces))
                case Special():
                    yield key, node

    def _inside(
        self, directory: bytes, folder: Folder
    ) -> Iterator[tuple[bytes, bytes, bytes, Found]]:
        for spelled, entry in folder.entries.items():
            name = os.fsencode(spelled)
            if _is_name(name):
                yield self._key(directory, name, entry), directory, name, entry

    def _key(self, directory: bytes, name: bytes, entry: Found) -> bytes:
        if isinstance(entry, Stored) and entry.posix.links > 1 and entry.pieces:
            return key_below(self.prefix, b"/", b"%d %d" % (entry.pieces[0][0], entry.size))
        return key_below(self.prefix, directory, name)

    def _attributes(self, key: bytes, entry: Found) -> FileAttributes:
        posix = entry.posix
        size = entry.size if isinstance(entry, Stored) else 0
        if isinstance(entry, Link):
            size = len(os.fsencode(entry.target))
        when = posix.modified * 1_000_000_000 or self._facts.st_mtime_ns
        return FileAttributes(
            kind=_KINDS.get(type(entry)) or _SPECIAL[stat.S_IFMT(posix.mode)],
            mode=stat.S_IMODE(posix.mode),
            fileid=file_id(key),
            size=2048 if isinstance(entry, Folder) else size,
            used=size,
            # Who counts the links of a directory takes them for directories in it, but for 1.
            links=1 if isinstance(entry, Folder) else posix.links,
            uid=posix.uid,
            gid=posix.gid,
            device=posix.device,
            atime=when,
            mtime=when,
            ctime=when,
        )

    def _open(self, pieces: tuple[tuple[int, int], ...]) -> IFileData:
        return Piece(os.dup(self._descriptor), pieces)


@implementer(IFileData)
class Piece:
    """An open file inside an image; maybe in several pieces, as those above 4 GB may be."""

    def __init__(self, descriptor: int, pieces: tuple[tuple[int, int], ...]) -> None:
        self._descriptor = descriptor
        self._pieces = pieces
        self.size = sum(length for _, length in pieces)
        self.offset = pieces[0][0] if len(pieces) == 1 else 0

    def fileno(self) -> int | None:
        """Return the descriptor of the image, if the bytes of the file lie in a row."""
        return self._descriptor if len(self._pieces) == 1 else None

    def read(self, offset: int, length: int) -> bytes:
        """Return a part of it."""
        wanted = places(self._pieces, offset, length)
        return b"".join(os.pread(self._descriptor, size, place) for place, size in wanted)

    def close(self) -> None:
        """Close the descriptor, once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_name(name: bytes) -> bool:
    """Whether a name can be one: a broken or malicious image may have others."""
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name
