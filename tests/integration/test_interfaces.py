"""A DHCP server whose interfaces come, go and change while it runs, and a real client there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bootlab.network import TAG, Namespace, remove_stale
from bootlab.processes import Process, run
from bootlab.server import command

INI = """
[pxe]
services = dhcp
policies = main
state = memory
[policy:main]
plugin = rules
rules = any -> local
[profile:local]
kind = local
[service:dhcp]
interfaces = lan0
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
"""
SCRIPT = """#!/bin/sh
case "$1" in
bound|renew) echo "got $1 $ip of $serverid next $siaddr";;
esac
"""
LEASE = r"got bound (\S+) of (\S+)"


class InterfacesTests(SynchronousTestCase):
    """The server and its client, each in a host of its own, and no cable between them yet."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        (self.folder / "pxe.ini").write_text(INI)
        script = self.folder / "script"
        script.write_text(SCRIPT)
        script.chmod(0o755)
        remove_stale()
        self.server, self.client = (self.namespace(name) for name in ("server", "client"))

    def namespace(self, name: str) -> Namespace:
        made = Namespace(f"{TAG}-{os.getpid()}-{name}")
        self.addCleanup(made.close)
        return made

    def plug_in(self) -> None:
        """Lay a cable; `lan0` is up, but has no address yet."""
        run("ip", "link", "add", "lan0", "netns", self.server.name, "type", "veth",
            "peer", "name", "eth0", "netns", self.client.name)  # fmt: skip
        self.client.ip("link set eth0 up")
        self.server.ip("link set lan0 up")

    def serve(self, *options: str) -> Process:
        words = command(self.folder / "pxe.ini")
        at = words.index("pxe")
        words[at:at] = options
        server = self.server.start(words, self.folder / "server.log")
        self.addCleanup(server.stop)
        return server

    def lease(self, number: int) -> tuple[str, str]:
        """Return what a new client gets, and from whom."""
        words = ["busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-t", "9", "-T", "1"]
        client = self.client.start(
            [*words, "-s", str(self.folder / "script")], self.folder / f"client{number}"
        )
        self.addCleanup(client.stop)
        got = client.wait_for(LEASE, 20)
        return got[1], got[2]

    def test_a_life(self) -> None:
        """The server is first; then come the interface, another address, and a new interface."""
        server = self.serve()
        server.wait_for(r"waits for interface lan0 \(there are: lo\)", 30)
        self.plug_in()
        server.wait_for("waits for interface lan0 without IPv4 address", 10)
        self.server.ip("addr add 10.77.0.1/24 dev lan0")
        server.wait_for(r"dhcp#info\] listens on lan0 10.77.0.1/24", 10)
        address, by = self.lease(1)
        self.assertRegex(address, r"10\.77\.0\.1\d\d")
        self.assertEqual(by, "10.77.0.1")

        self.server.ip("addr del 10.77.0.1/24 dev lan0")
        server.wait_for("lan0 without IPv4 address: answers nobody there now", 10)
        self.server.ip("addr add 10.77.0.9/24 dev lan0")
        server.wait_for(r"listens on lan0 10.77.0.9/24", 10)
        self.assertEqual(self.lease(2), (address, "10.77.0.9"))
        self.server.ip("addr add 10.78.0.1/24 dev lan0")
        self.server.ip("addr del 10.77.0.9/24 dev lan0")
        server.wait_for(r"lan0: its address was 10.77.0.9/24; answers from 10.78.0.1/24", 10)
        server.wait_for(r"lan0 10.78.0.1/24 is in no \[subnet:…\]", 10)

        mac = "link set eth0 address 02:00:00:00:00:07"
        self.server.ip("link delete lan0")
        server.wait_for("lan0 has gone", 10)
        self.plug_in()
        self.client.ip(mac)
        self.server.ip("addr add 10.77.0.1/24 dev lan0")
        server.wait_for(r"(?s)has gone.*listens on lan0 10.77.0.1/24", 10)
        other, by = self.lease(3)
        self.assertEqual(by, "10.77.0.1")
        self.assertNotEqual(other, address)
        os.kill(server.pid, signal.SIGUSR2)
        server.wait_for(r"service dhcp: answered 6", 10)
        self.assertNotIn("Traceback", server.text)

    def test_rights_that_are_gone(self) -> None:
        """Given up together with root: an interface that comes later is not had; all goes on."""
        server = self.serve("--uid=65534", "--gid=65534")
        server.wait_for("waits for interface lan0", 30)
        self.plug_in()
        self.server.ip("addr add 10.77.0.1/24 dev lan0")
        server.wait_for(
            "dhcp#error. no right to take udp port 67 on all addresses of lan0: start as root or"
            " with CAP_NET_BIND_SERVICE and CAP_NET_RAW",
            10,
        )
        self.assertTrue(server.running)
        self.assertNotIn("Traceback", server.text)
