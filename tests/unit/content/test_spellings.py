"""Names in any case: a folder is read once, until it changes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content import spellings
from pxetwist.content.spellings import Spellings


class Later:
    """The module `time`, when all folders have settled."""

    @staticmethod
    def time() -> float:
        return time.time() + 60


class SpellingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        (self.root / "Sub").mkdir(parents=True)
        (self.root / "Sub" / "Linux").touch()
        (self.root / "Sub" / "LINUX").touch()
        self.patch(spellings, "time", Later)
        self.read: list[bytes] = []
        self.spellings = Spellings()

        def listdir(folder: bytes) -> list[bytes]:
            self.read.append(folder)
            return real(folder)

        real = os.listdir
        self.patch(os, "listdir", listdir)

    def spell(self, path: str) -> str | None:
        found = self.spellings.spell(os.fsencode(self.root), tuple(path.encode().split(b"/")))
        return None if found is None else b"/".join(found).decode()

    def test_names(self) -> None:
        for asked, found in (
            ("Sub/Linux", "Sub/Linux"),
            ("SUB/Linux", "Sub/Linux"),
            ("sub/linux", "Sub/LINUX"),
            ("sub/linux2", None),
            ("sub/linux/x", None),
            ("sub/" + "x" * 300, None),
        ):
            self.assertEqual(self.spell(asked), found)

    def test_a_folder_is_read_once(self) -> None:
        for number in range(9):
            self.assertIsNone(self.spell(f"sub/nothing{number}"))
        self.assertEqual(len(self.read), 2)

    def test_until_it_changes(self) -> None:
        self.assertIsNone(self.spell("sub/new"))
        (self.root / "Sub" / "New").touch()
        self.assertEqual(self.spell("sub/new"), "Sub/New")
        (self.root / "Sub" / "New").rename(self.root / "Sub" / "NeW")
        self.assertEqual(self.spell("sub/new"), "Sub/NeW")

    def test_not_while_it_may_be_changing(self) -> None:
        self.patch(spellings, "time", time)
        for _ in range(3):
            self.assertIsNone(self.spell("nothing"))
        self.assertEqual(len(self.read), 3)

    def test_no_more_names_than_there_is_room_for(self) -> None:
        self.patch(spellings, "_MOST", 2)
        for name in ("sub/x", "sub/x", "y", "sub/x"):
            self.assertIsNone(self.spell(name))
        self.assertLessEqual(self.spellings._count, 3)
        self.patch(spellings, "_MOST", 0)
        self.spellings = Spellings()
        before = len(self.read)
        for _ in range(2):
            self.assertIsNone(self.spell("Sub/x"))
        self.assertEqual(len(self.read), before + 2)
