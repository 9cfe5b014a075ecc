"""What the options of `pxetwist explain` say of a machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

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

MUTE = """
    import attrs
    from zope.interface import implementer
    from pxetwist.interfaces import IBootPolicy, IExplains
    from pxetwist.plugins import PluginFactory

    mute = PluginFactory("policy", "mute", __name__)

    @attrs.frozen
    class Settings:
        pass

    @implementer(IBootPolicy, IExplains)
    class Mute:
        async def plan_boot(self, request):
            return None
        def explain(self, request):
            return {}["why"]

    def build(settings, site):
        return Mute()
"""


class ExplainTests(IniCase):
    def explained(self, *words: str, ini: str = INI) -> str:
        certificates.write_server(self.folder, "10.0.0.1", name="boot")
        options = Options()
        options.parseOptions(["pxe.ini", "--mac", MAC, *words])
        explanation = Explanation(assemble(self.load(ini), Clock()), IPv4Address("10.0.0.1"))
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

    def test_a_policy_that_cannot_explain(self) -> None:
        """It says so, and goes on."""
        self.write("plugins/mute_explainer.py", MUTE)
        ini = INI.replace("policies = fixed", "site-plugins = plugins\npolicies = mute, fixed")
        told = self.explained(ini=ini)
        self.assertIn("cannot explain: KeyError: 'why' (mute_explainer.py:", told)
        self.assertIn("boot file loaders/snponly.efi", told)

    def test_an_ipxe_without(self) -> None:
        told = self.explained()
        self.assertIn("by http: this iPXE does not tell that it speaks HTTPS", told)
        self.assertNotIn("https://", told)

    def test_secrets_are_not_shown(self) -> None:
        self.write("root.hash", "$6$salt$hash").chmod(0o600)
        more = "family = anaconda\nanswer = kickstart.cfg\nanswer.root-password = file:root.hash\n"
        told = self.explained(ini=INI.replace("kind = linux\n", f"kind = linux\n{more}"))
        self.assertRegex(told, r" inst\.ks=https://10\.0\.0\.1/answer/\S+/kickstart\.cfg ")
        self.assertRegex(
            told, r"answer\.root-password = \(in root\.hash\) \(\[profile:debian12\] "
        )
        self.assertNotIn("$6$", told)

    def test_another_address_to_load_from(self) -> None:
        """Behind a virtual address everything that is loaded is there; we remain who answers."""
        ini = INI.replace("[pxe]\n", "[pxe]\nboot-address = 192.0.2.7\n")
        told = self.explained(ini=ini)
        self.assertIn("siaddr 192.0.2.7\n", told)
        self.assertIn("tftp-server-name (66): 192.0.2.7", told)
        self.assertIn("server-id (54): 10.0.0.1\n", told)
        self.assertIn("kernel http://192.0.2.7/debian12/vmlinuz", told)

    def test_files_that_are_not_there(self) -> None:
        ini = INI.replace("= rendered", "= rendered, files")
        ini += "[content:files]\nplugin = directory\nroot = tftpboot\n"
        self.write("tftpboot/loaders/snponly.efi", "")
        told = self.explained(ini=ini)
        self.assertIn("kernel debian12/vmlinuz, NOT FOUND\n", told)
        self.assertNotIn("snponly.efi, NOT FOUND", told)
        self.write("tftpboot/debian12/vmlinuz", "")
        (self.folder / "tftpboot/loaders/snponly.efi").unlink()
        told = self.explained(ini=ini)
        self.assertNotIn("vmlinuz, NOT FOUND", told)
        self.assertIn("loaders/snponly.efi, NOT FOUND\n", told)

    def test_no_loader(self) -> None:
        ini = INI.replace("proxydhcp", "dhcp")
        ini += "[subnet:lab]\nnetwork = 10.0.0.0/24\npool = 10.0.0.100 - 10.0.0.110\n"
        told = self.explained("--arch", "riscv64", ini=ini)
        self.assertIn("(no loader for architecture riscv64, firmware uefi)", told)

    def test_a_raspberry_pi(self) -> None:
        """What its ROM believes, and what its kernel is told."""
        ini = INI.replace("kernel = debian12/vmlinuz", "folder = rpi\narguments = host={{ who }}")
        ini = ini.replace("kind = linux", "kind = raspberry-pi")
        told = self.explained("--firmware", "raspberry-pi", ini=ini)
        self.assertIn("raspberry-pi (rpi) of", told)
        self.assertIn("raspberry-pi (rpi) of", self.explained("--arch", "rpi", ini=ini))
        self.assertIn("Raspberry Pi Boot", told)
        self.assertIn(f"the board asks for its text (cmdline.txt)\n  host={MAC}\n", told)

    def test_ipv6_alone(self) -> None:
        """The DHCPv6 reply, option by option, and a script that leads to no other family."""
        ini = INI.replace("proxydhcp, tftp, http, https", "dhcp6, tftp, http")
        ini = ini[: ini.index("[service:https]")] + "[subnet6:lab]\nnetwork = fd77::/64\n"
        ini += "pool = fd77::100 - fd77::1ff\n"
        for words, server, name in (
            ((), None, "tftp://[fd77::1]/loaders/snponly.efi"),
            (("--firmware", "uefi-http"), None, "http://[fd77::1]/loaders/snponly.efi"),
            (("--server", "fd77::7"), "fd77::7", "tftp://[fd77::7]/loaders/snponly.efi"),
        ):
            options = Options()
            options.parseOptions(["pxe.ini", "--mac", MAC, *words])
            self.assertEqual(options["server"], server and IPv6Address(server))
            assembly = assemble(self.load(ini), Clock())
            explanation = Explanation(assembly, IPv4Address("10.0.0.1"), options["server"])
            result_of(explanation.walk(options["identity"], BootStage.FIRMWARE, only=False))
            told = "\n".join(explanation.lines)
            self.assertIn(f"of {MAC} asks: DHCPv6 SOLICIT", told)
            self.assertIn(f"boot-file-url (59): '{name}'", told)
            self.assertIn(f"kernel http://[{server or 'fd77::1'}]/debian12/vmlinuz ", told)
            self.assertNotIn("10.0.0.1", told)

    def test_captures_tell_it_themselves(self) -> None:
        options = Options()
        with self.assertRaisesRegex(UsageError, "--https: a capture tells itself"):
            options.parseOptions(["pxe.ini", "--pcap", "boot.pcap", "--https"])
