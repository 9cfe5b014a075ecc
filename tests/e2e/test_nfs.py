"""Machines that load by NFS."""

from __future__ import annotations

from bootlab.machines import Firmware
from tests.e2e.case import BootCase


class NfsTests(BootCase):
    def test_ipxe_loads_by_nfs(self) -> None:
        """iPXE asks the portmapper, mounts the folder of each file."""
        self.serve("nfs.ini")
        machine = self.boot("bios-ipxe", Firmware.BIOS)
        self.assert_booted(machine, "bios-ipxe")
        paths = [path.partition("?")[0] for path in self.asked("http")]
        self.assertEqual({path.rpartition("/")[2] for path in paths}, {"boot.ipxe"})
        self.server.wait_for("mounted /lab/lab", 10)
