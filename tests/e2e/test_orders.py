"""A machine installs once, by an order, and then starts its disk."""

from __future__ import annotations

import sys
from pathlib import Path

from bootlab import disks
from bootlab.machines import Firmware, Machine
from bootlab.processes import run
from tests.e2e.case import PATIENCE, BootCase

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
