"""Open files of exports, mapped into memory: large reads go from there to the socket."""

from __future__ import annotations

import mmap
from collections import OrderedDict

import attrs

from pxetwist.exchange.nfs_nodes import Node
from pxetwist.file_tree import IFileData, IFileTree
from pxetwist.model.file_tree import FileAttributes

#: So many are held open.
_OPEN = 128
#: Shorter reads are copied: that is quicker, and safe where something is done with the bytes.
_COPIED = 32 << 10


@attrs.define(eq=False)
class _Open:
    tree: IFileTree
    data: IFileData
    size: int
    mtime: int
    mapped: memoryview | None = None
    start: int = 0  # where the content begins in the map

    def fits(self, facts: FileAttributes) -> bool:
        """Whether it was opened when the file was as it is now."""
        return self.size == facts.size and self.mtime == facts.mtime


class OpenFiles:
    """Reads from files, and keeps those open that were read last.

    A map is handed to nothing but the kernel: when somebody cuts the file short, that says so,
    while a Python that looks at the bytes would be killed.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[int, bytes], _Open] = OrderedDict()

    def __len__(self) -> int:
        return len(self._files)

    def read(self, node: Node, offset: int, count: int) -> bytes | memoryview:
        """Return bytes of a node.

        :raises TreeError: if it cannot be opened.
        """
        which = id(node.view.tree), node.key  # the tree is kept as long as its file
        found = self._files.get(which)
        if found is None or not found.fits(node.facts):
            found = self._opened(which, node)
        else:
            self._files.move_to_end(which)
        if count <= _COPIED:
            return found.data.read(offset, count)
        if found.mapped is None and not self._map(found):
            return found.data.read(offset, count)
        assert found.mapped is not None
        begin = found.start + offset
        return found.mapped[begin : min(begin + count, found.start + found.data.size)]

    def _opened(self, which: tuple[int, bytes], node: Node) -> _Open:
        former = self._files.pop(which, None)
        if former is not None:
            former.data.close()
        tree, facts = node.view.tree, node.facts
        found = _Open(tree, tree.open(node.key), facts.size, facts.mtime)
        self._files[which] = found
        if len(self._files) > _OPEN:
            self._files.popitem(last=False)[1].data.close()
        return found

    def _map(self, found: _Open) -> bool:
        """Map a file that has a descriptor. What still waits to be sent keeps its map."""
        descriptor = found.data.fileno()
        if descriptor is None:
            return False
        before = found.data.offset % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(
            descriptor,
            before + found.data.size,
            prot=mmap.PROT_READ,
            offset=found.data.offset - before,
        )
        found.mapped, found.start = memoryview(mapped), before
        return True

    def close(self) -> None:
        """Let go of all files."""
        for each in self._files.values():
            each.data.close()
        self._files.clear()
