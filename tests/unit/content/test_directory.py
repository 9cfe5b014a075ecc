"""The folder of files: what it finds, and what nobody gets out of it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.content.directory import Settings, build
from pxetwist.errors import ContentDenied, ContentError, ContentNotFound
from pxetwist.interfaces import IContent, IContentStore, IListsFolders
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.content import ROOT, ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import make_site, result_of

REQUEST = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.TFTP)


class DirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "root"
        (self.root / "grub").mkdir(parents=True)
        (self.root / "grub" / "grub.cfg").write_bytes(b"menu")
        self.outside = Path(folder.name) / "secret"
        self.outside.write_bytes(b"secret")
        self.store = build(Settings(root=self.root), make_site())

    def open(self, name: bytes | str) -> IContent:
        content = result_of(self.store.open(ContentPath.parse(name), REQUEST))
        self.addCleanup(content.close)
        return content

    def text(self, name: bytes | str) -> bytes:
        return result_of(self.open(name).read(0, 1000))

    def test_interfaces(self) -> None:
        verifyObject(IContentStore, self.store)
        verifyObject(IContent, self.open("grub/grub.cfg"))

    def test_reading(self) -> None:
        content = self.open("grub/grub.cfg")
        self.assertEqual(content.info.size, 4)
        for offset, length, expected in [
            (0, 4, b"menu"),
            (1, 2, b"en"),
            (3, 9, b"u"),
            (4, 9, b""),
        ]:
            self.assertEqual(result_of(content.read(offset, length)), expected)
        descriptor = content.fileno()
        assert descriptor is not None
        self.assertEqual(os.pread(descriptor, 10, 0), b"menu")
        content.close()
        content.close()

    def test_names_as_clients_spell_them(self) -> None:
        for name in ("/grub//grub.cfg", "\\grub\\grub.cfg", "./grub/./grub.cfg", "GRUB/Grub.CFG"):
            self.assertEqual(self.text(name), b"menu")
        self.assertEqual(self.text(b"grub/grub.cfg\xff\0"), b"menu")

    def test_the_exact_name_wins(self) -> None:
        (self.root / "GRUB").mkdir()
        (self.root / "GRUB" / "grub.cfg").write_bytes(b"other")
        (self.root / "pxelinux").write_bytes(b"stem")
        (self.root / "pxelinux.0").write_bytes(b"nbp")
        self.assertEqual(self.text("GRUB/grub.cfg"), b"other")
        self.assertEqual(self.text("grub/grub.cfg"), b"menu")
        self.assertEqual(self.text("pxelinux.0"), b"nbp")

    def test_case_may_matter(self) -> None:
        self.store = build(Settings(root=self.root, ignore_case=False), make_site())
        self.assertRaises(ContentNotFound, self.open, "GRUB/grub.cfg")

    def test_what_is_not_there(self) -> None:
        long = "a" * 300
        for name in ("nothing", "grub", "grub/nothing", "grub/grub.cfg/x", long, "nothing.0"):
            self.assertRaises(ContentNotFound, self.open, name)

    def test_only_regular_files(self) -> None:
        os.mkfifo(self.root / "pipe")  # opening one would wait for a writer
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(self.root / "socket"))
        (self.root / "null").symlink_to("/dev/null")
        for name in ("pipe", "socket", "null"):
            self.assertRaises(ContentNotFound, self.open, name)

    def test_symbolic_links_inside(self) -> None:
        (self.root / "relative").symlink_to("grub/grub.cfg")
        (self.root / "absolute").symlink_to(self.root / "grub" / "grub.cfg")
        (self.root / "folder").symlink_to("grub")
        (self.root / "around").symlink_to("../root/grub")
        for name in ("relative", "absolute", "folder/grub.cfg", "around/grub.cfg"):
            self.assertEqual(self.text(name), b"menu")

    def test_symbolic_links_out(self) -> None:
        (self.root / "relative").symlink_to("../secret")
        (self.root / "absolute").symlink_to(self.outside)
        (self.root / "folder").symlink_to("..")
        (self.root / "neighbour").symlink_to(f"{self.root}er/secret")
        Path(f"{self.root}er").mkdir()
        Path(f"{self.root}er", "secret").write_bytes(b"secret")
        for name in ("relative", "absolute", "folder/secret", "neighbour", "FOLDER/SECRET"):
            self.assertRaises(ContentDenied, self.open, name)

    def test_what_the_server_may_not_read(self) -> None:
        """It says what mends it."""
        opened = os.open

        def refusing(name: Any, flags: int, **more: Any) -> int:
            if not flags & os.O_PATH:
                raise PermissionError
            return opened(name, flags, **more)

        file = self.root / "grub" / "closed.bin"
        file.write_bytes(b"x" * 100_000)
        self.patch(os, "open", refusing)
        error = self.assertRaises(ContentDenied, self.open, "grub/closed.bin")
        said = f"the server may not read it; mend: chmod a+r {file}"
        self.assertEqual(str(error), said)

    def test_a_loop_of_links(self) -> None:
        (self.root / "loop").symlink_to("loop")
        self.assertRaises(ContentError, self.open, "loop")

    def test_a_root_that_is_a_link_may_change(self) -> None:
        link = self.root.parent / "current"
        link.symlink_to("root")
        self.store = build(Settings(root=link), make_site())
        self.assertEqual(self.text("grub/grub.cfg"), b"menu")
        link.unlink()
        self.assertRaises(ContentNotFound, self.open, "grub/grub.cfg")

    def test_a_replaced_file(self) -> None:
        before = self.open("grub/grub.cfg")
        (self.root / "new").write_bytes(b"longer than before")
        (self.root / "new").replace(self.root / "grub" / "grub.cfg")
        after = self.open("grub/grub.cfg")
        self.assertEqual(result_of(before.read(0, 100)), b"menu")
        self.assertEqual(result_of(after.read(0, 100)), b"longer than before")
        self.assertNotEqual(before.info.tag, after.info.tag)

    def test_media_types(self) -> None:
        for name, expected in [
            ("a.efi", "application/efi"),
            ("A.EFI", "application/efi"),
            ("a.iso", "application/vnd.efi-iso"),
            ("a.img", "application/vnd.efi-img"),
            ("a.tar", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ]:
            (self.root / name).write_bytes(b"")
            self.assertEqual(self.open(name).info.media_type, expected)

    def test_no_descriptor_is_left_open(self) -> None:
        def count() -> int:
            return len(os.listdir("/proc/self/fd"))

        (self.root / "out").symlink_to("../secret")
        before = count()
        for name in ("grub/grub.cfg", "nothing", "grub", "out", "nothing.0", "GRUB/GRUB.CFG"):
            try:
                result_of(self.store.open(ContentPath.parse(name), REQUEST)).close()
            except ContentError:
                continue
        self.assertEqual(count(), before)


class ListingTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "root"
        (self.root / "a" / "sub").mkdir(parents=True)
        (self.root / "a" / "file <b>&'.txt").write_bytes(b"1234")
        (self.root / "a" / "link").symlink_to("sub")
        (self.root / "a" / "out").symlink_to("../../secret")
        (self.root / "a" / "etc").symlink_to("/etc")
        (self.root / "a" / "loop").symlink_to("loop")
        os.mkfifo(self.root / "a" / "pipe")
        Path(os.fsdecode(bytes(self.root) + b"/a/\xff")).write_bytes(b"")
        Path(folder.name, "secret").write_bytes(b"secret")

    def open(
        self, name: str, *, listing: bool = True, protocol: Protocol = Protocol.HTTP
    ) -> IContent:
        store = build(Settings(root=self.root, listing=listing), make_site())
        path = ContentPath.parse(name)
        asked = BootRequest(ClientIdentity(), BootStage.LOADER, protocol, path)
        content = result_of(store.open(path, asked))
        self.addCleanup(content.close)
        return content

    def test_a_folder(self) -> None:
        content = self.open("A/")
        self.assertEqual(content.info.media_type, "text/html")
        text = result_of(content.read(0, content.info.size)).decode()
        items = [line for line in text.splitlines() if line.startswith("<li>")]
        self.assertEqual(
            items,
            [
                '<li><a href="/A/file%20%3Cb%3E%26%27.txt">file &lt;b&gt;&amp;&#x27;.txt</a> 4',
                '<li><a href="/A/link/">link/</a>',
                '<li><a href="/A/sub/">sub/</a>',
                '<li><a href="/A/%FF">\ufffd</a> 0',
            ],
        )

    def test_facts_for_other_protocols(self) -> None:
        store: Any = build(Settings(root=self.root, listing=True), make_site())
        names = {each.name: each.size for each in store.listed(ContentPath.parse("a"))}
        self.assertEqual(names["file <b>&'.txt"], 4)
        self.assertIsNone(names["sub"])
        self.assertEqual([each.name for each in store.listed(ROOT)], ["a"])
        self.assertTrue(all(each.modified > 1e9 for each in store.listed(ROOT)))
        self.assertRaises(ContentDenied, store.listed, ContentPath.parse("a/etc"))
        self.assertFalse(IListsFolders.providedBy(build(Settings(root=self.root), make_site())))

    def test_files_are_files(self) -> None:
        content = self.open("a/file <b>&'.txt")
        self.assertEqual(result_of(content.read(0, 9)), b"1234")

    def test_only_when_asked_for(self) -> None:
        with self.assertRaises(ContentNotFound):
            self.open("a", listing=False)
        with self.assertRaises(ContentNotFound):
            self.open("a", protocol=Protocol.TFTP)
        for name in ("none", "a/pipe"):
            self.assertRaises(ContentError, self.open, name)
        self.assertRaises(ContentDenied, self.open, "a/etc")

    def test_no_descriptor_is_left_open(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for name in ("a", "none", "a/etc", "a/pipe"):
            try:
                self.open(name).close()
            except ContentError:
                continue
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
