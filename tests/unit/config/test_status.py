from __future__ import annotations

import re

from twisted.internet.task import Clock

from pxetwist.config.assemble import assemble
from pxetwist.config.status import status
from pxetwist.model.health import Health, HealthState
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = tftp
state = leases
[state:leases]
plugin = sqlite
"""


class StatusTests(IniCase):
    def test_the_lease_store(self) -> None:
        """As directories: how it is, since when and why, and what it has done."""
        assembly = assemble(self.load(INI), Clock())
        [(_, store)] = assembly.of_kind("state")
        [line] = [each for each in status(assembly) if each.startswith("state ")]
        self.assertRegex(line, r"state leases is up since \S+ \S+ \(.*stored 0\)")
        down = Health(HealthState.DOWN, 0.0, "the disk is full", {"failed": 3})
        self.patch(store, "health", lambda: down)
        line = re.sub(r"since [-0-9]+ [0-9:]{8}", "since then", "\n".join(status(assembly)))
        self.assertIn("state leases is down since then: the disk is full (failed 3)\n", line)

    def test_leases_in_memory(self) -> None:
        """They cannot fail."""
        lines = status(assemble(self.load("[pxe]\nservices = tftp\nstate = memory\n"), Clock()))
        self.assertEqual([each for each in lines if each.startswith("state ")], [])
