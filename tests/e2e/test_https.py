"""OVMF's HTTPS Boot, with an authority that `pxetwist pki` has made."""

from __future__ import annotations

import re

from bootlab.machines import Firmware, Machine
from bootlab.network import Lan
from bootlab.processes import Process
from bootlab.server import pxetwist
from tests.e2e.case import PATIENCE, BootCase


class HttpsTests(BootCase):
    def prepare(self) -> None:
        for words in (("init",), ("issue", Lan.address), ("export", "--format", "esl")):
            pxetwist("pki", words[0], str(self.site), *words[1:])

    def power_on(self, trusted: str) -> Process:
        """Boot a machine that trusts the authority in a folder beside the INI."""
        authorities = self.site.parent / trusted / "ca.esl"
        mac = self.known["uefi-ipxe"]["mac"]
        machine = Machine("uefi-ipxe", mac, Firmware.UEFI_HTTP, authorities=authorities)
        return self.lab.boot(machine)

    def test_firmware_that_trusts_us(self) -> None:
        """The boot program comes by TLS, to firmware without ECDHE and names."""
        self.serve("https.ini")
        machine = self.power_on("pki")
        self.assert_booted(machine, "uefi-ipxe")
        sent = self.server.wait_for(r"sent loaders/snponly.efi", 5)
        self.assertTrue(sent)
        self.assertNotIn("loaders/snponly.efi", [*self.asked("http"), *self.asked("tftp")])

    def test_firmware_that_trusts_another(self) -> None:
        """It gets nothing, and the log says why."""
        self.serve("https.ini")
        for words in (("init",), ("export", "--format", "esl")):
            folder = str(self.site.parent / "other")
            pxetwist("pki", words[0], str(self.site), "--folder", folder, *words[1:])
        machine = self.power_on("other")
        machine.wait_for("Could not retrieve NBP file size", PATIENCE)
        self.server.wait_for(r"no TLS with 10\.77\.0\.\d+: ", 5)
        self.assertIsNone(re.search("sent loaders", self.server.text))
