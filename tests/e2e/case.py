"""What the end-to-end tests share: a lab, the server in it, and the machines of hosts.csv."""

from __future__ import annotations

import csv
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bootlab.captures import Frame
from bootlab.disks import Disk
from bootlab.lab import Lab
from bootlab.linux import BOOTED
from bootlab.machines import Firmware, Machine
from bootlab.processes import Process
from bootlab.server import prepare_site, start_server

HERE = Path(__file__).parent
#: Two to three times of what the slowest road to a userland takes on a machine with 2 cores.
PATIENCE = 300.0
STRANGER = "52:54:00:77:00:77"


class BootCase(SynchronousTestCase):
    """A test with a lab of its own; its logs stay in the folder that is printed.

    Without a `router` nobody but the server advertises one.
    """

    router = True

    def setUp(self) -> None:
        self.lab = Lab(self.id().rpartition("e2e.")[2], router=self.router)
        self.addCleanup(self.lab.close)
        print("logs:", self.lab.folder)  # pytest shows it when the test fails
        with (HERE / "hosts.csv").open(newline="") as file:
            self.known = {row["name"]: row for row in csv.DictReader(file)}

    def serve(self, ini: str = "dhcp.ini", change: tuple[str, str] | None = None) -> None:
        """Start the server; `change` replaces one line of its INI files by another."""
        own = self.site = prepare_site(self.lab.folder / "site", HERE / ini)
        if change is not None:
            old, new = change
            (file,) = (f for f in (own, own.with_name("lab.ini")) if old in f.read_text())
            file.write_text(file.read_text().replace(old, new))
        self.prepare()
        log = self.lab.folder / "server.log"
        self.server = self.lab.keep(start_server(self.lab.lan, own, log))

    def prepare(self) -> None:
        """Do what else the INI, :attr:`site`, needs before the server starts."""

    def boot(self, name: str, firmware: Firmware, disk: Disk | None = None) -> Process:
        """Power on a machine of hosts.csv, or one that is not in it."""
        mac = self.known[name]["mac"] if name in self.known else STRANGER
        return self.lab.boot(Machine(name, mac, firmware, disk))

    def booted(self, machine: Process) -> dict[str, str]:
        """Wait for the userland and return what it says of itself."""
        return machine.wait_for(BOOTED, PATIENCE).groupdict()

    def assert_booted(self, machine: Process, name: str) -> None:
        """The machine's userland got this machine's arguments, and its reserved address."""
        told = self.booted(machine)
        self.assertEqual(told["name"], name)
        self.assertEqual(told["address"], self.known[name]["address"])

    def answers(self, mac: str) -> list[Frame]:
        """Return the frames that the server sent for a machine."""
        frames = self.lab.capture.frames()
        return [each for each in frames if each.source == self.lab.lan.mac and each.answers(mac)]

    def asked(self, protocol: str) -> list[str]:
        """Return the paths that were asked for over ``tftp`` or ``http``, in order."""
        return [path for which, path in self.lab.capture.requests() if which == protocol]
