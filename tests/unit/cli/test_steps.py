"""What `pxetwist explain` shows of a plan: its values, and where each stands."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.task import Clock

from pxetwist.cli.steps import Explanation
from pxetwist.config.assemble import assemble
from pxetwist.model.boot import BootStage
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.testing import result_of
from pxetwist.wire.iana import Architecture
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = dhcp
policies = main
hosts = known
state = memory
content = rendered
[hosts:known]
plugin = static
file = hosts.csv
[subnet:lab]
network = 10.0.0.0/24
pool = 10.0.0.100-10.0.0.200
[profile:base]
kind = linux
kernel = linux
arguments = quiet
[profile:exam]
extends = base
arguments-add = exam
console = tty0
[policy:main]
plugin = rules
labels-override = yes
rules =
    floor=1 or !(room=b12 subnet=lab) -> base
    room=b12 -> exam console=ttyS1 root=/dev/sda1
"""


class Resolved(IniCase):
    def explained(self, labels: str) -> list[str]:
        names = "name,mac,room," + ",".join(pair.partition("=")[0] for pair in labels.split())
        values = "ws1,525400123456,b12," + ",".join(p.partition("=")[2] for p in labels.split())
        self.write("hosts.csv", f"{names.strip(',')}\n{values.strip(',')}\n")
        assembly = assemble(self.load(INI), Clock())
        explanation = Explanation(assembly, IPv4Address("10.0.0.1"))
        identity = ClientIdentity(
            mac="52:54:00:12:34:56", architecture=Architecture.X64_UEFI, firmware=Firmware.UEFI
        )
        result_of(explanation.walk(identity, BootStage.FIRMWARE, only=False))
        return [line.replace(f"{self.folder}/", "") for line in explanation.lines]

    def settings(self, labels: str = "") -> list[str]:
        lines = self.explained(labels)
        return [line.strip() for line in lines[lines.index("  where that stands") + 1 :]]

    def test_each_value_and_its_place(self) -> None:
        rule = "rule 2 (line 26)"
        kernel = "kernel = linux ([profile:base] pxe.ini:15)"
        arguments = "arguments = quiet exam ([profile:base] pxe.ini:16; [profile:exam] pxe.ini:19)"
        self.assertEqual(
            self.settings(),
            [kernel, arguments, f"console = ttyS1 ({rule})", f"root = /dev/sda1 ({rule})"],
        )
        self.assertEqual(
            self.settings("console=ttyS9 loader=grub"),
            [
                kernel,
                arguments,
                "console = ttyS9 (label of ws1)",
                f"root = /dev/sda1 ({rule})",
                "loader = grub (label of the machine)",
            ],
        )

    def test_rules_that_do_not_match(self) -> None:
        [line] = {line.strip() for line in self.explained("") if "rule 1 (line 25)" in line}
        self.assertTrue(
            line.endswith(": no, floor is not set, and room is 'b12', and subnet is '10.0.0.1'"),
            line,
        )

    def test_options_and_classes(self) -> None:
        """Each option says where it stands; classes say whether they match, and why not."""
        ini = INI.replace(
            "[profile:base]",
            "routers = 10.0.0.1\nshared-network = hall\n[shared-network:hall]\ndomain = lab\n"
            "[class:exam]\nmatch = room=b12\noption.tz-name = UTC\nalways-send = tz-name\n"
            "[class:phones]\nmatch = vendor=Cisco*\n[class:far]\nmatch = any\nsubnets = hal\n"
            "[subnet:hal]\nnetwork = 10.9.0.0/24\n[profile:base]",
        )
        self.write(
            "hosts.csv",
            "name,mac,room,option.interface-mtu,option.ttl\nws1,525400123456,b12,1400,9\n",
        )
        explanation = Explanation(assemble(self.load(ini), Clock()), IPv4Address("10.0.0.1"))
        identity = ClientIdentity(
            mac="52:54:00:12:34:56", architecture=Architecture.X64_UEFI, firmware=Firmware.UEFI
        )
        result_of(explanation.walk(identity, BootStage.FIRMWARE, only=True))
        lines = [line.strip() for line in explanation.lines]
        for line in (
            "class exam: matches",
            "class phones: no, vendor is 'PXEClient:Arch:00007:UNDI:003000'",
            "class far: does not hold in [subnet:lab]",
            "routers (3): 10.0.0.1 ([subnet:lab])",
            "domain-name (15): lab ([shared-network:hall])",
            "tz-name (101): UTC ([class:exam])",
            "host-name (12): ws1 (machine ws1)",
            "left out, machine ws1: option.ttl: 'ttl' is no DHCP option; did you mean 'tcp-ttl'?",
        ):
            self.assertIn(line, lines)

    def test_a_root_by_nfs(self) -> None:
        """Where the root is, with the ports of our server, and what the kernel is told of it."""
        ini = INI.replace("= dhcp", "= dhcp, nfs").replace("=/dev/sda1", "=export:desk/a")
        ini += "[export:desk]\nplugin = directory\npath = desk\n[service:nfs]\nport = 2050\n"
        self.write("hosts.csv", "name,mac,room\nws1,525400123456,b12\n")
        explanation = Explanation(assemble(self.load(ini), Clock()), IPv4Address("10.0.0.1"))
        identity = ClientIdentity(
            mac="52:54:00:12:34:56", architecture=Architecture.X64_UEFI, firmware=Firmware.IPXE
        )
        result_of(explanation.walk(identity, BootStage.FIRMWARE, only=False))
        options = "vers=3,proto=tcp,port=2050,mountport=20048,mountproto=tcp,nolock"
        place = "10.0.0.1:/desk/a"
        lines = "\n".join(explanation.lines)
        self.assertIn(f"root export:desk/a: {place} with {options}", lines)
        self.assertIn(f"root=/dev/nfs nfsroot={place},{options} ip=dhcp", lines)

    def test_what_does_not_fit(self) -> None:
        """A reply that would grow too long says what it lacks."""
        long = "".join(f"option.{code} = text:{'x' * 250}\n" for code in range(128, 134))
        self.write("hosts.csv", "name,mac\nws1,525400123456\n")
        ini = INI.replace("[profile:base]", f"{long}[profile:base]")
        explanation = Explanation(assemble(self.load(ini), Clock()), IPv4Address("10.0.0.1"))
        identity = ClientIdentity(
            mac="52:54:00:12:34:56", architecture=Architecture.X64_UEFI, firmware=Firmware.UEFI
        )
        result_of(explanation.walk(identity, BootStage.FIRMWARE, only=True))
        self.assertIn("    left out, for want of space: option-132, option-133", explanation.lines)
