"""The syslog service with `logger` of util-linux, and a shell, on hosts of their own."""

from __future__ import annotations

from ipaddress import IPv4Address

from bootlab.network import Lan, Namespace
from tests.integration.case import ClientsCase

INI = """
[pxe]
services = dhcp, syslog, http
hosts = known
policies = main
content = scripts
state = memory
[hosts:known]
plugin = static
file = hosts.csv
[policy:main]
plugin = fixed
profile = disk
[content:scripts]
plugin = rendered
[profile:disk]
kind = local
[service:syslog]
rate = 5
[service:http]
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
"""
MACHINES = "name,mac,address\nws1,02:00:00:00:00:01,10.77.0.21\n"
SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
echo "log servers: $opt7"
"""


class LoggerTests(ClientsCase):
    ini = INI
    machines = MACHINES
    script = SCRIPT

    def setUp(self) -> None:
        super().setUp()
        self.serve()
        self.server.wait_for(r"\[service:http\] listens on", 60)

    def booted(self, name: str, mac: str) -> Namespace:
        """Return a host that has its address from the server, and was told of it."""
        host = self.host(name, mac)
        client = self.udhcpc(host, "-O", "7")  # busybox has no name for it, and shows bytes
        client.wait_for(f"log servers: {IPv4Address(Lan.address).packed.hex()}", 30)
        return host

    def log(self, host: Namespace, *words: str) -> None:
        host.run("logger", "--server", Lan.address, "--udp", *words)

    def test_known_machine(self) -> None:
        host = self.booted("ws1", "02:00:00:00:00:01")
        for form in ("--rfc3164", "--rfc5424"):
            self.log(host, form, "--tag", "installer", "-p", "user.err", f"{form[2:]} \x1b[2Jsays")
            self.server.wait_for(
                rf"boot [0-9a-f]{{4}} ws1 syslog: installer: {form[2:]} \\x1b\[2Jsays", 10
            )
        self.log(host, "--rfc5424", "--sd-id", "x@1", "--sd-param", 'a="b c"', "structured")
        self.server.wait_for(r"ws1 syslog: root: structured", 10)
        host.run("bash", "-c", f"echo plain >/dev/udp/{Lan.address}/514")
        self.server.wait_for("ws1 syslog: plain", 10)
        self.assertNotIn("Traceback", self.server.text)

    def test_too_much(self) -> None:
        """So many lines at once, not one more; long ones are cut."""
        host = self.booted("ws1", "02:00:00:00:00:01")
        many = self.folder / "many"
        many.write_text("".join(f"line {n} {'x' * 3000}\n" for n in range(500)))
        self.log(host, "--rfc5424", "--size", "4000", "--file", str(many))
        self.server.wait_for("syslog: root: line 49 ", 10)
        written = self.server.text.count(" syslog: root: line ")
        self.assertGreaterEqual(written, 50)
        self.assertLess(written, 100)
        longest = max(map(len, self.server.text.splitlines()))
        self.assertLess(longest, 1200)

    def test_strangers(self) -> None:
        """Nobody gave it an address, and no directory knows it."""
        host = self.lan.host("stranger", "10.77.0.66/24")
        self.log(host, "--rfc3164", "forged")
        known = self.booted("ws1", "02:00:00:00:00:01")
        self.log(known, "--rfc3164", "true")
        self.server.wait_for("ws1 syslog: .*true", 10)
        self.assertNotIn("forged", self.server.text)
