"""Real DHCP clients and relay agents against `twistd pxe`, each in a host of its own."""

from __future__ import annotations

import os
import re
import signal

from bootlab.network import Namespace
from bootlab.processes import wait_until
from tests.integration.case import ClientsCase

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
rules =
    profile=banned -> silence
    any -> local
[profile:local]
kind = local
[service:dhcp]
interfaces = br0
[observer:log]
debug = yes
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
routers = 10.77.0.1
domain = lab.example
lease-time = 10m
[subnet:remote]
network = 10.78.0.0/24
pool = 10.78.0.100 - 10.78.0.199
routers = 10.78.0.1
[class:restless]
match = mac=02:00:00:00:00:05
lease-time = 60s
option.renewal-time = 3
option.rebinding-time = 8
"""
HOSTS = """name,mac,address,profile
fixed,02:00:00:00:00:01,10.77.0.50,
banned,02:00:00:00:00:02,,banned
"""
#: Tells the test what it got, and does what a system does with it.
SCRIPT = """#!/bin/sh
case "$1$reason" in
deconfig) ip addr flush dev "$interface";;
bound|renew|BOUND|RENEW|REBIND|REBOOT)
  addr=${ip:-$new_ip_address}
  ip addr replace "$addr/24" dev "$interface"
  ip route replace default via "${router:-$new_routers}"
  echo "got $1$reason $addr router=${router:-$new_routers} domain=${domain:-$new_domain_name}";;
esac
"""


class DhcpClientTests(ClientsCase):
    """One server on a bridge, and clients of other makers."""

    ini = INI
    machines = HOSTS
    script = SCRIPT

    def setUp(self) -> None:
        super().setUp()
        self.serve()

    def test_udhcpc(self) -> None:
        """A lease with its options, renewed by unicast, given back at the end."""
        client = self.udhcpc(self.host("u1"), "-R")
        got = client.wait_for(r"got bound (\S+) router=(\S+) domain=(\S+)", 20)
        self.assertRegex(got[1], r"^10\.77\.0\.1\d\d$")
        self.assertEqual((got[2], got[3]), ("10.77.0.1", "lab.example"))
        os.kill(client.pid, signal.SIGUSR1)
        client.wait_for(rf"got renew {re.escape(got[1])}", 20)
        client.stop()
        other = self.udhcpc(self.host("u2"), "-r", got[1], "-q")
        self.assertEqual(other.wait_for(r"got bound (\S+)", 20)[1], got[1])

    def test_reservation_and_silence(self) -> None:
        """A machine gets the address of its directory; one that is banned gets nothing."""
        fixed = self.udhcpc(self.host("f", "02:00:00:00:00:01"), "-q")
        banned = self.udhcpc(self.host("b", "02:00:00:00:00:02"), "-n", "-t", "3", "-T", "1")
        self.assertEqual(fixed.wait_for(r"got bound (\S+)", 20)[1], "10.77.0.50")
        banned.wait_for("no lease, failing", 20)
        self.assertNotIn("got", banned.text)

    def test_leases_survive_kill(self) -> None:
        """kill -9 after an ACK: the same client gets the same address, another one another."""
        host = self.host("k")
        first = self.udhcpc(host, "-q").wait_for(r"got bound (\S+)", 20)[1]
        os.kill(self.server.pid, signal.SIGKILL)
        wait_until(lambda: not self.server.running, 10, "the server's end")
        self.serve()
        other = self.udhcpc(self.host("o"), "-q", "-r", first).wait_for(r"got bound (\S+)", 20)
        self.assertNotEqual(other[1], first)
        again = self.udhcpc(host, "-q").wait_for(r"got bound (\S+)", 20)
        self.assertEqual(again[1], first)

    def test_dhclient_states(self) -> None:
        """SELECTING, INIT-REBOOT with a lease on file, RELEASE."""
        host = self.host("d")
        got = re.search(r"got BOUND (\S+)", self.dhclient(host))
        assert got is not None
        self.dhclient(host, "-x")
        again = self.dhclient(host)
        self.assertRegex(again, rf"got REBOOT {re.escape(got[1])}")
        self.dhclient(host, "-r")
        self.server.wait_for(f"released {re.escape(got[1])}", 10)

    def renewed_and_rebound(self, host: Namespace, interface: str) -> str:
        """Let dhclient renew its lease, then rebind, as unicasts do not arrive any more."""
        base = self.folder / host.name
        files = ["-lf", f"{base}.leases", "-pf", f"{base}.pid", "-cf", "/dev/null"]
        words = ["dhclient", "-4", "-d", *files, "-sf", str(self.script_file), interface]
        client = self.restless = self.start(host, words)
        address = client.wait_for(r"got BOUND (\S+)", 20)[1]
        client.wait_for(rf"got RENEW {re.escape(address)}", 30)
        host.ip("route add blackhole 10.77.0.1/32")
        everybody = r"to 255\.255\.255\.255 port 67\s+DHCPACK of "
        client.wait_for(rf"(?s)Failed to send.*{everybody}{re.escape(address)}", 30)
        return address

    def test_dhclient_renewing_and_rebinding(self) -> None:
        address = self.renewed_and_rebound(self.host("r", "02:00:00:00:00:05"), "eth0")
        self.assertRegex(address, r"^10\.77\.0\.1\d\d$")
        self.assertNotIn("NAK", self.server.text)

    def test_fifty_at_once(self) -> None:
        """Fifty clients start together: fifty different addresses."""
        clients = [self.udhcpc(self.host(f"n{n}"), "-q", "-t", "8", "-T", "1") for n in range(50)]
        addresses = [client.wait_for(r"got bound (\S+)", 40)[1] for client in clients]
        self.assertEqual(len(set(addresses)), 50)

    def behind_a_relay(self, mac: str = "") -> Namespace:
        """Plug in a host of another network, of whose interfaces eth1 reaches dhcrelay."""
        middle = self.lan.host("relay", "10.77.0.2/24")
        far = self.host("far")
        self.cable(middle, "down0", far, "eth1")
        if mac:
            far.ip(f"link set eth1 address {mac}")
        middle.ip("addr add 10.78.0.1/24 dev down0")
        middle.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.lan.server.ip("route add 10.78.0.0/24 via 10.77.0.2")
        far.ip("link set eth0 down")
        words = ["dhcrelay", "-4", "-d", "--no-pid", "-a", "-m", "append"]
        self.relay(middle, *words, "-iu", "eth0", "-id", "down0", "10.77.0.1")
        return far

    def test_dhcrelay_with_option_82(self) -> None:
        """dhcrelay drops replies whose option 82 is not its own: it must come back whole."""
        client = self.udhcpc(self.behind_a_relay(), "-q", interface="eth1")
        self.assertRegex(client.wait_for(r"got bound (\S+)", 20)[1], r"^10\.78\.0\.1\d\d$")

    def test_dhclient_behind_dhcrelay(self) -> None:
        """It renews past the agent, and rebinds through it; INIT-REBOOT and release as well."""
        far = self.behind_a_relay("02:00:00:00:00:05")
        address = self.renewed_and_rebound(far, "eth1")
        self.assertRegex(address, r"^10\.78\.0\.1\d\d$")
        self.restless.stop()
        far.ip("route del blackhole 10.77.0.1/32")
        again = self.dhclient(far, interface="eth1")
        self.assertRegex(again, rf"got REBOOT {re.escape(address)}")
        self.dhclient(far, "-r", interface="eth1")
        self.server.wait_for(f"released {re.escape(address)}", 10)
        self.assertNotIn("NAK", self.server.text)
