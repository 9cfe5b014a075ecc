"""Addresses of the pool that somebody uses already: found by the server, or by a client."""

from __future__ import annotations

import os
import signal

from bootlab.network import Namespace
from bootlab.processes import Process
from tests.integration.case import ClientsCase

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


class ConflictTests(ClientsCase):
    ini = INI

    def check(self, word: str) -> None:
        """Start the server, and let somebody have the first address of its pool."""
        self.ini_file.write_text(INI.format(check=word))
        self.lan.host("squatter", "10.77.0.100/24", mac=SQUATTER)
        self.serve()

    def client(self, host: Namespace, *words: str, interface: str = "eth0") -> Process:
        return self.udhcpc(host, "-q", *words, interface=interface)

    def test_the_server_looks(self) -> None:
        """By ARP on its own link, by ping behind a relay agent; the client gets another one."""
        self.check("yes")
        client = self.client(self.lan.host("near"), "-r", "10.77.0.100")
        self.assertRegex(client.wait_for(LEASE, 20)[1], r"10\.77\.0\.10[123]")
        self.server.wait_for(rf"10\.77\.0\.100 is in use by {SQUATTER}: it is not given", 10)
        self.assertEqual(client.text.count("broadcasting discover"), 1)

        middle, far = self.lan.host("relay", "10.77.0.2/24"), self.lan.host("far")
        self.cable(middle, "down0", far, "eth1")
        middle.ip("addr add 10.78.0.1/24 dev down0")
        middle.ip("addr add 10.78.0.100/24 dev down0")
        self.lan.server.ip("route add 10.78.0.0/24 via 10.77.0.2")
        words = ["dhcrelay", "-4", "-d", "--no-pid", "-iu", "eth0", "-id", "down0", "10.77.0.1"]
        self.relay(middle, *words)
        client = self.client(far, "-r", "10.78.0.100", interface="eth1")
        self.assertRegex(client.wait_for(LEASE, 20)[1], r"10\.78\.0\.10[123]")
        self.server.wait_for(r"10\.78\.0\.100 is in use by somebody who answers ping", 10)
        os.kill(self.server.pid, signal.SIGUSR2)
        self.server.wait_for(r"leases: conflicts 2\n", 10)

    def test_the_client_looks(self) -> None:
        """It declines what it got, and nobody is offered that for a day."""
        self.check("no")
        client = self.client(self.lan.host("one"), "-r", "10.77.0.100", "-a", "-A", "1")
        self.server.wait_for(r"ACK, 10\.77\.0\.100", 20)
        self.server.wait_for(r"DECLINE: silence, declined 10\.77\.0\.100", 20)
        again = client.wait_for(r"(?s)lease of 10\.77\.0\.100 obtained.*" + LEASE, 20)
        self.assertRegex(again[1], r"10\.77\.0\.10[123]")
        other = self.client(self.lan.host("two"), "-r", "10.77.0.100")
        self.assertRegex(other.wait_for(LEASE, 20)[1], r"10\.77\.0\.10[123]")
