"""Addresses of the pool that somebody uses already: found by the server, or by a client."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bootlab.network import Lan, Namespace
from bootlab.processes import Process, run
from bootlab.server import command

INI = """
[pxe]
services = dhcp
policies = main
[policy:main]
plugin = rules
rules = any -> local
[profile:local]
kind = local
[service:dhcp]
interfaces = br0
[observer:log]
debug = yes
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.103
conflict-check = {check}
[subnet:remote]
network = 10.78.0.0/24
pool = 10.78.0.100 - 10.78.0.103
conflict-check = {check}
"""
LEASE = r"lease of (\S+) obtained"
SQUATTER = "02:00:00:00:00:66"


class ConflictTests(SynchronousTestCase):
    def serve(self, check: str) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        (self.folder / "pxe.ini").write_text(INI.format(check=check))
        self.lan = Lan()
        self.addCleanup(self.lan.close)
        squatter = self.lan.host("squatter")
        squatter.ip(f"link set eth0 address {SQUATTER}")
        squatter.ip("addr add 10.77.0.100/24 dev eth0")
        self.server = self.lan.server.start(
            command(self.folder / "pxe.ini"), self.folder / "server.log"
        )
        self.addCleanup(self.server.stop)
        self.server.wait_for(r"\[service:dhcp\] listens on", 30)

    def client(self, host: Namespace, *words: str, interface: str = "eth0") -> Process:
        program = ["busybox", "udhcpc", "-i", interface, "-f", "-q", "-s", "/bin/true"]
        client = host.start([*program, *words], self.folder / f"{host.name}.udhcpc")
        self.addCleanup(client.stop)
        return client

    def test_the_server_looks(self) -> None:
        """By ARP on its own link, by ping behind a relay agent; the client gets another one."""
        self.serve("yes")
        client = self.client(self.lan.host("near"), "-r", "10.77.0.100")
        self.assertRegex(client.wait_for(LEASE, 20)[1], r"10\.77\.0\.10[123]")
        self.server.wait_for(rf"10\.77\.0\.100 is in use by {SQUATTER}: it is not given", 10)
        self.assertEqual(client.text.count("broadcasting discover"), 1)

        middle, far = self.lan.host("relay", "10.77.0.2/24"), self.lan.host("far")
        run("ip", "link", "add", "down0", "netns", middle.name, "type", "veth",
            "peer", "name", "eth1", "netns", far.name)  # fmt: skip
        middle.ip("addr add 10.78.0.1/24 dev down0")
        middle.ip("addr add 10.78.0.100/24 dev down0")
        middle.ip("link set down0 up")
        self.lan.server.ip("route add 10.78.0.0/24 via 10.77.0.2")
        far.ip("link set eth1 up")
        words = ["dhcrelay", "-4", "-d", "--no-pid", "-iu", "eth0", "-id", "down0", "10.77.0.1"]
        agent = middle.start(words, self.folder / "relay.log")
        self.addCleanup(agent.stop)
        agent.wait_for("Sending on|Listening", 10)
        client = self.client(far, "-r", "10.78.0.100", interface="eth1")
        self.assertRegex(client.wait_for(LEASE, 20)[1], r"10\.78\.0\.10[123]")
        self.server.wait_for(r"10\.78\.0\.100 is in use by somebody who answers ping", 10)
        os.kill(self.server.pid, signal.SIGUSR2)
        self.server.wait_for(r"leases: conflicts 2\n", 10)

    def test_the_client_looks(self) -> None:
        """It declines what it got, and nobody is offered that for a day."""
        self.serve("no")
        client = self.client(self.lan.host("one"), "-r", "10.77.0.100", "-a", "-A", "1")
        self.server.wait_for(r"ACK, 10\.77\.0\.100", 20)
        self.server.wait_for(r"DECLINE: silence, declined 10\.77\.0\.100", 20)
        again = client.wait_for(r"(?s)lease of 10\.77\.0\.100 obtained.*" + LEASE, 20)
        self.assertRegex(again[1], r"10\.77\.0\.10[123]")
        other = self.client(self.lan.host("two"), "-r", "10.77.0.100")
        self.assertRegex(other.wait_for(LEASE, 20)[1], r"10\.77\.0\.10[123]")
