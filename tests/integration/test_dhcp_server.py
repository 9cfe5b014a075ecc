"""What a site can tell the DHCP server, as real clients and relay agents understand it."""

from __future__ import annotations

import os
import re
import signal
import sys

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
rules = any -> local
[profile:local]
kind = local
[service:dhcp]
interfaces = br0
[observer:log]
debug = yes
[shared-network:hall]
authoritative = yes
rapid-commit = yes
bootp = dynamic
domain = hall.example
time-servers = 10.77.0.1
lease-time = 10m
min-lease-time = 2m
max-lease-time = 20m
option.domain-search = hall.example, example
[subnet:lab]
shared-network = hall
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.103
exclude = 10.77.0.101 - 10.77.0.102
routers = 10.77.0.1
option.classless-routes = 10.99.0.0/16 via 10.77.0.9
[subnet:more]
shared-network = hall
network = 10.79.0.0/24
pool = 10.79.0.100 - 10.79.0.199
routers = 10.79.0.1
[subnet:remote]
network = 10.78.0.0/24
pool = 10.78.0.100 - 10.78.0.199
routers = 10.78.0.1
[class:phones]
match = vendor=phone*
lease-time = 5m
option.domain-name = phones.example
option.43.1 = text:blue
option.43.2 = address:10.77.0.5
always-send = tz-name
option.tz-name = Europe/Berlin
"""
HOSTS = """name,mac,circuit-id,address,option.root-path,option.interface-mtu
desk,02:00:00:00:00:01,,10.79.0.50,/srv/desk,1400
port,,down0,10.78.0.50,,
"""
#: dhclient has no names for some of what it is told.
CONFIG = """
option routes code 121 = array of unsigned integer 8;
option tz-name code 101 = text;
send vendor-class-identifier "{vendor}";
send dhcp-lease-time {wish};
request subnet-mask, routers, routes, domain-name, domain-search, ntp-servers, root-path,
  interface-mtu, vendor-encapsulated-options, host-name;
"""
SCRIPT = """#!/bin/sh
case "$reason" in BOUND|RENEW|REBIND|REBOOT)
  ip addr replace "$new_ip_address/24" dev $interface
  [ -n "$new_routers" ] && ip route replace default via $new_routers
  echo "reason=$reason"; set | sed -n 's/^new_//p';;
esac
"""
#: Asks once for what no client at hand asks for, and prints the answer.
ASK = """
import socket, sys
from pxetwist.wire.dhcp4 import Dhcp4Message, decode, encode
from pxetwist.wire.iana import Dhcp4Op
found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
found.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
found.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
found.bind(("", 68))
found.settimeout(10)
options = {53: b"\\1", 80: b""} if sys.argv[1] == "rapid" else {}
mac = open("/sys/class/net/eth0/address").read().strip().replace(":", "")
message = Dhcp4Message(Dhcp4Op.REQUEST, 1, 6, xid=5, flags=0x8000,
    chaddr=bytes.fromhex(mac).ljust(16, b"\\0"), options=options)
found.sendto(encode(message), ("255.255.255.255", 67))
reply = decode(found.recv(2000))
print(reply.xid, reply.yiaddr, *sorted(reply.options), reply.options.get(53, b"").hex())
"""


class DhcpServerTests(ClientsCase):
    """One server that has much to say."""

    ini = INI
    machines = HOSTS
    script = SCRIPT

    def setUp(self) -> None:
        super().setUp()
        self.lan.server.ip("addr add 10.79.0.1/24 dev br0")
        self.serve()

    def told(
        self, host: Namespace, *, vendor: str = "desk", wish: int = 600, interface: str = "eth0"
    ) -> dict[str, str]:
        """Let a client ask until it is bound; return what it tells its script."""
        config = self.folder / f"{host.name}.conf"
        config.write_text(CONFIG.format(vendor=vendor, wish=wish))
        text = self.dhclient(host, config=str(config), interface=interface)
        pairs = re.findall(r"^(\w+)='?(.*?)'?$", text, re.MULTILINE)
        return dict(pairs)

    def ask(self, host: Namespace, what: str) -> list[str]:
        """Ask once by hand."""
        return host.run(sys.executable, "-c", ASK, what).split()

    def test_what_clients_are_told(self) -> None:
        """A shared network, its exclusions, classes, options of a machine, wishes for times."""
        desk = self.told(self.host("desk", "02:00:00:00:00:01"), wish=9000)
        self.assertEqual(
            {name: desk[name] for name in ("ip_address", "routers", "root_path", "interface_mtu")},
            {
                "ip_address": "10.79.0.50",
                "routers": "10.79.0.1",
                "root_path": "/srv/desk",
                "interface_mtu": "1400",
            },
        )
        self.assertEqual((desk["domain_name"], desk["host_name"]), ("hall.example", "desk"))
        self.assertEqual(desk["domain_search"], "hall.example. example.")
        self.assertEqual((desk["ntp_servers"], desk["dhcp_lease_time"]), ("10.77.0.1", "1200"))
        phone = self.told(self.host("phone"), vendor="phone 7")
        self.assertIn(phone["ip_address"], ("10.77.0.100", "10.77.0.103"))
        self.assertEqual(phone["routes"], "16 10 99 10 77 0 9 0 10 77 0 1")
        self.assertEqual(
            (phone["domain_name"], phone["tz_name"]), ("phones.example", "Europe/Berlin")
        )
        self.assertEqual(phone["vendor_encapsulated_options"], "1:4:62:6c:75:65:2:4:a:4d:0:5")
        rapid = self.ask(self.host("rapid"), "rapid")
        self.assertEqual((rapid[0], rapid[-1]), ("5", "05"), rapid)
        self.assertIn("80", rapid)
        bootp = self.ask(self.host("bootp"), "bootp")
        self.assertNotIn("53", bootp[2:])
        given = {phone["ip_address"], rapid[1], bootp[1]}
        self.assertEqual(len(given), 3)
        self.assertEqual(len([each for each in given if each.startswith("10.79.0.1")]), 1, given)

    def test_two_relay_agents_in_a_row(self) -> None:
        """The first agent's option 82 finds the reservation; the reply finds it, past the second;
        a renewal comes without either of them.
        """
        near, middle = self.lan.host("near"), self.lan.host("middle", "10.77.0.2/24")
        far = self.host("far")
        for here, name, there, other in (
            (near, "down0", far, "eth1"),
            (middle, "down1", near, "up0"),
        ):
            self.cable(here, name, there, other)
        near.ip("link set eth0 down")
        far.ip("link set eth0 down")
        for host, address, interface in (
            (near, "10.78.0.1/24", "down0"),
            (near, "10.80.0.2/24", "up0"),
            (middle, "10.80.0.1/24", "down1"),
        ):
            host.ip(f"addr add {address} dev {interface}")
            host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        near.ip("route add default via 10.80.0.1")
        middle.ip("route add 10.78.0.0/24 via 10.80.0.2")
        self.lan.server.ip("route add 10.78.0.0/24 via 10.77.0.2")
        relay = ["dhcrelay", "-4", "-d", "--no-pid"]
        for host, words in (
            (near, ["-a", "-m", "append", "-iu", "up0", "-id", "down0", "10.80.0.1"]),
            (middle, ["-m", "forward", "-iu", "eth0", "-id", "down1", "10.77.0.1"]),
        ):
            self.relay(host, *relay, *words)
        got = self.told(far, interface="eth1")
        self.assertEqual((got["ip_address"], got["routers"]), ("10.78.0.50", "10.78.0.1"))
        self.server.wait_for(r"ACK, 10\.78\.0\.50", 10)
        pid = self.folder / f"{far.name}.pid"
        wait_until(lambda: pid.exists() and bool(pid.read_text()), 10, "the client's process id")
        client = int(pid.read_text())
        os.kill(client, signal.SIGKILL)
        before = len(re.findall(r"ACK, 10\.78\.0\.50", self.server.text))
        renewing = ["busybox", "udhcpc", "-i", "eth1", "-f", "-r", "10.78.0.50", "-s", "/bin/true"]
        udhcpc = self.start(far, renewing)
        udhcpc.wait_for("lease of 10.78.0.50 obtained", 20)
        os.kill(udhcpc.pid, signal.SIGUSR1)
        wait_until(
            lambda: len(re.findall(r"ACK, 10\.78\.0\.50", self.server.text)) >= before + 2,
            20,
            "a renewal",
        )
