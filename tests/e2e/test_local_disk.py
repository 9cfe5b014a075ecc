"""Machines that must start what is installed on their disk, and those that get no answer."""

from __future__ import annotations

import time

from bootlab import disks
from bootlab.disks import Disk
from bootlab.machines import Firmware
from bootlab.processes import Process
from tests.e2e.case import PATIENCE, STRANGER, BootCase

#: From the server's first answer to the disk's first word. Firmware that is left without an
#: answer to a question goes on after a minute; that is not what a plan for the disk may cost.
BOUND = 45.0
DOWN, ENTER = "\x1b[B", "\r"


class DiskCase(BootCase):
    def bios_disk(self) -> Disk:
        return disks.bios_disk(self.lab.folder / "disk.img")

    def uefi_disk(self) -> Disk:
        return disks.uefi_disk(self.lab.folder / "disk")

    def assert_disk_started(self, machine: Process, mac: str) -> None:
        """The server answered, and soon after that the disk was started."""
        machine.wait_for(disks.MARKER, PATIENCE)
        started = time.time()
        answers = self.answers(mac)
        self.assertNotEqual(answers, [])
        self.assertLess(started - answers[0].time, BOUND)

    def assert_silent_disk_started(self, machine: Process, mac: str) -> None:
        """The machine asked, got no packet at all, and started its disk."""
        machine.wait_for(disks.MARKER, PATIENCE)
        asked = [each for each in self.lab.capture.frames() if each.dhcp_client == (1, mac)]
        self.assertNotEqual(asked, [])
        self.assertEqual(self.answers(mac), [])


class LocalDiskTests(DiskCase):
    """A machine whose profile is the local disk, or silence."""

    def test_bios(self) -> None:
        self.serve()
        machine = self.boot("bios-local", Firmware.BIOS, self.bios_disk())
        self.assert_disk_started(machine, self.known["bios-local"]["mac"])

    def test_uefi_ipxe(self) -> None:
        """iPXE gives the machine back to its firmware, which goes on with the disk."""
        self.serve()
        machine = self.boot("uefi-local", Firmware.UEFI, self.uefi_disk())
        self.assert_disk_started(machine, self.known["uefi-local"]["mac"])

    def test_secure_boot_grub(self) -> None:
        """GRUB starts the disk's own loader, which is a signed shim."""
        self.serve()
        machine = self.boot("secure-local", Firmware.SECURE_BOOT, self.uefi_disk())
        self.assert_disk_started(machine, self.known["secure-local"]["mac"])

    def test_silent(self) -> None:
        self.serve()
        machine = self.boot("bios-silent", Firmware.BIOS, self.bios_disk())
        self.assert_silent_disk_started(machine, self.known["bios-silent"]["mac"])


class StrangerTests(DiskCase):
    """A machine that no directory knows."""

    def test_local(self) -> None:
        self.serve()
        machine = self.boot("stranger", Firmware.BIOS, self.bios_disk())
        self.assert_disk_started(machine, STRANGER)

    def test_silence(self) -> None:
        self.serve(change=("unknown -> local", "unknown -> silence"))
        machine = self.boot("stranger", Firmware.BIOS, self.bios_disk())
        self.assert_silent_disk_started(machine, STRANGER)

    def test_discovery(self) -> None:
        """It boots a Linux that knows by its arguments whom it runs on."""
        self.serve(change=("unknown -> local", "unknown -> discovery"))
        told = self.booted(self.boot("stranger", Firmware.BIOS))
        self.assertEqual(told["name"], f"stranger-{STRANGER}")

    def test_menu(self) -> None:
        """Somebody chooses the second entry of a menu."""
        self.serve(change=("unknown -> local", "unknown -> choice"))
        machine = self.boot("stranger", Firmware.BIOS, self.bios_disk())
        machine.wait_for("A stranger's choice(.|\n)*Discovery", PATIENCE)
        machine.type(DOWN + ENTER)
        self.assertEqual(self.booted(machine)["name"], f"stranger-{STRANGER}")
