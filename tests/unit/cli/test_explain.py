"""What the options of `pxetwist explain` say of a machine."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.task import Clock
from twisted.python.usage import UsageError

from pxetwist.cli.explain import Options
from pxetwist.cli.steps import Explanation
from pxetwist.config.assemble import assemble
from pxetwist.model.boot import BootStage
from pxetwist.testing import result_of
from tests.unit import certificates
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = proxydhcp, tftp, http, https
policies = fixed
state = memory
content = rendered
[policy:fixed]
profile = debian12
[profile:debian12]
kind = linux
kernel = debian12/vmlinuz
[service:https]
certificate = boot.pem
key = boot.key
"""
MAC = "52:54:00:12:34:56"


class ExplainTests(IniCase):
    def explained(self, *words: str) -> str:
        certificates.write_server(self.folder, "10.0.0.1", name="boot")
        options = Options()
        options.parseOptions(["pxe.ini", "--mac", MAC, *words])
        explanation = Explanation(assemble(self.load(INI), Clock()), IPv4Address("10.0.0.1"))
        first = BootStage(options["stage"] or "firmware")
        result_of(explanation.walk(options["identity"], first, only=False))
        return "\n".join(explanation.lines)

    def test_an_ipxe_with_https(self) -> None:
        """It tells so itself; the firmware before it, which loads it by TFTP, does not."""
        told = self.explained("--https")
        self.assertIn("boot file loaders/snponly.efi", told)
        self.assertRegex(told, r"boot file https://10\.0\.0\.1/boot/\S+: .*by https\n")
        self.assertRegex(told, r"kernel https://10\.0\.0\.1/debian12/vmlinuz ")
        self.assertNotIn("http://", told)
        self.assertIn("https://10.0.0.1/boot/", self.explained("--https", "--stage", "loader"))

    def test_an_ipxe_without(self) -> None:
        told = self.explained()
        self.assertIn("by http: this iPXE does not tell that it speaks HTTPS", told)
        self.assertNotIn("https://", told)

    def test_captures_tell_it_themselves(self) -> None:
        options = Options()
        with self.assertRaisesRegex(UsageError, "--https: a capture tells itself"):
            options.parseOptions(["pxe.ini", "--pcap", "boot.pcap", "--https"])
