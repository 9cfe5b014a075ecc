"""`merge-hosts` and `shared-macs`, from the INI to the answer."""

from __future__ import annotations

from twisted.internet.task import Clock

from pxetwist.config.assemble import assemble
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import result_of
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = tftp
state = memory
hosts = names, rooms
{options}
[hosts:names]
plugin = static
file = names.csv
[hosts:rooms]
plugin = static
file = rooms.csv
"""


class Identification(IniCase):
    def find(self, options: str) -> Machine | None:
        """Let a server with these options of ``[pxe]`` find the machine."""
        self.write("names.csv", "name,mac\nws1,525400000001\n")
        self.write("rooms.csv", "name,mac,room\nother,525400000001,b12\n")
        assembly = assemble(self.load(INI.format(options=options)), Clock())
        identity = ClientIdentity(mac="52:54:00:00:00:01")
        request = BootRequest(identity, BootStage.FIRMWARE, Protocol.DHCP)
        return result_of(assembly.boot.resolve(request)).machine

    def test_the_first_one_wins(self) -> None:
        machine = self.find("")
        self.assertEqual(machine and (machine.name, machine.labels), ("ws1", {}))

    def test_merged(self) -> None:
        machine = self.find("merge-hosts = yes")
        self.assertEqual(machine and (machine.name, machine.labels), ("ws1", {"room": "b12"}))

    def test_shared(self) -> None:
        self.assertIsNone(self.find("shared-macs = 52-54-00-00-00-01, 52:54:00:00:00:02"))

    def test_no_mac(self) -> None:
        [mistake] = self.mistakes(INI.format(options="shared-macs = dock"))
        self.assertIn("a MAC address like 52:54:00:12:34:56, got 'dock'", mistake)
