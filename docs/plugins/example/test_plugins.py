"""Tests of this site's plugins; run them here with: python -m unittest"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from unittest import TestCase

import attrs
from plugins import hours, inventory
from twisted.internet.task import Clock

from pxetwist.config.fields import Line
from pxetwist.errors import ConfigErrors, Location
from pxetwist.interfaces import IBootPolicy, IHostDirectory
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.testing import make_site, result_of
from pxetwist.testing.contracts import BootPolicyContract, HostDirectoryContract

HEADER = "Asset;Network cards;System UUID;IP;Room;Image"


def directory(test: TestCase, *rows: str) -> IHostDirectory:
    """Make a directory of an export with these rows."""
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    file = Path(folder.name) / "inventory.csv"
    file.write_text("\n".join([HEADER, *rows]))
    return inventory.build(inventory.Settings(file=file), make_site())


class InventoryContractTests(HostDirectoryContract, TestCase):
    """What every host directory must do."""

    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        rows = []
        for each in machines:
            room, image = each.labels.get("room", ""), each.labels.get("profile", "")
            cells = (each.name, " ".join(each.macs), each.uuid, each.address, room, image)
            rows.append(";".join(str(cell or "") for cell in cells))
        return directory(self, *rows)


class InventoryTests(TestCase):
    """What this one does."""

    def test_mistakes_are_found_by_line(self) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            directory(self, "pc-1;52:54:00:00:00:01;;;b12;", "pc-2;52:54:zz;;;b12;")
        [mistake] = caught.exception.errors
        self.assertEqual(mistake.location.line, 3)
        self.assertIn("52:54:zz", mistake.message)


# the policy
def policy(clock: Clock) -> IBootPolicy:
    """Make the policy of a classroom that computes from eight to six."""
    profile = BootProfile("compute", ProfileKind.LINUX, kernel={"": "compute/vmlinuz"})
    settings = hours.Settings(
        between=hours.parse_hours("20:00 - 06:00"),
        rooms=("b12",),
        profile=Line("compute", Location("pxe.ini", 1)),
    )
    site = attrs.evolve(make_site(reactor=clock, name="night"), profiles={"compute": profile})
    return hours.build(settings, site)


class HoursContractTests(BootPolicyContract, TestCase):
    """What every policy must do, whatever it decides."""

    def make_policy(self) -> IBootPolicy:
        clock = Clock()
        clock.advance(datetime(2026, 11, 23, 21, 0).timestamp())
        return policy(clock)


class HoursTests(TestCase):
    """What this one decides, and when."""

    def profile_at(self, hour: int, minute: int, room: str) -> str | None:
        """Return the profile for a machine of a room, at a time of day."""
        clock = Clock()
        clock.advance(datetime(2026, 11, 23, hour, minute).timestamp())
        request = BootRequest(
            ClientIdentity(mac="52:54:00:00:00:12"),
            BootStage.FIRMWARE,
            Protocol.DHCP,
            machine=Machine("pc-1", labels={"room": room}),
        )
        plan = result_of(policy(clock).plan_boot(request))
        return plan.profile if plan else None

    def test_by_night(self) -> None:
        for hour, minute in ((20, 0), (23, 59), (0, 0), (5, 59)):
            self.assertEqual(self.profile_at(hour, minute, "b12"), "compute")

    def test_by_day_others_decide(self) -> None:
        for hour, minute in ((6, 0), (12, 0), (19, 59)):
            self.assertIsNone(self.profile_at(hour, minute, "b12"))

    def test_other_rooms(self) -> None:
        self.assertIsNone(self.profile_at(23, 0, "c3"))
