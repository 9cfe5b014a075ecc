"""The trees of exports keep the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exports.directory import DirectoryTree
from pxetwist.exports.places import Places
from pxetwist.file_tree import IFileTree
from pxetwist.testing.trees import FileTreeContract


class DirectoryTests(FileTreeContract, SynchronousTestCase):
    """A folder whose handles the kernel opens."""

    handles = True

    def make_tree(self, files: Mapping[str, bytes]) -> IFileTree:
        root = Path(self.mktemp())
        for path, data in files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        places = Places(Path(self.mktemp()))
        tree = DirectoryTree(root, places, handles=self.handles)
        self.addCleanup(tree.close)
        return tree


class PlacesTests(DirectoryTests):
    """A folder where each key's place is remembered."""

    handles = False
