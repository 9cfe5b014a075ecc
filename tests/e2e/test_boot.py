"""From power-on to a Linux userland, with the server as the only DHCP server."""

from __future__ import annotations

import os

from bootlab.machines import Firmware, Machine
from bootlab.processes import Process, run, wait_until
from tests.e2e.case import PATIENCE, STRANGER, BootCase


class LinuxTests(BootCase):
    def test_bios_pxelinux(self) -> None:
        """SeaBIOS, iPXE ROM, pxelinux.0, kernel and initramfs: all by TFTP."""
        self.serve()
        self.assert_booted(self.boot("bios-pxelinux", Firmware.BIOS), "bios-pxelinux")
        self.assertIn("lab/vmlinuz", self.asked("tftp"))
        self.assertEqual(self.asked("http"), [])

    def test_bios_ipxe(self) -> None:
        """SeaBIOS, iPXE ROM, its script, kernel and initramfs: all by HTTP."""
        self.serve()
        self.assert_booted(self.boot("bios-ipxe", Firmware.BIOS), "bios-ipxe")
        self.assertEqual(self.asked("tftp"), [])
        self.assertEqual(self.asked("http")[1:], ["lab/vmlinuz", "lab/initrd.gz"])

    def test_bios_ipxe_that_waits(self) -> None:
        """One large file at a time: iPXE comes again when it is told to, and boots in its turn."""
        one = "interfaces = br0\n[service:http]\ndownloads-at-once = 1"
        self.serve(change=("interfaces = br0", one))
        other = self.lab.lan.host("other", "10.77.0.200/24")
        words = ["curl", "-sS", "-A", "iPXE/1.21.1", "--limit-rate", "50K", "-o", "/dev/null"]
        large = self.site.with_name("tftpboot") / "large"  # more than the kernel's buffers take
        large.touch()
        os.truncate(large, 200_000_000)
        url = f"http://{self.lab.lan.address}/large"
        slow = self.lab.keep(other.start([*words, url], self.lab.folder / "slow.log"))
        machine = self.boot("bios-ipxe", Firmware.BIOS)
        wait_until(lambda: self.asked("http").count("lab/vmlinuz") > 2, PATIENCE, "a third try")
        self.assertTrue(slow.running)
        self.assertNotIn("Linux version", machine.text)
        slow.stop()
        self.assert_booted(machine, "bios-ipxe")
        self.assertEqual(self.asked("http")[-1], "lab/initrd.gz")

    def test_uefi_ipxe(self) -> None:
        """OVMF, snponly.efi by TFTP, then iPXE's script, kernel and initramfs by HTTP."""
        self.serve()
        self.assert_booted(self.boot("uefi-ipxe", Firmware.UEFI), "uefi-ipxe")
        self.assertEqual(set(self.asked("tftp")), {"loaders/snponly.efi"})
        self.assertEqual(self.asked("http")[1:], ["lab/vmlinuz", "lab/initrd.gz"])

    def test_uefi_http(self) -> None:
        """OVMF's HTTP Boot: not a byte by TFTP."""
        self.serve()
        self.assert_booted(self.boot("uefi-ipxe", Firmware.UEFI_HTTP), "uefi-ipxe")
        self.assertEqual(self.asked("tftp"), [])
        self.assertIn("loaders/snponly.efi", self.asked("http"))

    def test_known_by_what_only_ipxe_tells(self) -> None:
        """Strangers to DHCP; iPXE's first request names their serial and asset tag."""
        self.serve()
        serial = Machine("bios", STRANGER, Firmware.BIOS, serial="PF 4+7&11")
        asset = Machine("uefi", "52:54:00:77:00:78", Firmware.UEFI, asset="Inv/0815")
        running = [self.lab.boot(serial), self.lab.boot(asset)]
        told = [self.booted(machine)["name"] for machine in running]
        self.assertEqual(told, ["by-serial", "by-asset"])

    def test_uefi_grub(self) -> None:
        """OVMF, shim, signed GRUB, its configuration, kernel and initramfs: all by TFTP."""
        self.serve()
        self.assert_booted(self.boot("uefi-grub", Firmware.UEFI), "uefi-grub")
        self.assertIn("lab/vmlinuz", self.asked("tftp"))

    def test_secure_boot(self) -> None:
        """The same with Secure Boot enforced: the kernel that runs is locked down."""
        self.serve()
        machine = self.boot("secure-grub", Firmware.SECURE_BOOT)
        self.assert_booted(machine, "secure-grub")
        self.assertEqual(self.booted(machine)["lockdown"], "integrity")

    def test_two_at_once(self) -> None:
        """Two machines that boot at the same time get each its own arguments."""
        self.serve()
        bios = self.boot("bios-ipxe", Firmware.BIOS)
        uefi = self.boot("uefi-ipxe", Firmware.UEFI)
        self.assert_booted(bios, "bios-ipxe")
        self.assert_booted(uefi, "uefi-ipxe")


class HttpGrubTests(BootCase):
    """shim, and in the place of the signed GRUB one with an HTTP module, which that lacks."""

    def prepare(self) -> None:
        start = self.lab.folder / "start.cfg"
        start.write_text("set prefix=($root)/grub\nconfigfile $prefix/grub.cfg\n")
        second = self.site.parent / "tftpboot" / "loaders" / "grubx64.efi"
        second.unlink()
        words = ("-O", "x86_64-efi", "-p", "/grub", "-c", str(start), "-o", str(second))
        modules = "efinet http net normal configfile linux echo serial terminal test boot minicmd"
        run("grub-mkimage", *words, *modules.split())

    def test_uefi_http_shim_grub(self) -> None:
        """OVMF's HTTP Boot, then all by HTTP: this GRUB has no TFTP."""
        self.serve()
        self.assert_booted(self.boot("uefi-grub", Firmware.UEFI_HTTP), "uefi-grub")
        self.assertEqual(self.asked("tftp"), [])
        asked = list(dict.fromkeys(self.asked("http")))  # it asks for parts, too
        self.assertEqual(asked[0], "loaders/shimx64.efi")
        self.assertIn("loaders//grubx64.efi", asked)
        self.assertEqual(asked[-3:], ["grub/grub.cfg", "lab/vmlinuz", "lab/initrd.gz"])


class LoaderTrialTests(BootCase):
    """Two loaders, of which the first does not start on this machine: it switches that off."""

    def prepare(self) -> None:
        start = self.lab.folder / "start.cfg"
        start.write_text("halt\n")
        folder = self.site.parent
        first = folder / "tftpboot" / "loaders" / "silent.efi"
        words = ("-O", "x86_64-efi", "-p", "/", "-c", str(start), "-o", str(first))
        run("grub-mkimage", *words, "halt")
        with (folder / "lab.ini").open("a") as ini:
            for name in ("silent", "snponly"):
                ini.write(f"\n[loader:{name}]\narchitecture = x64\nfamily = ipxe\n")
                ini.write(f"file = loaders/{name}.efi\n")

    def wait_for_end(self, machine: Process) -> None:
        wait_until(lambda: not machine.running, PATIENCE, "the machine's end")

    def test_the_next_loader(self) -> None:
        self.serve()
        for _ in range(2):
            self.wait_for_end(self.boot("uefi-ipxe", Firmware.UEFI))
        self.assert_booted(self.boot("uefi-ipxe", Firmware.UEFI), "uefi-ipxe")
        self.assertIn("did not start with loaders/silent.efi", self.server.text)
        loaders = list(dict.fromkeys(self.asked("tftp")))
        self.assertEqual(loaders, ["loaders/silent.efi", "loaders/snponly.efi"])
