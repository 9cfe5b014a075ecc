"""Sightings under a flood of invented machines."""

from __future__ import annotations

from unittest import TestCase

from pxetwist.boot.sightings import PLAN_LIFE, Sightings
from pxetwist.model.boot import BootStage
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine


def identity(number: int) -> ClientIdentity:
    return ClientIdentity(mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")


class SightingsTests(TestCase):
    def setUp(self) -> None:
        self.sightings = Sightings(limit=10)

    def see(self, number: int, now: float = 0.0, known: bool = False) -> None:
        sighting = self.sightings.see(identity(number), BootStage.FIRMWARE, now)
        if known:
            sighting.machine = Machine(f"ws{number}")

    def seen(self, now: float = 1.0) -> list[int]:
        return [n for n in range(100) if self.sightings.get(identity(n).key, now)]

    def test_the_oldest_goes(self) -> None:
        for number in range(30):
            self.see(number)
        self.assertEqual(self.seen(), list(range(20, 30)))

    def test_known_machines_stay(self) -> None:
        for number in range(5):
            self.see(number, known=True)
        for number in range(5, 50):
            self.see(number)
        self.assertEqual(self.seen(), [*range(5), *range(45, 50)])

    def test_known_machines_alone_are_bounded_too(self) -> None:
        for number in range(50):
            self.see(number, known=True)
        self.assertEqual(len(self.seen()), 10)

    def test_a_boot_that_is_over(self) -> None:
        """Nothing is kept for it."""
        self.see(0, known=True)
        late = PLAN_LIFE + 1
        for number in range(1, 20):
            self.see(number, late)
        self.assertEqual(self.seen(late), list(range(10, 20)))

    def test_a_system_that_has_its_root_asks_again(self) -> None:
        """Its DHCP client begins no new boot; its firmware does."""
        stages = (BootStage.KERNEL, BootStage.ROOT, BootStage.KERNEL, BootStage.ROOT)
        boots = [self.sightings.see(identity(1), stage, 1.0) for stage in stages]
        self.assertEqual(len({each.boot_id for each in boots}), 1)
        self.assertIs(boots[-1].stage, BootStage.ROOT)
        again = self.sightings.see(identity(1), BootStage.FIRMWARE, 2.0)
        self.assertNotEqual(again.boot_id, boots[0].boot_id)
