"""Two servers on one database, killed in turn under load: no lease is lost or given twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bootlab.network import Lan
from bootlab.postgres import Postgres
from bootlab.processes import Process, wait_until
from bootlab.server import command
from tests.integration.case import NetworkCase

INI = """
[pxe]
services = dhcp
policies = main
state = postgresql
state-folder = state
[state:postgresql]
database = postgresql://pxetwist@/inventory?host={folder}&port={port}
password-file = password
[policy:main]
plugin = fixed
profile = local
[profile:local]
kind = local
[service:dhcp]
interfaces = {interface}
[subnet:lab]
network = 10.77.0.0/24
[subnet:load]
network = 10.80.0.0/16
pool = 10.80.1.0 - 10.80.32.255
lease-time = 1d
"""
#: The address of each server, and of the relay agent that asks it.
SERVERS = (Lan.address, "10.77.0.3")
RELAYS = ("10.80.0.1", "10.80.0.2")
ROUNDS = 6


class SharedCrashTests(NetworkCase):
    def setUp(self) -> None:
        super().setUp()
        self.postgres = Postgres()
        self.addCleanup(self.postgres.close)
        self.hosts = [self.lan.server, self.lan.host("two", f"{SERVERS[1]}/24")]
        self.relays = [
            self.lan.host(f"relay{number}", f"10.77.0.{number + 10}/24", f"{giaddr}/32")
            for number, giaddr in enumerate(RELAYS)
        ]
        for host in self.hosts:
            for number, giaddr in enumerate(RELAYS):
                host.ip(f"route add {giaddr}/32 via 10.77.0.{number + 10}")
        self.inis = [self.site(0, "br0"), self.site(1, "eth0")]
        self.acknowledged: dict[str, str] = {}

    def site(self, number: int, interface: str) -> Path:
        folder = self.folder / f"site{number}"
        (folder / "state").mkdir(parents=True)
        secret = folder / "password"
        secret.write_text(self.postgres.password)
        secret.chmod(0o600)
        ini = folder / "pxe.ini"
        ini.write_text(
            INI.format(folder=self.postgres.folder, port=self.postgres.port, interface=interface)
        )
        return ini

    def serve(self, number: int) -> Process:
        server = self.start(self.hosts[number], command(self.inis[number]))
        server.wait_for(r"\[service:dhcp\] listens on", 30)
        return server

    def load(self, number: int, first: int) -> Process:
        words = ["lease", SERVERS[number], RELAYS[number], str(first), "60"]
        return self.start(self.relays[number], [sys.executable, "-m", "bootlab.dhcpload", *words])

    def note(self, load: Process) -> None:
        """Note whom addresses were acknowledged to; none to two clients."""
        text = load.text[: load.text.rfind("\n") + 1]
        lines = [line.split() for line in text.splitlines()]
        self.acknowledged |= {number: where for word, number, where in lines if word == "ack"}
        addresses = list(self.acknowledged.values())
        self.assertEqual(len(set(addresses)), len(addresses))

    def confirm(self, number: int) -> None:
        """Each client gets its address acknowledged again, whichever server gave it."""
        lines = [f"ack {client} {address}" for client, address in self.acknowledged.items()]
        words = ["confirm", SERVERS[number], RELAYS[number], "0", "60"]
        done = subprocess.run(
            [*self.relays[number].inside, sys.executable, "-m", "bootlab.dhcpload", *words],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=90,
        )
        self.assertEqual(done.stderr, "")
        self.assertEqual(sorted(done.stdout.splitlines()), sorted(lines))

    def acks(self, load: Process, wanted: int) -> None:
        wait_until(lambda: load.text.count("ack") > wanted, 30, "acknowledgements")

    def kill(self, server: Process) -> None:
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.running, 10, "the server's end")

    def test_killed_in_turn(self) -> None:
        servers = [self.serve(0), self.serve(1)]
        for number in range(ROUNDS):
            loads = [self.load(each, (2 * number + each) * 1_000_000) for each in (0, 1)]
            for load in loads:
                self.acks(load, 30 + 17 * number)  # somewhere else in each round
            victim, other = number % 2, 1 - number % 2
            self.kill(servers[victim])
            self.acks(loads[other], loads[other].text.count("ack") + 30)  # it goes on alone
            for load in loads:
                load.stop()
                self.note(load)
            servers[victim] = self.serve(victim)
        self.kill(servers[1])
        self.confirm(0)
        servers[1] = self.serve(1)
        self.kill(servers[0])
        self.confirm(1)
        stored = self.postgres.sql("select count(*) from pxetwist_lease where state = 'leased'")
        self.assertGreaterEqual(int(stored), len(self.acknowledged))

    def test_the_database_stops_for_a_while(self) -> None:
        """Silence, said once; afterwards all goes on, and nothing is lost."""
        server, load = self.serve(0), self.load(0, 0)
        self.acks(load, 50)
        self.postgres.stop()
        server.wait_for("leases cannot be stored, nobody is acknowledged", 30)
        silent = load.text.count("ack")
        self.postgres.start()
        server.wait_for("leases can be stored again", 30)
        self.acks(load, silent + 50)
        self.postgres.freeze()
        wait_until(lambda: server.text.count("leases cannot be stored") == 2, 30, "a word of it")
        self.postgres.thaw()
        wait_until(lambda: server.text.count("can be stored again") == 2, 30, "a word of it")
        self.acks(load, load.text.count("ack") + 50)
        load.stop()
        self.note(load)
        self.assertNotIn("Traceback", server.text)
        self.confirm(0)
