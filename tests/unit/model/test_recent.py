"""A memory that forgets what was not used for long."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.recent import Recent


class RecentTests(SynchronousTestCase):
    def test_what_is_used_stays(self) -> None:
        recent: Recent[int, str] = Recent(3)
        for number in range(100):
            recent.put(number, str(number))
            self.assertEqual(recent.get(0), "0")
            self.assertLessEqual(len(recent), 6)
        self.assertIsNone(recent.get(50))
        self.assertEqual(recent.get(98), "98")

    def test_the_latest_value_counts(self) -> None:
        recent: Recent[str, int] = Recent(2)
        for key, value in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
            recent.put(key, value)
        self.assertEqual(recent.get("a"), 4)
        recent.put("d", 5)
        self.assertEqual(recent.get("a"), 4)
        self.assertEqual(len(recent), 3)

    def test_forget(self) -> None:
        recent: Recent[str, int] = Recent(1)
        recent.put("a", 1)
        recent.put("b", 2)
        recent.clear()
        self.assertEqual((len(recent), recent.get("a")), (0, None))
