"""A locked entry of a boot menu: the password is checked by a real domain controller."""

from __future__ import annotations

from bootlab.directory import PASSWORD, DomainController
from bootlab.lab import CACHE
from bootlab.machines import Firmware
from bootlab.processes import Process
from tests.e2e.case import PATIENCE, STRANGER, BootCase

DOWN, ENTER = "\x1b[B", "\r"


class MenuLoginTests(BootCase):
    """A person at the machine, and the account that the domain knows."""

    def setUp(self) -> None:
        super().setUp()
        domain = DomainController(self.lab.lan, self.lab.folder, CACHE)
        self.addCleanup(domain.close)
        domain.start()
        self.serve("menu.ini")

    def at_the_login(self, firmware: Firmware) -> Process:
        """Power a machine on and choose the locked entry."""
        machine = self.boot("stranger", firmware)
        machine.wait_for("Ask before you install(.|\n)*Discovery", PATIENCE)
        machine.type(DOWN + ENTER)
        machine.wait_for("Username", 20)
        return machine

    def test_uefi(self) -> None:
        """The right password starts the entry on UEFI as well."""
        machine = self.at_the_login(Firmware.UEFI)
        machine.type("pxetwist" + ENTER + PASSWORD + ENTER)
        self.assertEqual(self.booted(machine)["name"], f"stranger-{STRANGER}")

    def test_bios_wrong_then_right(self) -> None:
        """A wrong password leads back to the menu, the right one to Linux."""
        machine = self.at_the_login(Firmware.BIOS)
        machine.type("pxetwist" + ENTER + "wrong" + ENTER)
        machine.wait_for("That password does not open it", 20)
        machine.type(ENTER)
        machine.wait_for("does not open it(.|\n)*Discovery", 20)
        machine.type(DOWN + ENTER)
        machine.wait_for("does not open it(.|\n)*Username", 20)
        machine.type("pxetwist" + ENTER + PASSWORD + ENTER)
        self.assertEqual(self.booted(machine)["name"], f"stranger-{STRANGER}")
        self.assertIn("wrong password for pxetwist", self.server.text)
        self.assertIn("pxetwist may pass", self.server.text)
        self.assertNotIn(PASSWORD, self.server.text)
