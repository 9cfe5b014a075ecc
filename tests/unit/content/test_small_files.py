"""Small files that are kept: bytes of the file that a name is now, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content import small_files
from pxetwist.content.directory import Settings, build
from pxetwist.content.small_files import LARGEST
from pxetwist.errors import ContentDenied, ContentNotFound
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import make_site, result_of

REQUEST = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.HTTP)


class Later:
    """The module `time`, when all files have settled."""

    @staticmethod
    def time() -> float:
        return time.time() + 60


class SmallFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute() / "root"
        self.root.mkdir(parents=True)
        self.store = build(Settings(root=self.root), make_site())
        self.patch(small_files, "time", Later)

    def read(self, name: str) -> tuple[bytes, bool]:
        """Return the bytes of a file, and whether they were in memory."""
        content = result_of(self.store.open(ContentPath.parse(name), REQUEST))
        try:
            return result_of(content.read(0, 1 << 20)), content.fileno() is None
        finally:
            content.close()

    def test_the_second_time_it_is_kept(self) -> None:
        for name, size in (("empty", 0), ("a.efi", 5), ("b", LARGEST)):
            data = os.urandom(size)
            (self.root / name).write_bytes(data)
            self.assertEqual(self.read(name), (data, False))
            first = self.store.open(ContentPath.parse(name), REQUEST)
            self.assertEqual(self.read(name), (data, True))
            second = self.store.open(ContentPath.parse(name), REQUEST)
            self.assertEqual(result_of(first).info, result_of(second).info)

    def test_large_ones_and_those_being_written_are_not(self) -> None:
        (self.root / "large").write_bytes(bytes(LARGEST + 1))
        (self.root / "new").write_bytes(b"new")
        for _ in range(2):
            self.assertFalse(self.read("large")[1])
        self.patch(small_files, "time", time)
        for _ in range(2):
            self.assertEqual(self.read("new"), (b"new", False))

    def test_a_name_is_looked_up_each_time(self) -> None:
        file, other = self.root / "file", self.root / "other"
        file.write_bytes(b"before")
        other.write_bytes(b"others")
        for name in ("file", "other"):
            self.read(name)
        file.write_bytes(b"behind")  # of the same length
        self.assertEqual(self.read("file"), (b"behind", False))
        other.replace(file)
        self.assertEqual(self.read("file")[0], b"others")
        file.unlink()
        self.assertRaises(ContentNotFound, self.read, "file")

    def test_rights_and_places_are_looked_at_each_time(self) -> None:
        file = self.root / "file"
        file.write_bytes(b"text")
        self.read("file")
        file.rename(self.root.parent / "outside")
        file.symlink_to(self.root.parent / "outside")
        self.assertRaises(ContentDenied, self.read, "file")

    def test_firmware_goes_by_the_name(self) -> None:
        (self.root / "x.efi").write_bytes(b"text")
        self.read("x.efi")
        (self.root / "x.cfg").hardlink_to(self.root / "x.efi")
        for _ in range(2):
            content = result_of(self.store.open(ContentPath.parse("x.cfg"), REQUEST))
            self.assertEqual(content.info.media_type, "text/plain")
            content.close()

    def test_there_are_not_too_many(self) -> None:
        for number in range(1000):
            (self.root / str(number)).write_bytes(b"x")
            self.read(str(number))
        self.assertEqual([self.read(name)[1] for name in ("999", "0")], [True, False])
