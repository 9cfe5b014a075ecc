"""What is remembered of directories, and how long it holds."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts.memory import Memory, key_of
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine

NOW = 1_800_000_000.0
WS1, WS2 = (ClientIdentity(mac=f"52:54:00:00:00:0{n}") for n in (1, 2))


class MemoryTests(SynchronousTestCase):
    def test_a_clock_that_is_set_back(self) -> None:
        """Answers do not hold until the old time has come again."""
        memory = Memory(fresh=30.0, negative=10.0, stale=3600.0)
        memory.learn(key_of(WS1), WS1, Machine("ws1"), NOW)
        memory.learn(key_of(WS2), WS2, None, NOW)
        for now, known, unknown in (
            (NOW, True, True),
            (NOW + 9, True, True),
            (NOW + 11, True, False),
            (NOW + 31, False, False),
            (NOW - 7200, False, False),
        ):
            self.assertEqual(memory.current(key_of(WS1), now) is not None, known)
            self.assertEqual(memory.is_unknown(key_of(WS2), now), unknown)
