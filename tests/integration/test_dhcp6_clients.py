"""Real DHCPv6 clients and a relay agent against `twistd pxe`, each in a host of its own."""

from __future__ import annotations

import re

from bootlab.network import Namespace
from bootlab.processes import wait_until
from tests.integration.case import ClientsCase

INI = """
[pxe]
services = dhcp6
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
[service:dhcp6]
interfaces = br0
[observer:log]
debug = yes
[subnet6:lab]
network = fd77::/64
pool = fd77::1000 - fd77::1fff
name-servers = fd77::1
domain = lab.example
lease-time = 12s
advertise = yes
[subnet6:remote]
network = fd78::/64
pool = fd78::1000 - fd78::1fff
"""
HOSTS = """name,mac,address6,profile
fixed,02:00:00:00:00:01,fd77::50,
banned,02:00:00:00:00:02,,banned
"""
#: Tells the test what it got, and does what a system does with it.
SCRIPT = """#!/bin/sh
case "$reason" in
BOUND6|RENEW6|REBIND6)
  ip -6 addr replace "$new_ip6_address/64" dev "$interface" nodad
  echo "got $reason $new_ip6_address dns=$new_dhcp6_name_servers domain=$new_dhcp6_domain_search";;
REBOOT6) [ -z "$new_dhcp6_name_servers" ] || echo "got told dns=$new_dhcp6_name_servers";;
esac
"""


class Dhcp6ClientTests(ClientsCase):
    """One server on a bridge, and clients of other makers."""

    ini = INI
    machines = HOSTS
    script = SCRIPT
    service = "dhcp6"

    def setUp(self) -> None:
        super().setUp()
        self.serve()

    def ready(self, host: Namespace, interface: str = "eth0") -> None:
        """Wait until the kernel has found that nobody else has the link-local address."""
        show = f"-6 addr show dev {interface} scope link -tentative"
        wait_until(lambda: "fe80" in host.ip(show), 10, "a link-local address")

    def asked(self, host: Namespace, *words: str, interface: str = "eth0") -> str:
        self.ready(host, interface)
        return self.dhclient(host, *words, version=6, interface=interface)

    def test_states(self) -> None:
        """SOLICIT to REPLY, CONFIRM after a restart, a renewal, RELEASE; then stateless."""
        host = self.host("d")
        got = re.search(r"got BOUND6 (\S+) dns=(\S+) domain=(\S+)", self.asked(host))
        assert got is not None
        self.assertRegex(got[1], r"^fd77::1[0-9a-f]{3}$")
        self.assertEqual((got[2], got[3].rstrip(".")), ("fd77::1", "lab.example"))
        self.server.wait_for(f"REPLY, {re.escape(got[1])}.*asked='RENEW'", 20)
        self.asked(host, "-x")
        self.asked(host)
        self.server.wait_for("REPLY, all on this link asked='CONFIRM'", 10)
        self.asked(host, "-r")
        self.server.wait_for(f"released {re.escape(got[1])}", 10)
        told = self.asked(self.host("s"), "-S")
        self.assertIn("fd77::1", told)

    def test_reservation_and_silence(self) -> None:
        """A machine gets the address of its directory; one that is banned gets nothing."""
        fixed = self.asked(self.host("f", "02:00:00:00:00:01"))
        self.assertIn("got BOUND6 fd77::50 ", fixed)
        banned = self.host("b", "02:00:00:00:00:02")
        self.ready(banned)
        base = str(self.folder / "banned")
        banned.run(
            *("sh", "-c", f"timeout 4 dhclient -6 -1 -lf {base}.l -pf {base}.p eth0 || true")
        )
        self.server.wait_for("00:02 dhcp6: SOLICIT: silence", 10)

    def test_relay(self) -> None:
        """dhcrelay adds an interface-id, and takes no reply without it."""
        middle = self.lan.host("relay", "fd77::2/64")
        far = self.host("far")
        self.cable(middle, "down0", far, "eth1")
        middle.ip("addr add fd78::1/64 dev down0 nodad")
        self.ready(middle, "down0")
        words = ["dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "down0", "-u", "fd77::1%eth0"]
        self.relay(middle, *words)
        got = self.asked(far, interface="eth1")
        self.assertRegex(got, r"got BOUND6 fd78::1[0-9a-f]{3} ")

    def test_router_advertisement(self) -> None:
        """A host learns the prefix and that DHCPv6 has addresses, but no way out."""
        host = self.host("r")
        wait_until(lambda: "fd77::/64" in host.ip("-6 route show"), 20, "a route to the prefix")
        self.assertNotIn("default", host.ip("-6 route show"))
        self.assertNotIn("fd77", host.ip("-6 addr show dev eth0"))
