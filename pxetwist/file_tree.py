"""The seam of exports: trees of files that machines may have as their root, read-only.

Everything here is local and quick: no method waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import Attribute, Interface

from pxetwist.model.boot import BootRequest
from pxetwist.model.file_tree import Entry, FileAttributes, Listing


class IFileData(Interface):
    """The open content of a regular file."""

    size: int = Attribute("bytes of the content, when it was opened")
    offset: int = Attribute("where it begins in the file of its descriptor")

    def fileno() -> int | None:
        """Return a descriptor whose bytes from `offset` on are the content; `None`: read it."""

    def read(offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer only at the end."""

    def close() -> None:
        """Let go of it; closing twice does no harm."""


class IFileTree(Interface):
    """Files by their keys: at most `KEY_SIZE` bytes that mean the same file for ever, also after
    a restart. Symbolic links are never followed, names are single ones.

    :raises TreeStale: each method, if there is no such file any more.
    :raises TreeDenied: if the server may not see it.
    :raises TreeLater: if it must be asked again in a second.
    """

    def root() -> bytes:
        """Return the key of the topmost directory.

        :raises TreeNotFound: if there is none.
        """

    def attributes(key: bytes) -> FileAttributes:
        """Return the facts of a file, as they are now."""

    def look_up(directory: bytes, name: bytes) -> bytes:
        """Return the key of a name in a directory; ``.`` and ``..`` are no names.

        :raises TreeNotFound: if there is no such name.
        :raises TreeWrongKind: if it is no directory.
        """

    def parent(directory: bytes) -> bytes:
        """Return the key of the directory above; that of the root is the root.

        :raises TreeWrongKind: if it is no directory.
        """

    def place(directory: bytes) -> tuple[bytes, ...]:
        """Return the names that lead to a directory from the root that it is below, which may be
        an older one than that of now.

        :raises TreeWrongKind: if it is no directory.
        """

    def listing(directory: bytes) -> Listing:
        """Return the names in a directory; the same object while they are the same, mostly.

        :raises TreeWrongKind: if it is no directory.
        """

    def entries(directory: bytes, after: int) -> Iterable[Entry]:
        """Yield what is in a directory behind a cookie (0: everything) without ``.`` and ``..``,
        by rising cookies. A cookie stays good while other names come and go.

        :raises TreeWrongKind: if it is no directory.
        """

    def link_target(key: bytes) -> bytes:
        """Return where a symbolic link leads.

        :raises TreeWrongKind: if it is none.
        """

    def open(key: bytes) -> IFileData:
        """Open a regular file.

        :raises TreeWrongKind: if it is none.
        """


class IVersioned(Interface):
    """May be provided by an export as well: it has all versions of an image."""

    image: str = Attribute("the name of the image")

    def place(version: str, path: str) -> str:
        """Return where a path of the root is in the export, in this version."""


class IExport(Interface):
    """Has a tree of files for each machine, maybe the same for all."""

    def tree(request: BootRequest) -> IFileTree:
        """Return the tree that a machine sees; `machine` and `plan` are resolved. Keys of one
        machine's trees must mean the same, in whichever boot they were made.

        :raises TreeNotFound: if this machine has none.
        """
