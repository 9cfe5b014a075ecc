"""From power-on to a Linux userland by IPv6 alone: addresses and files are ours."""

from __future__ import annotations

from bootlab.machines import Firmware, Machine
from bootlab.network import Lan
from bootlab.processes import Process
from bootlab.server import pxetwist
from tests.e2e.case import PATIENCE, BootCase

_HTTPS = """
[service:https]
certificate = pki/boot.pem
key = pki/boot.key
"""


class Ipv6Case(BootCase):
    router = False

    def assert_booted_by_ipv6(self, machine: Process, name: str) -> None:
        """The machine has this name's address, its report was taken, and all went by IPv6."""
        told = self.booted(machine)
        self.assertEqual((told["name"], told["address"]), (name, self.known[name]["address6"]))
        machine.wait_for("PXETWIST-CALLED-BACK answer=Noted ", PATIENCE)
        asked = [each.udp or each.tcp for each in self.lab.capture.frames() if each.request]
        self.assertEqual({str(each.destination) for each in asked if each}, {Lan.address6})
        self.assertNotIn("Traceback", self.server.text)


class BootTests(Ipv6Case):
    def test_pxe_to_ipxe(self) -> None:
        """OVMF's PXEv6, snponly.efi by TFTP, then iPXE's script, kernel and initramfs by HTTP."""
        self.serve("ipv6.ini")
        self.assert_booted_by_ipv6(self.boot("ipxe6", Firmware.UEFI6), "ipxe6")
        self.assertEqual(set(self.asked("tftp")), {"loaders/snponly.efi"})
        self.assertEqual(self.asked("http")[1:], ["lab/vmlinuz", "lab/initrd.gz"])
        self.assertRegex(self.server.text, r"are served as .*http://\[fd77::1\]/")

    def test_pxe_to_grub(self) -> None:
        """OVMF's PXEv6, shim, signed GRUB, its configuration, kernel and initramfs, by TFTP."""
        self.serve("ipv6.ini")
        self.assert_booted_by_ipv6(self.boot("grub6", Firmware.UEFI6), "grub6")
        self.assertIn("lab/vmlinuz", self.asked("tftp"))
        self.assertEqual(self.asked("http"), [])

    def test_http(self) -> None:
        """OVMF's HTTP Boot: not a byte by TFTP."""
        self.serve("ipv6.ini")
        self.assert_booted_by_ipv6(self.boot("ipxe6", Firmware.UEFI_HTTP6), "ipxe6")
        self.assertEqual(self.asked("tftp"), [])
        self.assertEqual(self.asked("http")[0], "loaders/snponly.efi")


class HttpsTests(Ipv6Case):
    def prepare(self) -> None:
        text = self.site.read_text().replace("tftp, http", "tftp, https, http")
        self.site.write_text(text + _HTTPS)
        for words in (("init",), ("issue", Lan.address6), ("export", "--format", "esl")):
            pxetwist("pki", words[0], str(self.site), *words[1:])

    def test_https(self) -> None:
        """The boot program comes by TLS, from an address that the certificate names."""
        self.serve("ipv6.ini")
        authorities = self.site.parent / "pki" / "ca.esl"
        mac = self.known["ipxe6"]["mac"]
        machine = Machine("ipxe6", mac, Firmware.UEFI_HTTP6, authorities=authorities)
        self.assert_booted_by_ipv6(self.lab.boot(machine), "ipxe6")
        self.server.wait_for(r"https: sent loaders/snponly.efi", 5)
        self.assertNotIn("loaders/snponly.efi", [*self.asked("http"), *self.asked("tftp")])
