"""iPXE as firmware and from the network asks for what wimboot and mboot need."""

from __future__ import annotations

import re

from bootlab.machines import Firmware
from bootlab.media import esxi_medium, windows_medium
from bootlab.processes import wait_until
from tests.e2e.case import PATIENCE, BootCase

OWN = ("unattend.xml", "winpeshl.ini", "startnet.cmd")


class InstallerCase(BootCase):
    def prepare(self) -> None:
        content = self.site.parent / "tftpboot"
        windows_medium(content / "windows", self.lab.folder / "wim")
        esxi_medium(content / "esxi")

    def asked_for(self) -> list[str]:
        """Return what was asked for by HTTP, without tokens and queries."""
        paths = [path.partition("?")[0] for path in self.asked("http")]
        return [re.sub(r"(?<=/)[\w-]{35}(?=/)", "TOKEN", path) for path in paths]

    def wait_until_asked(self, path: str) -> None:
        wait_until(lambda: path in self.asked_for(), PATIENCE, path)


class WindowsTests(InstallerCase):
    def expected(self, manager: str) -> list[str]:
        medium = [manager, "boot/bcd", "boot/boot.sdi"]
        return [
            "boot/TOKEN/boot.ipxe",
            "lab/vmlinuz",
            *(f"windows/{name}" for name in medium),
            "lab/initrd.gz",
            "windows/sources/boot.wim",
            *(f"install/windows/TOKEN/{name}" for name in OWN),
        ]

    def test_bios(self) -> None:
        """wimboot is a kernel for BIOS: it starts once all is there."""
        self.serve("installers.ini")
        machine = self.boot("bios-ipxe", Firmware.BIOS)
        machine.wait_for("Linux version", PATIENCE)
        self.assertEqual(self.asked_for(), self.expected("bootmgr"))
        self.assertNotIn("Traceback", self.server.text)

    def test_uefi(self) -> None:
        """wimboot is a program for UEFI, and finds its files by their names."""
        self.serve("installers.ini")
        machine = self.boot("uefi-ipxe", Firmware.UEFI)
        self.assert_booted(machine, "uefi-ipxe")
        self.assertEqual(self.asked_for()[:10], self.expected("efi/boot/bootx64.efi"))
        machine.wait_for("PXETWIST-CALLED-BACK answer=Noted ", PATIENCE)
        self.server.wait_for("uefi-ipxe http: says done: installed", 10)
        self.assertNotIn("Traceback", self.server.text)


class EsxiTests(InstallerCase):
    def test_uefi(self) -> None:
        self.serve("installers.ini", ("profile = windows", "profile = esxi"))
        self.boot("uefi-ipxe", Firmware.UEFI)
        self.wait_until_asked("lab/vmlinuz")
        self.assertEqual(self.asked_for(), ["boot/TOKEN/boot.ipxe", "lab/vmlinuz"])
