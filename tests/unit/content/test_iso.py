"""Files inside images: what is found, from where, and what a broken image does."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from pycdlib.dates import DirectoryRecordDate
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content.directory import File
from pxetwist.content.iso import IsoStore, ScatteredFile, Settings, build
from pxetwist.content.iso_index import Folder, Link, Stored, find, read_index
from pxetwist.content.iso_owners import posix_of
from pxetwist.errors import ContentDenied, ContentNotFound
from pxetwist.interfaces import IContent
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.content import ContentInfo, ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import make_site, result_of
from pxetwist.testing.contracts import Contract, ThreadClock
from tests.unit.content.isos import Image, iso

REQUEST = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.HTTP)
FILES = {"live/vmlinuz": b"kernel" * 1000, "live/initrd.img": b"i" * 5000, "README": b"read me"}
DAMAGED = {kind: iso(FILES, kind) for kind in ("rock-ridge", "joliet", "udf")}


class IsoCase(Contract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.root = Path(self.mktemp()).absolute()
        (self.root / "images").mkdir(parents=True)
        self.image = self.root / "images" / "Live.iso"
        self.image.write_bytes(iso(FILES))
        self.store = self.build(self.root)

    def build(self, root: Path, *, ignore_case: bool = True) -> IsoStore:
        site = make_site(reactor=self.clock, name="images")
        store = build(Settings(root=root, ignore_case=ignore_case), site)
        store.startService()
        self.addCleanup(self.stop, store)
        return store

    def stop(self, store: IsoStore) -> None:
        stopping, ends = store.stopService(), list[object]()
        if stopping is not None:
            stopping.addBoth(ends.append)
            self.settle(lambda: bool(ends))

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def open(self, name: str) -> IContent:
        content = self.result(self.store.open(ContentPath.parse(name), REQUEST))
        self.addCleanup(content.close)
        return content

    def text(self, name: str) -> bytes:
        content = self.open(name)
        return self.result(content.read(0, content.info.size))


class IsoTests(IsoCase):
    def test_a_file_inside(self) -> None:
        content = self.open("images/Live.iso/live/vmlinuz")
        self.assertEqual(content.info.size, 6000)
        self.assertEqual(self.result(content.read(5, 3)), b"lke")
        self.assertEqual(self.result(content.read(5998, 100)), b"el")
        descriptor = content.fileno()
        assert descriptor is not None
        self.assertEqual(os.pread(descriptor, 6000, content.info.offset), FILES["live/vmlinuz"])
        self.assertGreater(content.info.offset, 0)

    def test_the_image_itself(self) -> None:
        content = self.open("images/Live.iso")
        self.assertEqual(content.info.size, self.image.stat().st_size)
        self.assertEqual(content.info.media_type, "application/vnd.efi-iso")
        self.assertEqual(content.info.offset, 0)

    def test_names_as_clients_spell_them(self) -> None:
        for name in ("/images//live.ISO/LIVE/Vmlinuz", "images\\Live.iso\\live\\vmlinuz"):
            self.assertEqual(self.text(name), FILES["live/vmlinuz"])
        self.store = self.build(self.root, ignore_case=False)
        self.assertRaises(ContentNotFound, self.open, "images/Live.iso/LIVE/vmlinuz")
        self.assertEqual(self.text("images/Live.iso/README"), b"read me")

    def test_one_image_as_root(self) -> None:
        self.store = self.build(self.image)
        self.assertEqual(self.text("live/vmlinuz"), FILES["live/vmlinuz"])
        self.assertRaises(ContentNotFound, self.open, "Live.iso")

    def test_what_is_not_there(self) -> None:
        (self.root / "folder.iso").mkdir()
        (self.root / "plain").write_bytes(b"x")
        names = ["plain", "folder.iso", "none.iso/x", "folder.iso/x"]
        for name in (
            *names,
            *(f"images/Live.iso/{each}" for each in ("live", "none", "README/x")),
        ):
            self.assertRaises(ContentNotFound, self.open, name)

    def test_an_image_in_a_folder_that_is_named_like_one(self) -> None:
        (self.root / "all.iso").mkdir()
        self.image.rename(self.root / "all.iso" / "a.iso")
        self.assertEqual(self.text("all.iso/a.iso/README"), b"read me")

    def test_an_image_outside(self) -> None:
        self.image.rename(self.root.parent / "outside.iso")
        self.image.symlink_to(self.root.parent / "outside.iso")
        self.assertRaises(ContentDenied, self.open, "images/Live.iso/README")

    def test_each_kind_of_names(self) -> None:
        for kind, names in (("joliet", FILES), ("udf", FILES), ("plain", {"A/B.TXT": b"x"})):
            self.image.write_bytes(iso(names, kind))
            for name, data in names.items():
                self.assertEqual(self.text(f"images/Live.iso/{name}"), data, kind)

    def test_a_replaced_image(self) -> None:
        before = self.open("images/Live.iso/README")
        new = self.root / "new"
        new.write_bytes(iso({"pad": b"-" * 9000, "README": b"another"}))
        new.replace(self.image)
        after = self.open("images/Live.iso/README")
        self.assertEqual(self.result(before.read(0, 100)), b"read me")
        self.assertEqual(self.result(after.read(0, 100)), b"another")
        self.assertNotEqual(before.info.tag, after.info.tag)

    def test_a_broken_image(self) -> None:
        """It is named in the log, once; what is beside it goes on."""
        whole = iso(FILES)
        for broken in (
            b"",
            b"no image",
            whole[:40_000],
            whole[:36_000].ljust(len(whole), b"\xff"),
        ):
            (self.root / "images" / "bad.iso").write_bytes(broken)
            with capturedLogs() as logs:
                for _ in range(2):
                    self.assertRaises(ContentNotFound, self.open, "images/bad.iso/README")
            said = [event["file"] for event in logs if "Cannot read image" in event["log_format"]]
            self.assertEqual(said, [self.root / "images" / "bad.iso"], broken[:10])
            self.assertEqual(self.open("images/bad.iso").info.size, len(broken))
            self.assertEqual(self.text("images/Live.iso/README"), b"read me")

    def test_it_is_read_once_for_many(self) -> None:
        path = ContentPath.parse("images/Live.iso/README")
        asked = [Deferred.fromCoroutine(self.store.open(path, REQUEST)) for _ in range(5)]
        given_up = asked.pop()
        given_up.addErrback(lambda failure: failure.trap(CancelledError))
        given_up.cancel()
        opened: list[IContent] = []
        for each in asked:
            each.addCallback(opened.append)
        self.settle(lambda: len(opened) == 4)
        for content in opened:
            self.assertEqual(self.result(content.read(0, 9)), b"read me")
            content.close()
        result_of(self.store.open(path, REQUEST)).close()  # waits for no thread any more

    def test_no_descriptor_is_left_open(self) -> None:
        self.open("images/Live.iso/README").close()
        before = len(os.listdir("/proc/self/fd"))
        for name in ("README", "none", "live/vmlinuz"):
            try:
                result_of(
                    self.store.open(ContentPath.parse(f"images/Live.iso/{name}"), REQUEST)
                ).close()
            except ContentNotFound:
                continue
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class IndexTests(SynchronousTestCase):
    def test_links_stay_inside(self) -> None:
        image = Image()
        image.add("boot/kernel", b"kernel")
        links = {"near": "boot/kernel", "far": "/boot/kernel", "folder": "boot"}
        links |= {"up": "../../boot", "out": "../../../etc/passwd", "loop": "loop", "to": "none"}
        for name, target in links.items():
            image.link(name, target)
        root = read_index(BytesIO(image.bytes()))
        for path in ("near", "far", "folder/kernel", "up/kernel", "FOLDER/Kernel"):
            found = find(root, path.split("/"), ignore_case=True)
            assert isinstance(found, Stored), path
            self.assertEqual(found.size, 6)
        for path in ("out", "loop", "to", "near/x", "loop/x"):
            self.assertIsNone(find(root, path.split("/"), ignore_case=True), path)

    def test_deep_folders(self) -> None:
        """ISO 9660 ends at eight levels; Rock Ridge puts what is deeper elsewhere."""
        path = "/".join("abcdefghijkl") + "/file"
        found = find(read_index(BytesIO(iso({path: b"deep"}))), path.split("/"), ignore_case=False)
        self.assertIsInstance(found, Stored)

    def test_the_exact_name_wins(self) -> None:
        one, other = Stored(((0, 1),)), Stored(((0, 2),))
        root = Folder({"A": one, "a": other, "l": Link("A")})
        self.assertIs(find(root, ["a"], ignore_case=True), other)
        self.assertIs(find(root, ["L"], ignore_case=True), one)

    def test_a_file_that_ends_behind_the_image(self) -> None:
        whole = iso({"big": bytes(100_000)})
        with self.assertRaisesRegex(ValueError, "big"):
            read_index(BytesIO(whole[:-60_000]))

    @settings(max_examples=200, deadline=None)
    @given(
        kind=st.sampled_from(["rock-ridge", "joliet", "udf"]),
        changes=st.dictionaries(st.integers(0x8000, 0xFFFF), st.integers(0, 255), max_size=40),
    )
    def test_any_damage_is_told(self, kind: str, changes: dict[int, int]) -> None:
        """Whatever an image says, it is read or refused."""
        image = bytearray(DAMAGED[kind])
        for place, value in changes.items():
            image[place] = value
        try:
            root = read_index(BytesIO(bytes(image)))
        except ValueError:
            return
        self.assertIsInstance(root, Folder)

    def test_scattered_pieces(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"..abc..defg..")
        whole = File(os.open(path, os.O_RDONLY), ContentInfo(13))
        content = ScatteredFile(whole, ContentInfo(7), ((7, 4), (2, 3)))
        for offset, length, expected in ((0, 7, b"defgabc"), (3, 2, b"ga"), (5, 9, b"bc")):
            self.assertEqual(result_of(content.read(offset, length)), expected)
        self.assertIsNone(content.fileno())
        content.close()


class OwnersTests(SynchronousTestCase):
    def test_modes_and_times_of_rock_ridge(self) -> None:
        image = Image()
        image.add("bin/su", b"su", mode=0o104755)
        image.link("sh", "bin/su")
        root = read_index(BytesIO(image.bytes()))
        su, link = find(root, ["bin", "su"], ignore_case=False), root.entries["sh"]
        assert isinstance(su, Stored)
        self.assertEqual((su.posix.mode, su.posix.uid, su.posix.links), (0o104755, 0, 1))
        self.assertLess(abs(su.posix.modified - time.time()), 3600)
        self.assertTrue(stat.S_ISLNK(link.posix.mode))
        for folder in (root, root.entries["bin"]):
            self.assertEqual(folder.posix.mode, 0o40555)

    def test_what_an_image_does_not_say(self) -> None:
        for kind in ("joliet", "udf", "plain"):
            root = read_index(BytesIO(iso({"A/B": b"x"}, kind)))
            found = find(root, ["A", "B"], ignore_case=False)
            assert isinstance(found, Stored)
            self.assertEqual(found.posix.mode, 0o100555)
            self.assertEqual(root.posix.mode, 0o40555)

    def test_dates(self) -> None:
        """ECMA-119 §9.1.5: local time, and its distance to GMT in quarters of an hour."""
        for fields, seconds in {
            (126, 11, 28, 18, 43, 30, 8): 1795884210,
            (126, 13, 28, 18, 43, 30, 8): 0,  # no month
            (1, 1, 1, 0, 0, 0, 0): 0,  # before the epoch
        }.items():
            date = DirectoryRecordDate.from_fields(*fields)
            record = SimpleNamespace(rock_ridge=None, date=date)
            self.assertEqual(posix_of(record, folder=False).modified, seconds)
