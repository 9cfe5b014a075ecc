"""Overlays above versions of an image: what is of one is of no other."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import TreeNotFound, TreeStale
from pxetwist.exports.layers import Layer
from pxetwist.exports.overlay_tree import OverlayTree
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.exports.version_trees import VersionsTree
from pxetwist.file_tree import IFileTree
from pxetwist.testing.trees import Files, memory_tree, walk

OWN: Files = {"etc/hostname": b"ws1", "opt/tool": b"t"}
IMAGES: Files = {
    "v1/root/etc/hostname": b"one",
    "v1/root/etc/version": b"1",
    "v1/vmlinuz": b"kernel",
    "v2/root/etc/version": b"2",
    "v2/root/etc/new": b"",
    "current": "v2",
}


def place_of(version: bytes) -> tuple[bytes, ...]:
    return version, b"root"


def versions(images: IFileTree, own: Files = OWN) -> VersionsTree:
    clock = Clock()

    def made(below: IFileTree) -> IFileTree:
        upper = Layer("own", memory_tree(own, b"own"), clock.seconds)
        lower = Layer("images", below, clock.seconds)
        return OverlayTree([upper, lower], PathPatterns.parse("/etc/new"), clock.seconds)

    return VersionsTree(images, place_of, made)


class VersionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tree = versions(memory_tree(IMAGES))

    def read(self, path: str, key: bytes = b"") -> bytes:
        return self.tree.open(walk(self.tree, path, key)).read(0, 100)

    def test_each_version_has_the_machine_s_files_over_it(self) -> None:
        for version in ("v1", "v2"):
            self.assertEqual(self.read(f"{version}/root/etc/hostname"), b"ws1")
            self.assertEqual(self.read(f"{version}/root/opt/tool"), b"t")
            self.assertEqual(self.read(f"{version}/root/etc/version"), version[1:].encode())
        self.assertRaises(TreeNotFound, walk, self.tree, "v2/root/etc/new")

    def test_keys_are_of_one_version_also_those_of_own_files(self) -> None:
        one, two = walk(self.tree, "v1/root"), walk(self.tree, "v2/root")
        for path in ("opt", "opt/tool", "etc", "etc/hostname"):
            self.assertNotEqual(walk(self.tree, path, one), walk(self.tree, path, two))
        again = versions(memory_tree(IMAGES))
        key = walk(self.tree, "opt", one)
        self.assertEqual(walk(again, "v1/root/opt"), key)
        self.assertEqual(again.parent(key), one)
        self.assertEqual(again.place(key), (b"v1", b"root", b"opt"))
        etc = walk(self.tree, "etc", two)
        forged = one[:4] + etc[4:]
        self.assertRaises(TreeStale, again.look_up, forged, b"version")

    def test_what_is_beside_roots_is_not_shown(self) -> None:
        names = {each.name for each in self.tree.entries(self.tree.root(), 0)}
        self.assertEqual(names, {b"v1", b"v2", b"current"})
        v1 = walk(self.tree, "v1")
        self.assertEqual([each.name for each in self.tree.entries(v1, 0)], [b"root"])
        self.assertRaises(TreeNotFound, self.tree.look_up, v1, b"vmlinuz")
        root = walk(self.tree, "v1/root")
        self.assertEqual(self.tree.parent(root), v1)
        self.assertEqual(self.tree.parent(v1), self.tree.root())
        self.assertEqual(self.tree.parent(self.tree.root()), self.tree.root())
        entries = list(self.tree.entries(root, 0))
        self.assertEqual(
            [(each.cookie, each.name) for each in entries],
            list(self.tree.listing(root).after(0)),
        )
        for each in entries:
            self.assertEqual(self.tree.look_up(root, each.name), each.key)

    def test_a_version_that_was_removed(self) -> None:
        key, own = walk(self.tree, "v1/root/etc"), walk(self.tree, "v1/root/opt/tool")
        left = {path: what for path, what in IMAGES.items() if not path.startswith("v1")}
        for images in (left, {**left, "v1": b""}):
            tree = versions(memory_tree(images))
            self.assertRaises(TreeStale, tree.attributes, key)
            self.assertRaises(TreeStale, tree.open, own)
            self.assertRaises(TreeStale, tree.attributes, b"")
