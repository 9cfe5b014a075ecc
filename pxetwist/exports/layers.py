"""A layer of an overlay: a tree, and what it said a moment ago."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import attrs

from pxetwist.errors import TreeNotFound, TreeWrongKind
from pxetwist.file_tree import IFileTree
from pxetwist.model.file_tree import FileAttributes, FileKind
from pxetwist.model.recent import Recent

#: For so many seconds what a layer said is believed.
FRESH = 1.0
#: So much of it is kept.
_KEPT = 4096
#: So many bytes of a key tell of which layer it is.
TAG = 2


def tag_of(name: str) -> bytes:
    """Return what keys of a layer begin with: made of its name, not of its place in a list."""
    return hashlib.blake2b(name.encode(), digest_size=TAG).digest()


class Layer:
    """A tree below a name. Its file ids are changed so that those of two layers differ."""

    def __init__(self, name: str, tree: IFileTree, seconds: Callable[[], float]) -> None:
        self.tag = tag_of(name)
        self.tree = tree
        self._seconds = seconds
        digest = hashlib.blake2b(name.encode(), digest_size=8, person=b"fileid").digest()
        self._salt = int.from_bytes(digest, "big") >> 1
        self._facts: Recent[bytes, tuple[float, FileAttributes]] = Recent(_KEPT)
        self._names: Recent[tuple[bytes, bytes], tuple[float, bytes | None]] = Recent(_KEPT)

    def attributes(self, key: bytes) -> FileAttributes:
        """Return the facts of a file, as they were at most a second ago."""
        now = self._seconds()
        known = self._facts.get(key)
        if known is not None and known[0] > now:
            return known[1]
        facts = self.tree.attributes(key)
        facts = attrs.evolve(facts, fileid=facts.fileid ^ self._salt)
        self._facts.put(key, (now + FRESH, facts))
        return facts

    def look_up(self, directory: bytes, name: bytes) -> bytes | None:
        """Return the key of a name, as it was at most a second ago; `None`: there is none."""
        now = self._seconds()
        known = self._names.get((directory, name))
        if known is not None and known[0] > now:
            return known[1]
        found: bytes | None
        try:
            found = self.tree.look_up(directory, name)
        except TreeNotFound:
            found = None
        self._names.put((directory, name), (now + FRESH, found))
        return found

    def is_directory(self, key: bytes) -> bool:
        """Whether a file is a directory."""
        return self.attributes(key).kind is FileKind.DIRECTORY

    def walk(self, names: tuple[bytes, ...]) -> bytes | None:
        """Return the key of the directory that names lead to from the root of now, if there is
        one.
        """
        here: bytes | None = self.tree.root()
        for name in names:
            try:
                here = self.look_up(here, name) if here is not None else None
            except TreeWrongKind:
                return None
        return here if here is not None and self.is_directory(here) else None
