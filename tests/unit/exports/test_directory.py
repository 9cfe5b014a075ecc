from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.exports import directory
from pxetwist.exports.directory import DirectoryTree
from pxetwist.exports.places import Places
from pxetwist.file_tree import IExport
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.file_tree import FileKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import make_site
from pxetwist.testing.trees import walk


class DirectoryTests(SynchronousTestCase):
    """A folder whose handles the kernel opens, where the tests may ask for that."""

    handles = True

    def setUp(self) -> None:
        self.base = Path(self.mktemp())
        self.folder = self.base / "root"
        self.folder.mkdir(parents=True)
        self.tree = self.again()

    def again(self) -> DirectoryTree:
        """Return the tree as after a restart."""
        made = DirectoryTree(self.folder, Places(self.base / "places"), handles=self.handles)
        self.addCleanup(made.close)
        return made

    def read(self, tree: DirectoryTree, key: bytes) -> bytes:
        data = tree.open(key)
        self.addCleanup(data.close)
        return data.read(0, 100)

    def test_keys_survive_a_restart_and_a_rename(self) -> None:
        (self.folder / "a").mkdir()
        (self.folder / "a" / "file").write_bytes(b"1")
        key = walk(self.tree, "a/file")
        self.assertEqual(self.read(self.again(), key), b"1")
        self.assertEqual(walk(self.again(), "a/file"), key)
        (self.folder / "a" / "file").rename(self.folder / "a" / "other")
        self.assertEqual(self.read(self.tree, key), b"1")
        self.assertEqual(walk(self.tree, "a/other"), key)

    def test_what_was_replaced_is_stale(self) -> None:
        file, new = self.folder / "file", self.base / "new"
        file.write_bytes(b"1")
        key = walk(self.tree, "file")
        new.write_bytes(b"2")
        new.rename(file)
        for tree in (self.tree, self.again()):
            self.assertRaises(TreeStale, tree.attributes, key)
            self.assertEqual(self.read(tree, walk(tree, "file")), b"2")
        file.unlink()
        self.assertRaises(TreeNotFound, walk, self.tree, "file")

    def test_nothing_leads_out(self) -> None:
        (self.base / "secret").write_bytes(b"s")
        (self.folder / "out").symlink_to("../secret")
        (self.folder / "up").symlink_to("..")
        out, up = walk(self.tree, "out"), walk(self.tree, "up")
        self.assertEqual(self.tree.link_target(out), b"../secret")
        self.assertEqual(self.tree.attributes(up).kind, FileKind.SYMLINK)
        self.assertRaises(TreeWrongKind, self.tree.open, out)
        self.assertRaises(TreeWrongKind, self.tree.look_up, up, b"secret")
        self.assertRaises(TreeNotFound, self.tree.look_up, self.tree.root(), b"../secret")
        self.assertEqual(self.tree.parent(self.tree.root()), self.tree.root())

    def test_facts_of_all_kinds(self) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(self.folder / "socket"))
        os.mkfifo(self.folder / "fifo", 0o600)
        large = self.folder / "large"
        with large.open("wb") as file:
            file.truncate(10 << 30)
        large.chmod(0o4751)
        os.utime(large, ns=(1_000_000_001, 2_000_000_002))
        os.link(large, self.folder / "again")
        facts = self.tree.attributes(walk(self.tree, "large"))
        self.assertEqual((facts.size, facts.mode, facts.links), (10 << 30, 0o4751, 2))
        self.assertEqual((facts.atime, facts.mtime), (1_000_000_001, 2_000_000_002))
        self.assertLess(facts.used, 1 << 20)
        self.assertEqual((facts.uid, facts.gid), (os.getuid(), large.stat().st_gid))
        self.assertEqual(walk(self.tree, "again"), walk(self.tree, "large"))
        for name in ("socket", "fifo"):
            key = walk(self.tree, name)
            self.assertEqual(self.tree.attributes(key).kind.value, name)
            self.assertRaises(TreeWrongKind, self.tree.open, key)

    def test_cookies_survive_changes(self) -> None:
        for number in range(50):
            (self.folder / f"f{number}").touch()
        root = self.tree.root()
        first = list(self.tree.entries(root, 0))
        seen, rest = first[:20], first[20:]
        for gone in (seen[3], seen[19], rest[0]):
            (self.folder / gone.name.decode()).unlink()
        (self.folder / "new").touch()
        later = [each for each in self.tree.entries(root, seen[-1].cookie) if each.name != b"new"]
        self.assertEqual(later, rest[1:])

    def test_more_files_than_are_held_open(self) -> None:
        for number in range(600):
            (self.folder / f"f{number}").write_bytes(b"%d" % number)
        root = self.tree.root()
        keys = {each.name: each.key for each in self.tree.entries(root, 0)}
        self.assertEqual(len(keys), 600)
        self.assertLess(len(os.listdir("/proc/self/fd")), 500)
        for name, key in keys.items():
            data = self.tree.open(key)
            self.assertEqual(data.read(0, 9), name[1:])
            data.close()

    def test_a_link_to_another_version(self) -> None:
        (self.folder / "v1" / "a").mkdir(parents=True)
        (self.folder / "v2").mkdir()
        (self.folder / "v1" / "f").write_bytes(b"1")
        (self.folder / "v2" / "f").write_bytes(b"2")
        current = self.base / "current"
        current.symlink_to("root/v1")
        tree = DirectoryTree(current, Places(self.base / "other"), handles=self.handles)
        self.addCleanup(tree.close)
        old, top = walk(tree, "f"), tree.root()
        current.unlink()
        current.symlink_to("root/v2")
        self.assertEqual(self.read(tree, walk(tree, "f")), b"2")
        self.assertEqual(self.read(tree, old), b"1")
        self.assertEqual(tree.place(top), ())
        self.assertEqual(tree.parent(top), top)
        self.assertEqual(tree.place(walk(tree, "a", top)), (b"a",))
        self.assertEqual(tree.parent(walk(tree, "a", top)), top)

    def test_a_folder_that_was_moved_out(self) -> None:
        (self.folder / "a").mkdir()
        key = walk(self.tree, "a")
        (self.folder / "a").rename(self.base / "a")
        self.assertRaises(TreeStale, self.tree.parent, key)
        self.assertRaises(TreeStale, self.tree.place, key)


class PlacesTests(DirectoryTests):
    """A folder where each key's place is remembered."""

    handles = False

    def test_keys_of_elsewhere_are_stale(self) -> None:
        (self.folder / "f").touch()
        key = walk(self.tree, "f")
        other = DirectoryTree(self.folder, Places(self.base / "other"), handles=False)
        self.addCleanup(other.close)
        self.assertRaises(TreeStale, other.attributes, key)
        (self.folder / "f").rename(self.folder / "g")
        self.assertRaises(TreeStale, self.again().attributes, key)


class ExportTests(SynchronousTestCase):
    def test_every_machine_has_the_same_tree(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        made = directory.build(directory.Settings(path=folder), make_site(state_folder=folder))
        request = BootRequest(ClientIdentity(), BootStage.ROOT, Protocol.NFS)
        self.assertTrue(IExport.providedBy(made))
        self.assertEqual(made.tree(request).root(), made.tree(request).root())
        self.assertRaises(TreeNotFound, walk, made.tree(request), "x")
        folder.rename(self.mktemp())
        self.assertRaises(TreeNotFound, made.tree(request).root)
        made.stopService()
