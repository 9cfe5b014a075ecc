"""The files that machines have handles of, and what is known of them for a moment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import attrs

from pxetwist.errors import (
    TreeDenied,
    TreeError,
    TreeLater,
    TreeNotFound,
    TreeStale,
    TreeWrongKind,
)
from pxetwist.exchange.filehandles import Place, Sign, mark, seal, unseal
from pxetwist.file_tree import IFileTree
from pxetwist.model.file_tree import FileAttributes, FileKind
from pxetwist.model.recent import Recent
from pxetwist.wire.nfs3 import FileType, Status, fattr3
from pxetwist.wire.xdr import opaque

#: So long (seconds) attributes and names are believed; clients believe them for at least 3.
FRESH = 1.0
#: So many files of all machines together are remembered, at least.
_NODES = 32_768
#: So many steps may a file be below its root.
_DEPTH = 4096
_TYPES = {kind: FileType[kind.name] for kind in FileKind}
_STATUSES: dict[type[Exception], Status] = {
    TreeNotFound: Status.NOENT,
    TreeStale: Status.STALE,
    TreeDenied: Status.ACCES,
    TreeLater: Status.JUKEBOX,
}


class NfsError(Exception):
    """A procedure failed with a status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


@attrs.frozen
class Failing:
    """Lets what a tree says be a status; that of a wrong kind depends on what is asked."""

    wrong_kind: Status

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TreeWrongKind):
            raise NfsError(self.wrong_kind) from error
        if isinstance(error, TreeError | OSError):
            raise NfsError(_STATUSES.get(type(error), Status.IO)) from error


#: Of what is asked of directories, and of what is asked of files and links.
ASKING_DIRECTORY, ASKING_FILE = Failing(Status.NOTDIR), Failing(Status.INVAL)


@attrs.frozen(eq=False)
class View:
    """What one machine sees of an export: `top` is the mark of its root, or of the directory that
    it may not leave. `fsid` is the same for ever.
    """

    machine: str
    export: bytes
    top: bytes
    tree: IFileTree
    fsid: int


@attrs.define(eq=False)
class Node:
    """A file in a view. Its attributes, also as they are written, hold until a time."""

    view: View
    key: bytes
    handle: bytes
    sealed: bytes  # the handle, as it is written
    facts: FileAttributes
    fattr: bytes
    until: float = 0.0

    @property
    def is_top(self) -> bool:
        """Whether nothing above it is for this machine."""
        return mark(self.key) == self.view.top

    def refresh(self, now: float) -> None:
        """Look at its attributes, unless that was done a moment ago.

        :raises NfsError: if it is gone.
        """
        if now < self.until:
            return
        with ASKING_DIRECTORY:
            facts = self.view.tree.attributes(self.key)
        if facts != self.facts:
            self.facts, self.fattr = facts, written(facts, self.view.fsid)
        self.until = now + FRESH


def fsid_of(export: str) -> int:
    """Return the number of a file system that is that of an export."""
    return int.from_bytes(hashlib.blake2b(export.encode(), digest_size=8).digest(), "big")


def written(facts: FileAttributes, fsid: int) -> bytes:
    """Return attributes as they are written."""
    return fattr3(
        _TYPES[facts.kind],
        (facts.mode, facts.links, facts.uid, facts.gid),
        (facts.size, facts.used),
        (*facts.device, fsid, facts.fileid),
        (facts.atime, facts.mtime, facts.ctime),
    )


@attrs.frozen
class _Name:
    """The file that a name was, until a time, and unless its directory's facts have changed."""

    node: Node
    until: float
    facts: FileAttributes


class Nodes:
    """The nodes of all machines, by their handles; those not used for long are forgotten."""

    def __init__(self, sign: Sign) -> None:
        self._sign = sign
        self._nodes: Recent[bytes, Node] = Recent(_NODES)
        self._names: Recent[tuple[bytes, bytes], _Name] = Recent(_NODES)

    def find(
        self, handle: bytes, machine: str, view_of: Callable[[bytes, bytes], View], now: float
    ) -> Node:
        """Return the node of a handle that a machine shows, as it is now; `view_of` gives the view
        of the marks of export and root.

        :raises NfsError: if it is not this machine's, or the file is gone.
        """
        node = self._nodes.get(handle)
        if node is None:
            place = unseal(handle, machine, self._sign)
            if place is None:
                raise NfsError(Status.STALE)
            return self._made(view_of(place.export, place.top), place.key, handle, now)
        if node.view.machine != machine:
            raise NfsError(Status.STALE)
        node.refresh(now)
        return node

    def of(self, view: View, key: bytes, now: float) -> Node:
        """Return the node of a key, as it is now.

        :raises NfsError: if the file is gone.
        """
        handle = seal(Place(view.export, view.top, key), view.machine, self._sign)
        node = self._nodes.get(handle)
        if node is None or node.view is not view:
            return self._made(view, key, handle, now)
        node.refresh(now)
        return node

    def _made(self, view: View, key: bytes, handle: bytes, now: float) -> Node:
        with ASKING_DIRECTORY:
            facts = view.tree.attributes(key)
        fattr = written(facts, view.fsid)
        node = Node(view, key, handle, opaque(handle), facts, fattr, now + FRESH)
        self._nodes.put(handle, node)
        return node

    def child(self, directory: Node, name: bytes, now: float) -> Node:
        """Return the node of a name in a directory.

        :raises NfsError: if there is no such name.
        """
        which = directory.handle, name
        known = self._names.get(which)
        if known is not None and now < known.until and known.facts is directory.facts:
            known.node.refresh(now)
            return known.node
        with ASKING_DIRECTORY:
            key = directory.view.tree.look_up(directory.key, name)
        node = self.of(directory.view, key, now)
        self._names.put(which, _Name(node, now + FRESH, directory.facts))
        return node

    def above(self, directory: Node, now: float) -> Node:
        """Return the directory above; that of the topmost one is itself.

        :raises NfsError: if the directory is not below the root of its machine any more.
        """
        if directory.is_top:
            return directory
        view, tree = directory.view, directory.view.tree
        with ASKING_DIRECTORY:
            above = key = tree.parent(directory.key)
            for _ in range(_DEPTH):
                if mark(key) == view.top:
                    return self.of(view, above, now)
                further = tree.parent(key)
                if further == key:
                    break
                key = further
        raise NfsError(Status.STALE)
