"""Images as trees: owners, versions, and what broken ones do."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content.iso_index import Folder, Link, Special, Stored
from pxetwist.content.iso_owners import Posix
from pxetwist.errors import TreeLater, TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.exports import iso
from pxetwist.exports.iso import IsoTree
from pxetwist.exports.iso_volume import Piece, Volume
from pxetwist.file_tree import IExport
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.file_tree import FileKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import make_site
from pxetwist.testing.contracts import ThreadClock
from pxetwist.testing.trees import walk
from tests.unit.content.isos import Image
from tests.unit.content.isos import iso as image_of

REQUEST = BootRequest(ClientIdentity(), BootStage.ROOT, Protocol.NFS)


def _told(logs: Sequence[Mapping[str, object]]) -> bool:
    return any("why" in each for each in logs)


def _moved_on(tree: IsoTree, top: bytes) -> bool:
    return tree.root() != top


class IsoCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "live.iso"

    def write(self, files: dict[str, bytes], name: str = "live.iso") -> Path:
        """Put an image in its place, as one should: by a rename."""
        new = self.folder / "new"
        new.write_bytes(image_of(files))
        return new.replace(self.folder / name)

    def again(self, file: Path | None = None) -> IsoTree:
        """Return the tree as after a restart."""
        tree = IsoTree(file or self.file, make_site(reactor=self.clock))
        self.addCleanup(self.stop, tree)
        return tree

    def ready(self, file: Path | None = None) -> IsoTree:
        tree = self.again(file)
        tree.refresh()
        self.clock.run_until(lambda: tree.versions > 0)
        return tree

    def stop(self, tree: IsoTree) -> None:
        stopping, ends = tree.close(), list[object]()
        if isinstance(stopping, Deferred):
            stopping.addBoth(ends.append)
            self.clock.run_until(lambda: bool(ends))

    def read(self, tree: IsoTree, key: bytes) -> bytes:
        data = tree.open(key)
        self.addCleanup(data.close)
        return data.read(0, 1000)


class IsoTests(IsoCase):
    def test_an_export(self) -> None:
        self.write({"a/b": b"1"})
        export = iso.build(iso.Settings(path=self.file), make_site(reactor=self.clock))
        self.assertTrue(IExport.providedBy(export))
        export.startService()
        tree = export.tree(REQUEST)
        assert isinstance(tree, IsoTree)
        with self.assertRaises(TreeLater):
            tree.root()
        self.clock.run_until(lambda: tree.versions > 0)
        self.assertEqual(self.read(tree, walk(tree, "a/b")), b"1")
        stopping, ends = export.stopService(), list[object]()
        assert stopping is not None
        stopping.addBoth(ends.append)
        self.clock.run_until(lambda: bool(ends))

    def test_the_bytes_lie_in_the_image(self) -> None:
        self.write({"pad": bytes(5000), "file": b"the bytes"})
        tree = self.ready()
        data = tree.open(walk(tree, "file"))
        self.addCleanup(data.close)
        descriptor = data.fileno()
        assert descriptor is not None
        self.assertGreater(data.offset, 5000)
        self.assertEqual(os.pread(descriptor, 9, data.offset), b"the bytes")

    def test_modes_and_links(self) -> None:
        image = Image()
        image.add("bin/su", b"su", mode=0o104751)
        image.link("sh", "/bin/su")
        image.link("out", "../../etc/passwd")
        self.file.write_bytes(image.bytes())
        tree = self.ready()
        su = tree.attributes(walk(tree, "bin/su"))
        self.assertEqual((su.kind, su.mode, su.size), (FileKind.REGULAR, 0o4751, 2))
        link = tree.attributes(walk(tree, "sh"))
        self.assertEqual((link.kind, link.size), (FileKind.SYMLINK, 7))
        self.assertEqual(tree.link_target(walk(tree, "out")), b"../../etc/passwd")
        self.assertRaises(TreeWrongKind, tree.look_up, walk(tree, "out"), b"x")
        self.assertRaises(TreeWrongKind, tree.open, walk(tree, "sh"))

    def test_keys_survive_a_restart(self) -> None:
        self.write({"a/b": b"1"})
        key = walk(self.ready(), "a/b")
        tree = self.again()
        self.assertRaises(TreeLater, tree.attributes, key)
        self.clock.run_until(lambda: tree.versions > 0)
        self.assertEqual(self.read(tree, key), b"1")

    def test_an_exchanged_image(self) -> None:
        """Who has the old one keeps it; who starts gets the new one, never a part of each."""
        self.write({"a/b": b"old"})
        tree = self.ready()
        old, top = walk(tree, "a/b"), tree.root()
        self.write({"a/b": b"new!", "c": b""})
        self.assertEqual(tree.root(), top)
        self.clock.advance(1)
        self.assertEqual(tree.root(), top)  # until it has been read
        self.clock.run_until(lambda: tree.root() != top)
        self.assertEqual(self.read(tree, walk(tree, "a/b")), b"new!")
        self.assertEqual(self.read(tree, walk(tree, "a/b", top)), b"old")
        self.assertEqual(self.read(tree, old), b"old")
        self.assertRaises(TreeNotFound, tree.look_up, top, b"c")
        self.assertEqual(tree.parent(walk(tree, "a", top)), top)
        self.assertRaises(TreeStale, self.ready().attributes, old)

    def test_versions_beside_a_link(self) -> None:
        """After a restart, too, the image that a link has led to is found for who has it."""
        self.write({"a": b"1"}, "v1.iso")
        self.write({"a": b"2"}, "v2.iso")
        self.file.symlink_to("v1.iso")
        old = walk(self.ready(), "a")
        self.file.unlink()
        self.file.symlink_to("v2.iso")
        tree = self.ready()
        self.assertEqual(self.read(tree, walk(tree, "a")), b"2")
        self.assertRaises(TreeLater, tree.attributes, old)
        self.clock.run_until(lambda: tree.versions == 2)
        self.assertEqual(self.read(tree, old), b"1")
        self.assertEqual(self.read(tree, walk(tree, "a")), b"2")
        self.assertRaises(TreeStale, tree.attributes, b"x" * 16)

    def test_a_broken_image(self) -> None:
        """It is told once; who has the one before keeps it."""
        self.write({"a": b"1"})
        tree = self.ready()
        key = walk(tree, "a")
        for broken in (b"", b"no image"):
            self.file.unlink()
            self.file.write_bytes(broken)
            self.clock.advance(1)
            with capturedLogs() as logs:
                tree.root()
                self.clock.run_until(partial(_told, logs))
                tree.root()
            self.assertEqual(len([each for each in logs if "why" in each]), 1)
        self.assertEqual(self.read(tree, key), b"1")
        self.file.unlink()
        self.assertRaises(TreeNotFound, self.again().root)

    def test_more_versions_than_are_kept(self) -> None:
        keys = []
        self.write({"0": b""})
        tree = self.ready()
        before = len(os.listdir("/proc/self/fd"))
        for number in range(6):
            self.write({str(number): b""})
            self.clock.advance(1)
            top = tree.root()
            self.clock.run_until(partial(_moved_on, tree, top))
            keys.append(walk(tree, str(number)))
        self.assertRaises(TreeStale, tree.attributes, keys[1])
        for key in keys[2:]:
            tree.attributes(key)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 3)


class VolumeTests(SynchronousTestCase):
    def volume(self, root: Folder) -> Volume:
        file = Path(self.mktemp())
        file.write_bytes(image_of({"a": b"..abc..defg.."}))
        volume = Volume(file)
        self.addCleanup(volume.close)
        volume.show(root)
        return volume

    def test_names_that_are_none(self) -> None:
        entries = {name: Stored(()) for name in ("", ".", "..", "a/b", "a\0", "good")}
        tree = self.volume(Folder(dict(entries))).tree
        self.assertEqual([each.name for each in tree.entries(tree.root(), 0)], [b"good"])
        for name in entries:
            if name != "good":
                self.assertRaises(TreeNotFound, tree.look_up, tree.root(), name.encode())

    def test_devices_and_hard_links(self) -> None:
        linked = Posix(stat.S_IFREG | 0o644, links=2)
        one, other = (Stored(((40960, 3),), posix=linked) for _ in range(2))
        null = Special(Posix(stat.S_IFCHR | 0o666, device=(1, 3)))
        tree = self.volume(Folder({"one": one, "other": other, "null": null})).tree
        self.assertEqual(walk(tree, "one"), walk(tree, "other"))
        facts = tree.attributes(walk(tree, "null"))
        self.assertEqual((facts.kind, facts.mode), (FileKind.CHARACTER, 0o666))
        self.assertEqual(facts.device, (1, 3))
        self.assertRaises(TreeWrongKind, tree.open, walk(tree, "null"))

    def test_a_link_in_the_way(self) -> None:
        tree = self.volume(Folder({"l": Link("/"), "f": Stored(())})).tree
        self.assertRaises(TreeWrongKind, tree.look_up, walk(tree, "l"), b"f")
        self.assertEqual(tree.open(walk(tree, "f")).read(0, 9), b"")

    def test_scattered_pieces(self) -> None:
        file = Path(self.mktemp())
        file.write_bytes(b"..abc..defg..")
        piece = Piece(os.open(file, os.O_RDONLY), ((7, 4), (2, 3)))
        for offset, length, expected in ((0, 7, b"defgabc"), (3, 2, b"ga"), (5, 9, b"bc")):
            self.assertEqual(piece.read(offset, length), expected)
        self.assertIsNone(piece.fileno())
        piece.close()
        piece.close()
