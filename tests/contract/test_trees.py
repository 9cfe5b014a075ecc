"""The trees of exports keep the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exports import machines
from pxetwist.exports.directory import DirectoryTree
from pxetwist.exports.iso import IsoTree
from pxetwist.exports.layers import Layer
from pxetwist.exports.overlay_tree import OverlayTree
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.exports.places import Places
from pxetwist.file_tree import IFileTree
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.testing.contracts import ThreadClock
from pxetwist.testing.trees import FileTreeContract, memory_tree
from tests.unit.content import isos


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


class MemoryTests(FileTreeContract, SynchronousTestCase):
    """What tests take for a tree."""

    def make_tree(self, files: Mapping[str, bytes]) -> IFileTree:
        return memory_tree(files)


class OverlayTests(FileTreeContract, SynchronousTestCase):
    """All in the lower layer, or half of it in each."""

    split = 1

    def make_tree(self, files: Mapping[str, bytes]) -> IFileTree:
        every = list(files.items())
        parts = dict(every[:: self.split]), dict(every[1:])
        layers = [
            Layer(name, memory_tree(part), Clock().seconds)
            for name, part in zip("ul", parts, strict=True)
        ]
        return OverlayTree(layers, PathPatterns(), Clock().seconds)


class HalfTests(OverlayTests):
    split = 2


class MachinesTests(FileTreeContract, SynchronousTestCase):
    """Files of a machine, half of them its own."""

    def make_tree(self, files: Mapping[str, bytes]) -> IFileTree:
        root = Path(self.mktemp()).absolute()
        for number, (path, data) in enumerate(files.items()):
            file = root / ("common", "machines/ws1")[number % 2] / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        request = BootRequest(
            ClientIdentity(), BootStage.ROOT, Protocol.NFS, machine=Machine("ws1")
        )
        return machines.build(machines.Settings(path=root), make_site()).tree(request)


class RockRidgeTests(FileTreeContract, SynchronousTestCase):
    """What is in an image, by the names of one of the file systems that it may have."""

    names = "rock-ridge"

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def make_tree(self, files: Mapping[str, bytes]) -> IFileTree:
        self.clock = ThreadClock()
        image = Path(self.mktemp()).absolute()
        image.write_bytes(isos.iso(files, self.names))
        tree = IsoTree(image, make_site(reactor=self.clock))
        self.addCleanup(tree.close)
        tree.refresh()
        self.settle(lambda: tree.versions > 0)
        return tree


class JolietTests(RockRidgeTests):
    names = "joliet"


class UdfTests(RockRidgeTests):
    names = "udf"
