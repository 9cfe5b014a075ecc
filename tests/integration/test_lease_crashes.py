"""A server that is killed, or has no disk left, under load: nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from bootlab.network import Lan
from bootlab.processes import Process, run, wait_until
from bootlab.server import pxetwist
from tests.integration.case import LanCase

INI = """
[pxe]
services = dhcp
policies = main
state-folder = state
[policy:main]
plugin = fixed
profile = local
[profile:local]
kind = local
[service:dhcp]
interfaces = br0
[subnet:lab]
network = 10.77.0.0/24
[subnet:load]
network = 10.80.0.0/16
pool = 10.80.1.0 - 10.80.254.255
lease-time = 1d
"""
GIADDR = "10.80.0.1"
ROUNDS = 8


class LeaseCrashTests(LanCase):
    ini = INI
    service = "dhcp"

    def setUp(self) -> None:
        super().setUp()
        self.state = self.folder / "state"
        self.state.mkdir()
        self.relay = self.lan.host("load", "10.77.0.2/24", f"{GIADDR}/16")
        self.lan.server.ip("route add 10.80.0.0/16 via 10.77.0.2")
        self.acknowledged: dict[int, str] = {}

    def load(self, first: int, seconds: float) -> Process:
        words = ("lease", Lan.address, GIADDR, str(first), str(seconds))
        return self.start(self.relay, [sys.executable, "-m", "bootlab.dhcpload", *words])

    def note(self, printed: str) -> None:
        """Note whom addresses were acknowledged to; none to two clients."""
        for line in printed.splitlines():
            word, number, address = line.split()
            self.assertEqual(word, "ack", line)
            self.acknowledged[int(number)] = address
        addresses = list(self.acknowledged.values())
        self.assertEqual(len(set(addresses)), len(addresses))

    def confirm(self) -> None:
        """Every client that was acknowledged is acknowledged again, with the same address."""
        lines = [f"ack {number} {address}" for number, address in self.acknowledged.items()]
        words = ("confirm", Lan.address, GIADDR, "0", "60")
        done = subprocess.run(
            [*self.relay.inside, sys.executable, "-m", "bootlab.dhcpload", *words],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=90,
        )
        self.assertEqual(done.stderr, "")
        self.assertEqual(sorted(done.stdout.splitlines()), sorted(lines))

    def kill_after(self, wanted: int, server: Process, load: Process) -> None:
        wait_until(lambda: load.text.count("ack") > wanted, 30, "acknowledgements")
        self.kill(server)
        load.stop()
        self.note(load.text[: load.text.rfind("\n") + 1])

    def kill(self, server: Process) -> None:
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.running, 10, "the server's end")

    def test_killed_again_and_again(self) -> None:
        for number in range(ROUNDS):
            server, load = self.serve(), self.load(number * 1_000_000, 60)
            self.kill_after(50 + 37 * number, server, load)  # somewhere else in each round
        self.assertGreater(len(self.acknowledged), ROUNDS * 50)
        self.serve()
        self.confirm()

    def test_commands_while_the_server_runs(self) -> None:
        """It carries out what they ask, and knows of it at once."""
        self.serve()
        load = self.load(0, 60)
        wait_until(lambda: load.text.count("ack") > 20, 30, "acknowledgements")
        load.stop()
        self.note(load.text[: load.text.rfind("\n") + 1])
        ini = str(self.ini_file)
        listed = pxetwist("leases", ini, "--csv")
        for number, address in self.acknowledged.items():
            mac = f"02:00:{number.to_bytes(4, 'big').hex(':')}"
            self.assertIn(f"{address},,{mac},load,leased,", listed)
        gone = self.acknowledged.pop(0)
        self.assertEqual(pxetwist("leases", ini, "--release", gone), f"{gone} is free\n")
        self.assertNotIn(f"{gone},", pxetwist("leases", ini, "--csv"))
        theirs = self.folder / "dnsmasq.leases"
        theirs.write_text(f"0 02:00:00:00:03:e7 {gone} * *\n")
        self.assertIn("1 leases taken over", pxetwist("leases", ini, "--import", str(theirs)))
        self.acknowledged[999] = gone
        self.confirm()

    def test_a_full_disk(self) -> None:
        """Silence for those who cannot be stored, in words; renewed service when there is room."""
        run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(self.state))
        self.addCleanup(run, "umount", str(self.state))
        server = self.serve()
        load = self.load(0, 60)
        ballast = self.state / "ballast"
        wait_until(lambda: load.text.count("ack") > 100, 30, "acknowledgements")
        run("sh", "-c", f"cat /dev/zero > {ballast} 2>/dev/null || true")
        server.wait_for("leases cannot be stored, nobody is acknowledged", 30)
        silent = load.text.count("ack")
        ballast.unlink()
        server.wait_for("leases can be stored again", 30)
        wait_until(lambda: load.text.count("ack") > silent + 100, 30, "acknowledgements again")
        self.assertEqual(server.text.count("leases cannot be stored"), 1)
        self.assertNotIn("Traceback", server.text)
        self.kill_after(0, server, load)
        self.serve()
        self.confirm()
