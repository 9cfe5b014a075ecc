"""Machines that start from images which the server has."""

from __future__ import annotations

from bootlab import disks
from bootlab.images import bootable_iso
from bootlab.lab import CACHE
from bootlab.linux import linux
from bootlab.machines import Firmware
from tests.e2e.case import PATIENCE, BootCase


class ImageTests(BootCase):
    def prepare(self) -> None:
        self.images = self.site.parent / "tftpboot" / "images"
        self.images.mkdir()
        bootable_iso(self.images / "lab.iso", linux(CACHE))
        disks.bios_disk(self.images / "disk.img")

    def test_bios_cd(self) -> None:
        """iPXE reads the CD by HTTP; ISOLINUX starts the Linux on it."""
        self.serve("images.ini")
        machine = self.boot("bios-ipxe", Firmware.BIOS)
        self.assertEqual(self.booted(machine)["name"], "from-image")
        self.assertEqual(set(self.asked("http")[1:]), {"images/lab.iso"})

    def test_bios_disk(self) -> None:
        self.serve("images.ini")
        self.boot("bios-local", Firmware.BIOS).wait_for(disks.MARKER, PATIENCE)

    def test_uefi_cd(self) -> None:
        """The firmware finds shim and GRUB on the CD that iPXE gives it."""
        self.serve("images.ini")
        machine = self.boot("uefi-ipxe", Firmware.UEFI)
        self.assertEqual(self.booted(machine)["name"], "from-image")

    def test_kernel_and_initrd_inside(self) -> None:
        """By HTTP to iPXE, and by TFTP to PXELINUX and to GRUB."""
        self.serve("images.ini")
        bios = self.boot("bios-pxelinux", Firmware.BIOS)
        uefi = self.boot("uefi-grub", Firmware.UEFI)
        self.assert_booted(bios, "bios-pxelinux")
        self.assert_booted(uefi, "uefi-grub")
        self.assertIn("images/lab.iso/live/vmlinuz", self.asked("tftp"))
