"""Trees that are known as a whole: every file of them is a node in a table."""

from __future__ import annotations

import hashlib
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs
from zope.interface import implementer

from pxetwist.errors import TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.file_tree import IFileData, IFileTree
from pxetwist.model.file_tree import Entry, FileAttributes, Listing
from pxetwist.model.recent import Recent

#: So many bytes are a key's own, behind the prefix of its table.
_OWN = 8
#: So many directories' names are kept in order.
_LISTINGS = 64


@attrs.frozen
class Node:
    """A file. `children` are the keys of what is in a directory, by name; `target` is a symbolic
    link's; `open` opens a regular file.
    """

    facts: FileAttributes
    parent: bytes = b""
    name: bytes = b""
    children: Mapping[bytes, bytes] | None = None
    target: bytes | None = None
    open: Callable[[], IFileData] | None = None


def key_below(prefix: bytes, directory: bytes, name: bytes) -> bytes:
    """Return the key of a name in a directory, which is the same wherever it is computed."""
    return prefix + hashlib.blake2b(directory + name, digest_size=_OWN).digest()


def root_key(prefix: bytes) -> bytes:
    """Return the key of the topmost directory."""
    return key_below(prefix, b"", b"")


def file_id(key: bytes) -> int:
    """Return the number of a file that a client sees, not 0."""
    return int.from_bytes(key[-_OWN:], "big") >> 1 or 1


@implementer(IFileTree)
class NodeTree:
    """The tree of a table, whose keys begin with `prefix`."""

    def __init__(self, nodes: Mapping[bytes, Node], prefix: bytes) -> None:
        self._nodes = nodes
        self._root = root_key(prefix)
        self._listings: Recent[bytes, Listing] = Recent(_LISTINGS)

    def root(self) -> bytes:
        """Return the key of the topmost directory."""
        return self._root

    def attributes(self, key: bytes) -> FileAttributes:
        """Return the facts of a file."""
        return self._node(key).facts

    def look_up(self, directory: bytes, name: bytes) -> bytes:
        """Return the key of a name in a directory."""
        found = self._children(directory).get(name)
        if found is None:
            raise TreeNotFound(repr(name))
        return found

    def parent(self, directory: bytes) -> bytes:
        """Return the key of the directory above."""
        self._children(directory)
        return self._nodes[directory].parent or directory

    def place(self, directory: bytes) -> tuple[bytes, ...]:
        """Return the names that lead to a directory."""
        self._children(directory)
        names: list[bytes] = []
        while directory != self._root:
            node = self._nodes[directory]
            names.append(node.name)
            directory = node.parent
        return tuple(reversed(names))

    def listing(self, directory: bytes) -> Listing:
        """Return the names in a directory."""
        children = self._children(directory)
        found = self._listings.get(directory)
        if found is None:
            found = Listing(children)
            self._listings.put(directory, found)
        return found

    def entries(self, directory: bytes, after: int) -> Iterator[Entry]:
        """Yield what is in a directory."""
        children = self._children(directory)
        for cookie, name in self.listing(directory).after(after):
            yield Entry(cookie, name, children[name])

    def link_target(self, key: bytes) -> bytes:
        """Return where a symbolic link leads."""
        target = self._node(key).target
        if target is None:
            raise TreeWrongKind("it is no symbolic link")
        return target

    def open(self, key: bytes) -> IFileData:
        """Open a regular file."""
        node = self._node(key)
        if node.open is None:
            raise TreeWrongKind("it is no regular file")
        return node.open()

    def _node(self, key: bytes) -> Node:
        found = self._nodes.get(key)
        if found is None:
            raise TreeStale("there is no such file any more")
        return found

    def _children(self, key: bytes) -> Mapping[bytes, bytes]:
        found = self._node(key).children
        if found is None:
            raise TreeWrongKind("it is no directory")
        return found


class TablesTree(metaclass=ABCMeta):
    """The tree of several tables, of which the first bytes of a key tell one."""

    @abstractmethod
    def table(self, key: bytes) -> NodeTree:
        """Return the table of a key.

        :raises TreeStale: if there is none.
        """

    def attributes(self, key: bytes) -> FileAttributes:
        """Return the facts of a file."""
        return self.table(key).attributes(key)

    def look_up(self, directory: bytes, name: bytes) -> bytes:
        """Return the key of a name."""
        return self.table(directory).look_up(directory, name)

    def parent(self, directory: bytes) -> bytes:
        """Return the key of the directory above."""
        return self.table(directory).parent(directory)

    def place(self, directory: bytes) -> tuple[bytes, ...]:
        """Return the names that lead to a directory."""
        return self.table(directory).place(directory)

    def listing(self, directory: bytes) -> Listing:
        """Return the names in a directory."""
        return self.table(directory).listing(directory)

    def entries(self, directory: bytes, after: int) -> Iterable[Entry]:
        """Yield what is in a directory."""
        return self.table(directory).entries(directory, after)

    def link_target(self, key: bytes) -> bytes:
        """Return where a symbolic link leads."""
        return self.table(key).link_target(key)

    def open(self, key: bytes) -> IFileData:
        """Open a regular file."""
        return self.table(key).open(key)
