"""What the ROM of a Raspberry Pi does, step by step: no such board is needed."""

from __future__ import annotations

from bootlab.processes import LabError
from tests.integration.case import ClientsCase

MAC = "b8:27:eb:12:34:56"
SERIAL = "0badcafe"
ROM = "PXEClient:Arch:00000:UNDI:002001"
INI = """
[pxe]
services = dhcp, tftp
hosts = lab
policies = main
content = scripts, files
[hosts:lab]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules = any -> desk
[profile:desk]
kind = raspberry-pi
folder = rpi/bookworm
arguments = console=tty1 host={{ machine.name }}
root = nfs://10.77.0.9/roots/{{ machine.name }}
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = files
[service:dhcp]
interfaces = br0
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
"""
SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr replace "$ip/24" dev "$interface"
echo "bound to $ip, server $siaddr"
"""


class RaspberryPiTests(ClientsCase):
    service = "tftp"
    ini = INI
    machines = f"name,mac\ndesk1,{MAC}\n"
    script = SCRIPT

    def setUp(self) -> None:
        super().setUp()
        self.board = self.host("pi", MAC)
        folder = self.folder / "files" / "rpi" / "bookworm"
        folder.mkdir(parents=True)
        for name in ("bootcode.bin", "start4.elf", "config.txt", "kernel8.img"):
            (folder / name).write_text(f"the {name}")

    def fetched(self, name: str) -> str:
        into = self.folder / "into"
        self.board.run("busybox", "tftp", "-g", "-r", name, "-l", str(into), "10.77.0.1")
        return into.read_text()

    def test_a_boot(self) -> None:
        """An address with the menu that it looks for; then its files, below its serial number."""
        self.serve()
        asking = ("-q", "-V", ROM, "-O", "43", "-O", "66")
        self.udhcpc(self.board, *asking).wait_for(
            r"bound to 10\.77\.0\.1\d\d, server 10.77.0.1", 20
        )
        self.assertEqual(self.fetched("bootcode.bin"), "the bootcode.bin")
        for missing in ("bootsig.bin", f"{SERIAL}/recovery.elf", "1badcafe/none"):
            self.assertRaises(LabError, self.fetched, missing)
        for name in ("start4.elf", "config.txt", "kernel8.img"):
            self.assertEqual(self.fetched(f"{SERIAL}/{name}"), f"the {name}")
        told = self.fetched(f"{SERIAL}/cmdline.txt")
        self.assertIn(
            "console=tty1 host=desk1 root=/dev/nfs nfsroot=10.77.0.9:/roots/desk1,", told
        )
        self.assertEqual(self.fetched("b8-27-eb-12-34-56/config.txt"), "the config.txt")
        self.assertRaises(LabError, self.fetched, "b8-27-eb-12-34-57/config.txt")
        self.assertNotIn("Traceback", self.server.text)
