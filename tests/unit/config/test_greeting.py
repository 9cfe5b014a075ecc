"""What the server says of itself, from what it was built of."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface
from pathlib import Path

from twisted.internet.task import Clock

from pxetwist.config import greeting as module
from pxetwist.config.assemble import assemble
from pxetwist.config.greeting import greeting
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.testing import result_of
from tests.unit.config.inis import IniCase

HEAD = """
[pxe]
services = tftp
policies = main
state = memory
content = files
[content:files]
plugin = directory
root = content
[profile:a]
kind = local
[profile:b]
kind = nbp
nbp = b.efi
[profile:m]
kind = menu
entries = a b
[policy:main]
plugin = rules
rules =
"""


class Greeting(IniCase):
    def setUp(self) -> None:
        super().setUp()
        (self.folder / "content").mkdir()

    def greeting(self, content: str) -> list[str]:
        assembly = assemble(self.load(content), Clock())
        return result_of(greeting(assembly, self.folder / "bin" / "twistd"))

    def others(self, rules: str) -> str:
        """Return what is said of machines that nobody knows."""
        [line] = (line for line in self.greeting(HEAD + rules) if line.startswith("known"))
        found = re.fullmatch("known machines: none; every other one gets (.*)", line)
        assert found is not None
        return found[1]

    def test_a_directory_that_is_called_like_a_service(self) -> None:
        ini = HEAD.replace("state = memory", "state = memory\nhosts = web") + "  any -> a\n"
        ini += "[hosts:web]\nplugin = http\nurl = http://10.0.0.9/{mac}\nfields = name = name\n"
        self.assertIn("known machines: those in [hosts:web]", "\n".join(self.greeting(ini)))

    def test_what_strangers_get(self) -> None:
        self.assertEqual(self.others("  any -> a"), "profile a")
        self.assertEqual(self.others("  known -> a"), "no answer")
        self.assertEqual(self.others("  any -> silence"), "no answer")
        self.assertEqual(
            self.others("  arch=bios -> a\n  any -> b"), "profile b (UEFI), profile a (BIOS)"
        )

    def test_a_policy_that_cannot_decide(self) -> None:
        content = "  any -> c\n[profile:c]\nkind = nbp\nnbp.arm64 = c.efi\n"
        told = self.others(content)
        self.assertIn("no answer: [policy:main] profile 'c' has no nbp for x64 (UEFI)", told)

    def test_the_menu_is_what_there_are_files_for(self) -> None:
        self.assertEqual(self.others("  any -> m"), "the menu 'm' (a)")
        self.write("content/b.efi", "")
        self.assertEqual(self.others("  any -> m"), "the menu 'm' (a, b)")
        timed = HEAD.replace("entries = a b", "entries = a b\ndefault = b\ntimeout = 1m")
        self.assertIn(
            "the menu 'm' (a, b; b starts after 60 s)", self.greeting(timed + " any->m")[1]
        )

    def test_known_machines(self) -> None:
        self.write("hosts.csv", "name,mac\nx,52:54:00:00:00:01\ny,52:54:00:00:00:02\n")
        content = HEAD.replace("services = tftp", "services = tftp\nhosts = rack")
        content += "  any -> a\n[hosts:rack]\nplugin = static\nfile = hosts.csv\n"
        lines = self.greeting(content)
        self.assertTrue(lines[1].startswith("known machines: 2 in [hosts:rack]; "), lines)
        self.assertIn(
            f"to name machines: a line each into {self.folder}/hosts.csv, which", lines[4]
        )

    def test_without_dhcp(self) -> None:
        lines = self.greeting(HEAD + "  any -> a")
        self.assertEqual(lines[0], "answers no DHCP: another server must send machines here")

    def test_whom_dhcp_answers_where(self) -> None:
        """Who asks on an interface outside of all networks is a relay agent."""
        text = (
            HEAD.replace("tftp", "dhcp")
            + "  any -> a\n[subnet:lab]\nnetwork = 10.0.0.0/24\npool = 10.0.0.9\n"
        )
        eth0, eth1 = (
            NetworkInterface(f"eth{n}", n, IPv4Interface(f"10.{n}.0.1/24"), "", 1) for n in (0, 1)
        )
        self.patch(module, "network_interfaces", lambda: [eth0, eth1])
        for interfaces, wanted in (
            ([eth0], "answers every DHCP client on eth0 10.0.0.1/24; 1 addresses"),
            ([eth0], "its pools; nobody on eth1 10.1.0.1/24"),
            ([eth0, eth1], "its pools\n"),
            ([eth1], "answers relay agents on eth1 10.1.0.1/24; 1 addresses"),
            ([eth0, eth1], "on eth0 10.0.0.1/24 and relay agents on eth1 10.1.0.1/24; 1"),
            ([], "waits for an interface that [service:dhcp] names, or one with an address in"),
        ):
            assembly = assemble(self.load(text), Clock())
            [(_, service)] = assembly.of_kind("service")
            self.patch(service, "interfaces", lambda found=interfaces: found)
            told = "\n".join(result_of(greeting(assembly, self.folder)))
            self.assertIn(wanted, told)

    def test_places_and_commands(self) -> None:
        """The command beside the program that was started; paths as seen from here."""
        lines = self.greeting(HEAD + "  any -> a")
        self.assertIn(f"its files into {self.folder}/content, ", lines[3])
        self.assertIn(f": pxetwist explain {self.folder}/pxe.ini --mac", lines[4])
        self.write("bin/pxetwist", "")
        place = self.folder / "bin" / "pxetwist"
        self.assertIn(f": {place} explain ", self.greeting(HEAD + "  any -> a")[4])
        self.assertNotEqual(Path.cwd(), self.folder)
