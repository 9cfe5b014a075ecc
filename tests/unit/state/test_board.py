"""The board that processes of one server share."""

from __future__ import annotations

from pathlib import Path
from stat import S_IMODE

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import StartError, StateUnavailable
from pxetwist.state import board
from pxetwist.state.board import Board

KEY = b"k" * 32


class BoardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "board.sqlite"
        self.one = self.opened(owner=True)
        self.other = self.opened(owner=False)

    def opened(self, *, owner: bool) -> Board:
        made = Board(self.path, KEY, owner=owner)
        made.startService()
        self.addCleanup(made.stopService)
        return made

    def test_notes(self) -> None:
        self.assertIsNone(self.other.get("a"))
        first = self.one.put("a", b"one")
        self.assertEqual(self.other.get("a"), (first, True, b"one"))
        self.assertEqual(self.other.get("a", first), (first, True, None))
        second = self.other.put("a", b"two")
        self.assertNotEqual(first, second)
        self.assertEqual(self.one.get("a", first), (second, True, b"two"))
        self.one.drop("a")
        self.assertIsNone(self.other.get("a", second))

    def test_places(self) -> None:
        for number, key in ((7, "a"), (2**127, "b"), (7, "c")):
            self.one.locate(number, key)
        self.assertEqual([self.other.key_at(n) for n in (7, 2**127, 8)], ["c", "b", ""])
        self.one.leave(7)
        self.assertEqual(self.other.key_at(7), "")

    def test_plans_are_forgotten(self) -> None:
        stamp = self.one.put("a", b"one")
        self.other.forget_plans()
        found = self.one.get("a", stamp)
        assert found is not None
        self.assertEqual(found[1:], (False, b"one"))
        self.one.put("a", b"two")
        self.assertTrue((self.other.get("a") or (0, False))[1])

    def test_one_writes_at_a_time(self) -> None:
        self.patch(board, "BUSY", 0.01)
        late = self.opened(owner=False)
        with self.one.exclusive():
            self.one.put("a", b"one")
            self.assertRaises(StateUnavailable, late.put, "a", b"two")
            self.assertIsNone(late.get("a"))
        self.assertEqual((late.get("a") or (0, 0, b""))[2], b"one")

    def test_what_breaks_is_not_there(self) -> None:
        with self.assertRaises(KeyError), self.one.exclusive():
            self.one.put("a", b"one")
            raise KeyError
        self.assertIsNone(self.other.get("a"))
        self.other.put("a", b"two")

    def test_for_nobody_else_and_not_for_long(self) -> None:
        self.assertEqual(S_IMODE(self.path.stat().st_mode), 0o600)
        self.one.put("a", b"one")
        self.assertIsNone(self.opened(owner=True).get("a"))

    def test_what_is_on_the_disk(self) -> None:
        """Nobody reads it without the key, and nobody puts there what is believed."""
        self.one.put("a", b"a secret")
        written = b"".join(each.read_bytes() for each in self.path.parent.iterdir())
        self.assertIn(b"stamp", written)
        self.assertNotIn(b"a secret", written)
        stranger = Board(self.path, b"x" * 32, owner=False)
        stranger.startService()
        self.addCleanup(stranger.stopService)
        self.assertRaises(StateUnavailable, stranger.get, "a")
        stranger.put("a", b"forged")
        self.assertRaises(StateUnavailable, self.other.get, "a")

    def test_a_path_that_cannot_be(self) -> None:
        self.assertRaises(StartError, Board(self.path / "file", KEY, owner=True).startService)
