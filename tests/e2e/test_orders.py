"""Machines that install once and then start their disk; unknown ones that wait for approval."""

from __future__ import annotations

import sys
from pathlib import Path

from bootlab import disks
from bootlab.machines import Firmware, Machine
from bootlab.processes import run
from tests.e2e.case import PATIENCE, STRANGER, BootCase

_PXETWIST = Path(sys.executable).parent / "pxetwist"


class OrdersCase(BootCase):
    def command(self, name: str, *words: str) -> str:
        """Run a command of pxetwist's on the site."""
        return run(str(_PXETWIST), name, str(self.lab.folder / "site" / "orders.ini"), *words)


class OrderTests(OrdersCase):
    def test_install_once(self) -> None:
        """The machine's label says Linux for every day; the order comes before that."""
        self.serve("orders.ini")
        self.command("order", "bios-ipxe", "install")
        installer = self.boot("bios-ipxe", Firmware.BIOS)
        self.assert_booted(installer, "bios-ipxe")
        installer.wait_for("PXETWIST-CALLED-BACK answer=Noted ", PATIENCE)
        listed = self.command("order", "--list")
        self.assertRegex(listed, r"bios-ipxe +install +done .* installed by \d")
        disk = disks.bios_disk(self.lab.folder / "disk.img")
        mac = self.known["bios-ipxe"]["mac"]
        again = self.lab.boot(Machine("bios-ipxe-again", mac, Firmware.BIOS, disk))
        again.wait_for(disks.MARKER, PATIENCE)
        self.assertNotIn("Linux", again.text)
        self.assertEqual(self.asked("http").count("lab/vmlinuz"), 1)
        self.assertNotIn("Traceback", self.server.text)

    def test_uefi_grub(self) -> None:
        """GRUB tries several names for its configuration: that is one boot."""
        self.serve("orders.ini")
        self.command("order", "uefi-grub", "install")
        installer = self.boot("uefi-grub", Firmware.UEFI)
        installer.wait_for("PXETWIST-CALLED-BACK answer=Noted ", PATIENCE)
        self.assertRegex(
            self.command("order", "--list"), r"uefi-grub +install +done .* 1 [0-9a-f]"
        )


class DiscoveryTests(OrdersCase):
    def test_an_unknown_machine(self) -> None:
        """It reports itself, is approved by its code, and boots Linux without a reset."""
        self.serve("orders.ini")
        serial = "a&b=c %41+#?;/x"
        machine = self.lab.boot(Machine("stranger", STRANGER, Firmware.BIOS, serial=serial))
        code = machine.wait_for(r"Waiting for approval: code (\w{4})", PATIENCE)[1]
        listed = self.command("pending")
        self.assertRegex(listed, rf"{code} +{STRANGER} +waiting .*QEMU")
        self.assertIn(serial, listed)
        said = self.command("approve", code, "newcomer", "profile=lab-linux")
        self.assertEqual(said, f"{STRANGER} ({code}) is newcomer profile=lab-linux\n")
        self.assertEqual(self.booted(machine)["name"], "newcomer")
        self.assertNotIn("Traceback", self.server.text)
