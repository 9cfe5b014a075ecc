"""Machines that start from disks of an iSCSI target, and from images in their memory."""

from __future__ import annotations

import os
from pathlib import Path

from bootlab import disks
from bootlab.machines import Firmware
from bootlab.processes import LabError, wait_until
from tests.e2e.case import PATIENCE, BootCase

#: iPXE would take the first part of it for a setting, were it not told otherwise.
SECRET = "${net0/mac} of "
REVERSE = "of the target"


class DiskTests(BootCase):
    def prepare(self) -> None:
        content = self.site.parent / "tftpboot"
        (content / "images").mkdir()
        disks.bios_disk(content / "images" / "disk.img")

    def target(self, name: str, disk: Path) -> None:
        """Start tgt with a disk for one initiator, who must log in and is logged in to."""
        control, server = str(os.getpid() % 30000), self.lab.lan.server
        portal = f"portal={self.lab.lan.address}:3260"
        log = self.lab.folder / "tgtd.log"
        daemon = server.start(["tgtd", "-f", "-C", control, "--iscsi", portal], log)
        self.addCleanup(daemon.stop)
        wait_until(lambda: self.takes_commands(control), 10, "tgtd")
        for words in (
            ("target", "new", "-T", f"iqn.2026-01.lab:{name}"),
            ("logicalunit", "new", "--lun", "1", "-b", str(disk)),
            ("target", "bind", "-Q", f"iqn.2026-01.lab.client:{name}"),
        ):
            self.admin(control, words[0], words[1], "--tid", "1", *words[2:])
        for user, secret, more in (
            (name, f"{SECRET}{name}", ()),
            ("the-target", REVERSE, ("--outgoing",)),
        ):
            self.admin(control, "account", "new", "--user", user, "--password", secret)
            self.admin(control, "account", "bind", "--tid", "1", "--user", user, *more)

    def takes_commands(self, control: str) -> bool:
        try:
            self.admin(control, "target", "show")
        except LabError:
            return False
        return True

    def admin(self, control: str, mode: str, verb: str, *words: str) -> None:
        command = ("tgtadm", "-C", control, "--lld", "iscsi", "--mode", mode, "--op", verb)
        self.lab.lan.server.run(*command, *words)

    def test_disks(self) -> None:
        """By iSCSI with secrets of both sides; by memdisk from iPXE and from PXELINUX."""
        self.serve("disks.ini")
        disk = self.lab.folder / "iscsi.img"
        disks.bios_disk(disk)
        self.target("bios-ipxe", disk)
        machines = [
            self.boot(name, Firmware.BIOS) for name in ("bios-ipxe", "bios-local", "bios-pxelinux")
        ]
        for machine in machines:
            machine.wait_for(disks.MARKER, PATIENCE)
        asked = self.asked("http")
        self.assertTrue(any(path.endswith("credentials.ipxe") for path in asked))
        self.assertIn("loaders/memdisk", self.asked("tftp"))
        self.assertIn("loaders/memdisk", asked)
        self.assertNotIn("of the target", self.server.text)

    def test_uefi_http(self) -> None:
        """HTTP Boot, iPXE, and the loader of a disk by iSCSI; not a byte by TFTP."""
        self.serve("disks.ini")
        disk = self.lab.folder / "iscsi.img"
        disks.uefi_image(disk)
        self.target("uefi-ipxe", disk)
        self.boot("uefi-ipxe", Firmware.UEFI_HTTP).wait_for(disks.MARKER, PATIENCE)
        self.assertEqual(self.asked("tftp"), [])
        self.assertIn("loaders/snponly.efi", self.asked("http"))
