"""Known machines get their addresses while invented ones flood the server."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from bootlab.processes import Process, run
from tests.integration.case import ClientsCase

LOAD = Path(__file__).parents[2] / "benchmarks" / "load"
#: The flood lasts until both machines are served, and no less than the first figure.
SECONDS, LONGEST, RATE = 10, 90, 50_000
#: So often a known machine boots meanwhile.
BOOTS = 4
#: What the server may remember of strangers, in MiB: its memories are full at about 100.
BOUND = 150
INI = """
[pxe]
services = dhcp
hosts = lab
policies = main
[hosts:lab]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules = any -> local
[profile:local]
kind = local
[service:dhcp]
interfaces = br0
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
"""
HOSTS = "name,mac\nknown,02:00:00:00:00:01\n"
LEASE = r"lease of (\S+) obtained"


class FloodCase(ClientsCase):
    """One server, and what can be told of it while it is flooded."""

    def build(self, program: str) -> None:
        run("cc", "-O2", "-o", str(self.folder / program), str(LOAD / f"{program}.c"))


class FloodTests(FloodCase):
    """One server, a machine of its directory, one that has had a lease, and a flood."""

    ini = INI
    machines = HOSTS

    def setUp(self) -> None:
        super().setUp()
        self.build("dhcpflood")
        self.clients = {name: self.host(name) for name in ("lessee", "stranger")}
        self.clients["known"] = self.host("known", "02:00:00:00:00:01")
        self.flooder = self.lan.host("flooder", "10.77.0.66/24")
        # udhcpc reads all broadcasts that it sees: it would drown before the server does.
        self.lan.isolate("flooder", *self.clients)
        self.serve()

    def client(self, name: str) -> Process:
        """Let a machine ask as often as a ROM and a loader do together."""
        return self.udhcpc(self.clients[name], "-q", "-t", "40", "-T", "2")

    def flood(self) -> Process:
        words = ["-i", "eth0", "-H", "10.77.0.1", "-r", str(RATE), "-s", str(LONGEST)]
        words += ["-g", "100", "-t", "100", "-o", "1"]
        return self.start(self.flooder, [str(self.folder / "dhcpflood"), *words])

    def test_a_flood(self) -> None:
        before = self.client("lessee").wait_for(LEASE, 20)[1]
        memory = self.memory()
        begun, flood = time.monotonic(), self.flood()
        self.server.wait_for("more messages than can be answered", 20)
        lessee, asked = self.client("lessee"), 0
        for _ in range(BOOTS):
            known = self.client("known")
            address = known.wait_for(LEASE, LONGEST)[1]
            asked += known.text.count("broadcasting discover")
        again = lessee.wait_for(LEASE, LONGEST)[1]
        # Among all others it would have to ask some five times for each.
        self.assertLessEqual(asked, 3 * BOOTS, "known machines do not come first")
        self.assertTrue(flood.running, "the flood was over too early to show anything")
        time.sleep(max(0.0, begun + SECONDS - time.monotonic()))
        os.kill(flood.pid, signal.SIGTERM)
        self.assertRegex(address, r"10\.77\.0\.1\d\d")
        self.assertEqual(again, before)
        sent: dict[str, Any] = json.loads(flood.wait_for(r"\{.*\}", 30)[0])
        self.assertGreater(sent["sent"], SECONDS * 5000, sent)  # other work may share the cores

        later = self.client("known").wait_for(LEASE, 20)[1]
        self.assertEqual(later, address)
        counts = self.counts()
        self.assertLess(self.memory() - memory, BOUND)
        self.assertGreater(counts["dropped of others"], 1000, counts)
        self.assertGreater(counts["malformed"], 1000, counts)
        self.assertGreater(counts["oversized"], 1, counts)
        self.assertLess(len(self.server.text), 300_000)
        self.assertNotIn("Traceback", self.server.text)


class TftpFloodTests(FloodCase):
    """A machine that got its address here boots, while others only ask."""

    service = "tftp"
    ini = (
        INI.replace("services = dhcp", "services = dhcp, tftp\ncontent = files")
        + """
[content:files]
plugin = directory
root = files
"""
    )
    machines = HOSTS
    script = """#!/bin/sh
[ "$1" = bound ] && ip addr replace $ip/24 dev $interface && echo "bound to $ip"
exit 0
"""

    def setUp(self) -> None:
        super().setUp()
        self.build("tftpflood")
        (self.folder / "files").mkdir()
        (self.folder / "files" / "nbp").write_bytes(os.urandom(1_000_000))
        self.known = self.host("known", "02:00:00:00:00:01")
        self.flooder = self.lan.host("flooder", "10.77.0.66/24")
        self.serve()
        self.udhcpc(self.known, "-q", "-t", "40", "-T", "2").wait_for("bound to", 60)

    def flood(self, rate: int, address: str, bits: int, name: str = "nbp") -> Process:
        words = ["-H", "10.77.0.1", "-a", address, "-m", str(bits), "-f", name]
        words += ["-r", str(rate), "-s", str(LONGEST)]
        return self.start(self.flooder, [str(self.folder / "tftpflood"), *words])

    def test_a_flood(self) -> None:
        """From one address, from forged ones of this network, and from ones out of reach."""
        memory = self.memory()
        begun = time.monotonic()
        floods = [
            self.flood(1000, "10.77.0.66", 0),
            self.flood(1000, "10.77.0.0", 8),
            self.flood(1000, "10.99.0.0", 16),
            self.flood(1000, "10.77.0.0", 8, name="missing"),
        ]
        time.sleep(2)
        for number in range(5):
            into = self.folder / f"nbp{number}"
            options = ("--option", "blksize 1468", "--option", f"windowsize {1 + 7 * number}")
            self.known.run("atftp", *options, "-g", "-r", "nbp", "-l", str(into), "10.77.0.1")
            self.assertEqual(into.read_bytes(), (self.folder / "files" / "nbp").read_bytes())
        time.sleep(max(0.0, begun + SECONDS - time.monotonic()))
        for each in floods:
            self.assertTrue(each.running, "the flood was over too early to show anything")
            os.kill(each.pid, signal.SIGTERM)
        sent = sum(json.loads(each.wait_for(r"\{.*\}", 30)[0])["sent"] for each in floods)
        self.assertGreater(sent, SECONDS * 500)  # other work may share the cores
        self.known.run("atftp", "-g", "-r", "nbp", "-l", str(self.folder / "after"), "10.77.0.1")
        counts = self.counts()
        self.assertGreater(counts["too many requests of one client"], 1000, counts)
        self.assertGreater(counts["given up for newer requests"], 100, counts)
        self.assertGreater(counts["no way to the client"], 10, counts)
        self.assertLess(self.memory() - memory, BOUND)
        self.assertLess(len(self.server.text), 300_000)
        self.assertNotIn("Traceback", self.server.text)
