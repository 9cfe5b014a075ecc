"""An overlay above each version of an image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from zope.interface import implementer

from pxetwist.errors import TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.file_tree import IFileData, IFileTree
from pxetwist.model.file_tree import Entry, FileAttributes, Listing
from pxetwist.model.recent import Recent

#: So many bytes of a key tell of which version it is.
_TAG = 4
#: Of keys of the directories in which the versions are.
_ABOVE = bytes(_TAG)
#: So many versions are kept at hand.
_VERSIONS = 16


@implementer(IFileTree)
class Below:
    """A directory of a tree, as if it were all of it; `names` lead to it."""

    def __init__(self, tree: IFileTree, names: tuple[bytes, ...], top: bytes) -> None:
        self._tree = tree
        self.names = names
        self._top = top
        self.attributes: Callable[[bytes], FileAttributes] = tree.attributes
        self.look_up: Callable[[bytes, bytes], bytes] = tree.look_up
        self.listing: Callable[[bytes], Listing] = tree.listing
        self.entries: Callable[[bytes, int], Iterable[Entry]] = tree.entries
        self.link_target: Callable[[bytes], bytes] = tree.link_target
        self.open: Callable[[bytes], IFileData] = tree.open

    def root(self) -> bytes:
        """Return the key of the directory."""
        return self._top

    def parent(self, directory: bytes) -> bytes:
        """Return the key of the directory above."""
        return self._tree.parent(directory) if self.place(directory) else directory

    def place(self, directory: bytes) -> tuple[bytes, ...]:
        """Return the names that lead to a directory from this one."""
        names = self._tree.place(directory)
        if names[: len(self.names)] != self.names:
            raise TreeStale("it is in another version")
        return names[len(self.names) :]


@implementer(IFileTree)
class VersionsTree:
    """The directories in which the roots of versions are, and below each root an overlay.

    `place_of` gives the names that lead to a version's root, `made` the overlay above a tree.
    """

    def __init__(
        self,
        images: IFileTree,
        place_of: Callable[[bytes], tuple[bytes, ...]],
        made: Callable[[Below], IFileTree],
    ) -> None:
        self._images = images
        self._place_of = place_of
        self._made = made
        self._versions: Recent[bytes, tuple[bytes, IFileTree]] = Recent(_VERSIONS)

    def root(self) -> bytes:
        """Return the key of the directory with all versions."""
        return _ABOVE + self._images.root()

    def attributes(self, key: bytes) -> FileAttributes:
        """Return the facts of a file."""
        tree, inner = self._split(key)
        return tree.attributes(inner)

    def look_up(self, directory: bytes, name: bytes) -> bytes:
        """Return the key of a name; beside roots nothing is shown."""
        tree, inner = self._split(directory)
        if tree is not self._images:
            return directory[:_TAG] + tree.look_up(inner, name)
        names = (*tree.place(inner), name)
        expected = self._place_of(names[0])
        key = tree.look_up(inner, name)
        if names != expected[: len(names)]:
            raise TreeNotFound(repr(name))
        if len(names) < len(expected):
            return _ABOVE + key
        tag = _tag(names[0])
        return tag + self._version(tag, names[0])[1].root()

    def parent(self, directory: bytes) -> bytes:
        """Return the key of the directory above."""
        tree, inner = self._split(directory)
        if tree is self._images:
            return _ABOVE + tree.parent(inner)
        if tree.place(inner):
            return directory[:_TAG] + tree.parent(inner)
        here = self._images.root()
        for name in self.place(directory)[:-1]:
            here = self._images.look_up(here, name)
        return _ABOVE + here

    def place(self, directory: bytes) -> tuple[bytes, ...]:
        """Return the names that lead to a directory."""
        tree, inner = self._split(directory)
        if tree is self._images:
            return tree.place(inner)
        version = self._version(directory[:_TAG])[0]
        return (*self._place_of(version), *tree.place(inner))

    def listing(self, directory: bytes) -> Listing:
        """Return the names in a directory."""
        tree, inner = self._split(directory)
        names = tree.place(inner) if tree is self._images else ()
        if names:
            return Listing([self._place_of(names[0])[len(names)]])
        return tree.listing(inner)

    def entries(self, directory: bytes, after: int) -> Iterator[Entry]:
        """Yield what is in a directory."""
        tree, inner = self._split(directory)
        if tree is not self._images:
            for each in tree.entries(inner, after):
                yield Entry(each.cookie, each.name, directory[:_TAG] + each.key)
            return
        for cookie, name in self.listing(directory).after(after):
            try:
                yield Entry(cookie, name, self.look_up(directory, name))
            except (TreeNotFound, TreeWrongKind):
                continue

    def link_target(self, key: bytes) -> bytes:
        """Return where a symbolic link leads."""
        tree, inner = self._split(key)
        return tree.link_target(inner)

    def open(self, key: bytes) -> IFileData:
        """Open a regular file."""
        tree, inner = self._split(key)
        return tree.open(inner)

    def _split(self, key: bytes) -> tuple[IFileTree, bytes]:
        tag, inner = key[:_TAG], key[_TAG:]
        return (self._images if tag == _ABOVE else self._version(tag)[1]), inner

    def _version(self, tag: bytes, name: bytes = b"") -> tuple[bytes, IFileTree]:
        """Return the name of a version, and its overlay."""
        found = self._versions.get(tag)
        if found is not None:
            return found
        top = self._images.root()
        name = name or next(
            (each for each in self._images.listing(top).names if _tag(each) == tag), b""
        )
        if not name:
            raise TreeStale("the version was removed")
        names = self._place_of(name)
        try:
            for each in names:
                top = self._images.look_up(top, each)
        except (TreeNotFound, TreeWrongKind) as error:
            raise TreeStale("the version was removed") from error
        made = self._made(Below(self._images, names, top))
        self._versions.put(tag, (name, made))
        return name, made


def _tag(version: bytes) -> bytes:
    digest = hashlib.blake2b(version, digest_size=_TAG).digest()
    return digest if digest != _ABOVE else b"\xff" * _TAG
