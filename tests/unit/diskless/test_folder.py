"""Versions of an image are whole or not there, and one of them is what machines start."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.diskless.folder import Facts, Image, ImageError, ImageVersion, all_images, image

FACTS = Facts("debian:bookworm", "amd64", "6.1", 1.5, 1000, ("ssh",), ("true",))


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.images = Path(self.mktemp())
        self.image = image(self.images, "lab")

    def make(self, name: str) -> ImageVersion:
        with self.image.locked():
            made = self.image.begin(name)
            made.root.mkdir()
            made.note(FACTS)
            return self.image.finish(made)

    def test_a_version_is_not_seen_before_it_is_whole(self) -> None:
        self.assertEqual(all_images(self.images), [])
        with self.image.locked():
            made = self.image.begin("1")
            made.note(FACTS)
            self.assertEqual(self.image.versions, [])
            self.image.finish(made)
        self.assertEqual([each.name for each in self.image.versions], ["1"])
        self.assertEqual(self.image.version("1").facts, FACTS)
        self.assertEqual(all_images(self.images), [self.image])
        self.assertEqual(self.image.current, "")

    def test_current(self) -> None:
        for name in ("1", "2"):
            self.image.switch(self.make(name))
        self.assertEqual(self.image.current, "2")
        self.assertEqual(self.image.version().name, "2")
        self.assertEqual((self.image.folder / "current" / "root").resolve().parent.name, "2")
        self.image.switch(self.image.version("1"))
        self.assertEqual(self.image.current, "1")

    def test_remove(self) -> None:
        for name in ("1", "2"):
            self.image.switch(self.make(name))
        self.image.remove(self.image.version("2"))
        self.assertEqual(self.image.current, "")
        self.assertEqual([each.name for each in self.image.versions], ["1"])
        self.assertEqual(len(list(self.image.folder.iterdir())), 2)  # and the lock

    def test_what_was_left_half_is_removed(self) -> None:
        with self.image.locked():
            (self.image.begin("1").folder / "file").touch()
        with self.image.locked():
            self.image.begin("2")
        self.assertEqual([f.name for f in self.image.folder.glob(".*ing")], [".2.building"])

    def test_one_at_a_time(self) -> None:
        with self.image.locked(), self.assertRaises(ImageError) as caught, self.image.locked():
            pass
        self.assertIn("being built", str(caught.exception))

    def test_mistakes_are_said(self) -> None:
        self.make("1")
        for name, complaint in (
            ("2", "has no version '2' (known: 1)"),
            ("", "has no version 'current' (known: 1)"),
        ):
            with self.assertRaises(ImageError) as caught:
                self.image.version(name)
            self.assertIn(complaint, str(caught.exception))
        with self.assertRaises(ImageError) as caught:
            Image(self.images / "none").version()
        self.assertIn("there is no image 'none'", str(caught.exception))
        for name in ("1", "current", "a/b", ".hidden"):
            self.assertRaises(ImageError, self.image.begin, name)
        self.assertRaises(ImageError, image, self.images, "../x")

    def test_facts_that_cannot_be_read(self) -> None:
        made = self.make("1")
        for text in ("", "{}", "[]", '{"packages": 1, "commands": []}'):
            (made.folder / "image.json").write_text(text)
            with self.assertRaises(ImageError) as caught:
                _ = made.facts
            self.assertIn("image.json", str(caught.exception))
