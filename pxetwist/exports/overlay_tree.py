"""The tree that layers make: the first that has a name wins, directories are merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from zope.interface import implementer

from pxetwist.errors import TreeDenied, TreeNotFound, TreeStale
from pxetwist.exports.layers import FRESH, TAG, Layer
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.file_tree import IFileData, IFileTree
from pxetwist.model.file_tree import KEY_SIZE, Entry, FileAttributes, FileKind, Listing
from pxetwist.model.recent import Recent

#: So many directories are kept, each with the layers that have it.
_KEPT = 512

#: A directory in a layer, and its key there.
Part = tuple[Layer, bytes]


@attrs.frozen
class Merged:
    """A directory: the names that lead to it, and what layers have of it, the upper ones first.

    The lowest of them is what it is: by that one's key, owner and mode.
    """

    names: tuple[bytes, ...]
    parts: tuple[Part, ...]
    until: float

    @property
    def key(self) -> bytes:
        """Its key in the overlay."""
        layer, key = self.parts[-1]
        return layer.tag + key


@implementer(IFileTree)
class OverlayTree:
    """A key is that of a layer, behind the layer's tag: of a merged directory, of the lowest.

    What is `hidden` is so in all layers but the first.
    """

    def __init__(
        self, layers: Sequence[Layer], hidden: PathPatterns, seconds: Callable[[], float]
    ) -> None:
        self._layers = layers
        self._by_tag = {layer.tag: layer for layer in layers}
        self._hidden = hidden
        self._seconds = seconds
        self._merged: Recent[bytes, Merged] = Recent(_KEPT)
        self._listings: Recent[bytes, tuple[list[Listing], Listing]] = Recent(_KEPT)

    def root(self) -> bytes:
        """Return the key of the topmost directory."""
        return [layer.tag + layer.tree.root() for layer in self._layers][-1]

    def attributes(self, key: bytes) -> FileAttributes:
        """Return the facts of a file; if any part of a directory has changed, it has."""
        layer, inner = self._split(key)
        facts = layer.attributes(inner)
        if facts.kind is not FileKind.DIRECTORY:
            return facts
        parts = self._directory(key).parts
        if len(parts) == 1:
            return facts
        each = [part_layer.attributes(part) for part_layer, part in parts]
        return attrs.evolve(
            facts,
            size=sum(one.size for one in each),
            links=1,  # nobody counts the directories in it
            mtime=max(one.mtime for one in each),
            ctime=max(one.ctime for one in each),
        )

    def look_up(self, directory: bytes, name: bytes) -> bytes:
        """Return the key of a name: of the first layer that has it, or if that is a directory of
        the last one that adds to it.
        """
        merged = self._directory(directory)
        found: Part | None = None
        lowest = merged.parts[-1][0]
        for layer, key in self._named(merged.parts, (*merged.names, name)):
            if found is not None and not layer.is_directory(key):
                break
            found = (layer, key)
            if layer is lowest or not layer.is_directory(key):
                break
        if found is None:
            raise TreeNotFound(repr(name))
        return _joined(*found)

    def parent(self, directory: bytes) -> bytes:
        """Return the key of the directory above."""
        if not self._directory(directory).names:
            return directory
        layer, inner = self._split(directory)
        return self._directory(_joined(layer, layer.tree.parent(inner))).key

    def place(self, directory: bytes) -> tuple[bytes, ...]:
        """Return the names that lead to a directory."""
        return self._directory(directory).names

    def listing(self, directory: bytes) -> Listing:
        """Return the names in a directory."""
        merged = self._directory(directory)
        made_of = [layer.tree.listing(part) for layer, part in merged.parts]
        known = self._listings.get(directory)
        if known is not None and all(a is b for a, b in zip(known[0], made_of, strict=False)):
            return known[1]
        names: set[bytes] = set()
        for (layer, _), listing in zip(merged.parts, made_of, strict=True):
            names.update(
                name for name in listing.names if not self._hides(layer, (*merged.names, name))
            )
        made = Listing(names)
        self._listings.put(directory, (made_of, made))
        return made

    def entries(self, directory: bytes, after: int) -> Iterator[Entry]:
        """Yield what is in a directory."""
        for cookie, name in self.listing(directory).after(after):
            try:
                yield Entry(cookie, name, self.look_up(directory, name))
            except (TreeNotFound, TreeDenied):
                continue  # it is gone since, or not for us

    def link_target(self, key: bytes) -> bytes:
        """Return where a symbolic link leads, which is the machine's to follow."""
        layer, inner = self._split(key)
        return layer.tree.link_target(inner)

    def open(self, key: bytes) -> IFileData:
        """Open a regular file of its layer."""
        layer, inner = self._split(key)
        return layer.tree.open(inner)

    def _split(self, key: bytes) -> Part:
        layer = self._by_tag.get(key[:TAG])
        if layer is None:
            raise TreeStale("no layer has such keys")
        return layer, key[TAG:]

    def _directory(self, key: bytes) -> Merged:
        """Return what layers have of a directory now."""
        known = self._merged.get(key)
        if known is not None and known.until > self._seconds():
            return known
        layer, inner = self._split(key)
        names = layer.tree.place(inner)
        made = Merged(names, self._parts(layer, inner, names), self._seconds() + FRESH)
        self._merged.put(key, made)
        return made

    def _parts(self, own: Layer, inner: bytes, names: tuple[bytes, ...]) -> tuple[Part, ...]:
        """Go down from the root in all layers but its `own`, where the directory is known: maybe
        below an older root.
        """
        parts: Iterable[Part] = [
            (layer, b"" if layer is own else layer.tree.root()) for layer in self._layers
        ]
        for depth in range(1, len(names) + 1):
            parts = list(self._directories(parts, names[:depth], own))
        found = tuple((layer, inner if layer is own else key) for layer, key in parts)
        return found if any(layer is own for layer, _ in found) else ((own, inner),)

    def _directories(
        self, parts: Iterable[Part], names: tuple[bytes, ...], own: Layer
    ) -> Iterator[Part]:
        """Yield the directories that a name means together: down to the first that is none."""
        for layer, key in self._named(parts, names, own):
            if layer is not own and not layer.is_directory(key):
                return
            yield layer, key

    def _named(
        self, parts: Iterable[Part], names: tuple[bytes, ...], own: Layer | None = None
    ) -> Iterator[Part]:
        """Yield what the parts of a directory have under the last of these names."""
        for layer, part in parts:
            if self._hides(layer, names):
                continue
            if layer is own:
                yield layer, part
                continue
            key = layer.look_up(part, names[-1])
            if key is not None:
                yield layer, key

    def _hides(self, layer: Layer, names: tuple[bytes, ...]) -> bool:
        return layer is not self._layers[0] and self._hidden.match(names)


def _joined(layer: Layer, key: bytes) -> bytes:
    joined = layer.tag + key
    if len(joined) > KEY_SIZE:
        raise TreeDenied("the keys of its file system are too long for a layer")
    return joined
