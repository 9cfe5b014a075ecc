"""From power-on to what an Active Directory says of the machine: a real domain, real firmware."""

from __future__ import annotations

import time
from uuid import UUID

from bootlab import directory
from bootlab.directory import DomainController
from bootlab.lab import CACHE
from bootlab.machines import Firmware, Machine
from tests.e2e.case import BootCase

#: As active-directory.ini has it, in seconds.
FRESH = 2.0

BIOS = Machine("ad-bios", "52:54:00:77:02:01", Firmware.BIOS)
UEFI = Machine("ad-uefi", "52:54:00:77:02:02", Firmware.UEFI)
BIOS_PATH = "CN=ad-bios,OU=B12,OU=Rooms"
UEFI_PATH = "CN=ad-uefi,OU=Offices"
ROOM, EXAM = "CN=Room-B12-PCs,OU=Rooms", "CN=Exam-PCs,OU=Rooms"


class ActiveDirectoryTests(BootCase):
    """The BIOS machine is known by its MAC, and in the exam's group by way of its room's; the
    UEFI machine is known by its network boot GUID alone, and among the offices."""

    def setUp(self) -> None:
        super().setUp()
        self.domain = DomainController(self.lab.lan, self.lab.folder, CACHE)
        self.addCleanup(self.domain.close)
        self.domain.start()
        self.domain.change(
            *map(directory.unit, ("OU=Rooms", "OU=B12,OU=Rooms", "OU=Offices")),
            directory.computer(BIOS_PATH, mac=BIOS.mac),
            directory.computer(UEFI_PATH, uuid=UUID(UEFI.uuid)),
            directory.group(ROOM, BIOS_PATH),
            directory.group(EXAM, ROOM),
        )
        self.serve("active-directory.ini")

    def boot_all(self, *machines: Machine) -> list[str]:
        """Power machines on at the same time; return profile and name that each has got."""
        running = [self.lab.boot(machine) for machine in machines]
        told = [self.booted(machine)["name"] for machine in running]
        for machine in running:
            machine.stop()
        return told

    def test_group_and_unit_also_without_the_controller(self) -> None:
        """When it is stopped, machines that were seen boot as before; the log says why."""
        self.assertEqual(self.boot_all(BIOS, UEFI), ["exam-ad-bios", "office-ad-uefi"])
        self.domain.stop()
        time.sleep(FRESH)
        self.assertEqual(self.boot_all(BIOS, UEFI), ["exam-ad-bios", "office-ad-uefi"])
        self.assertRegex(self.server.text, "directory domain is away: .*; answers from memory")

    def test_change_of_group(self) -> None:
        """The room's group leaves the exam's: the machine is seen without after the fresh time."""
        self.assertEqual(self.boot_all(BIOS), ["exam-ad-bios"])
        self.domain.change(directory.leave(EXAM, ROOM))
        time.sleep(FRESH)
        self.assertEqual(self.boot_all(BIOS), ["standard-ad-bios"])
