"""Other DHCP servers, as `pxetwist neighbours` and a running server see them: real ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bootlab import neighbours
from bootlab.processes import run
from tests.integration.case import LanCase

INI = """
[pxe]
services = proxydhcp, http
policies = main
state = memory
content = scripts
[service:proxydhcp]
interfaces = br0
[policy:main]
plugin = fixed
profile = disk
[profile:disk]
kind = local
[content:scripts]
plugin = rendered
"""
_BIN = Path(sys.executable).parent


class NeighbourTests(LanCase):
    ini = INI
    service = "http"

    def neighbours(self, *words: str) -> str:
        """Run the command to its end, whatever its exit code."""
        args = [str(_BIN / "pxetwist"), "neighbours", str(self.ini_file), *words]
        process = self.start(self.lan.server, args)
        process.wait_for(r"(?s)br0 10.*\n$", 60)
        process.stop(60)
        return process.text

    def dnsmasq(self, *words: str, inside: str = "") -> None:
        """Start a dnsmasq of somebody else, on another host or on that of the server."""
        host = self.lan.host(inside, "10.77.0.2/24") if inside else self.lan.server
        base = ["--log-facility=-", "--no-ping", f"--dhcp-leasefile={self.folder / 'leases'}"]
        server = self.start(host, [*neighbours._DNSMASQ, *base, *words])
        server.wait_for("DHCP, (IP range|proxy)", 10)

    def test_a_server_that_gets_in_the_way(self) -> None:
        """It has a boot file and says PXEClient; the running server and the command both see it,
        beside each other, and the lines of the mend are such as their servers take.
        """
        range_ = "--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,1h"
        self.dnsmasq(range_, "--dhcp-boot=old.0", "--dhcp-option-force=60,PXEClient", inside="old")
        server = self.serve()
        server.wait_for(r"new: DHCP server 10.77.0.2 \(.*old.0.*CLASH.*option 60", 30)
        said = self.neighbours("--lines")
        self.assertIn("we run proxydhcp there", said)
        self.assertRegex(said, r"DHCP server 10\.77\.0\.2 \([0-9a-f:]{17}\) on br0")
        self.assertRegex(said, r"to a plain DHCP client: address 10\.77\.0\.\d+, next server")
        self.assertRegex(said, r"CLASH: it says PXEClient \(option 60\) without option 43")
        self.assertRegex(said, r"CLASH: it hands out a boot file itself \(old.0 of 10.77.0.2\)")
        self.assertIn("ProxyDHCP server 10.77.0.1", said)  # our own, by its answers to probes
        self.assertNotIn("Traceback", said + server.text)
        leases = self.folder / "leases"
        self.assertEqual(leases.read_text() if leases.exists() else "", "")
        self.assert_taken(said)

    def assert_taken(self, said: str) -> None:
        """Let dnsmasq and Kea check the lines that are theirs."""
        parts: dict[str, list[str]] = {}
        name = ""
        for line in said.partition("it needs:")[2].split("\n"):
            text = line.strip()
            if line.startswith(" " * 8):
                parts[name].append(text)
            elif text.endswith(":"):
                name = text[:-1]
                parts[name] = []
        file = self.folder / "lines.conf"
        file.write_text("\n".join(parts["dnsmasq"]))
        run("dnsmasq", "--test", f"--conf-file={file}")
        classes = json.loads("{" + "".join(parts["Kea"]) + "}")
        file.write_text(json.dumps({"Dhcp4": classes}))
        own = [f"KEA_PIDFILE_DIR={self.folder}", f"KEA_LOCKFILE_DIR={self.folder}"]
        run("env", *own, "kea-dhcp4", "-t", str(file))

    def test_beside_kea(self) -> None:
        """A plain one is no clash; with `dhcp` here it is one; without any it is said, too."""
        self.assertIn("CLASH: no DHCP server answered", self.neighbours("--seconds", "2"))
        self.addCleanup(neighbours.kea(self.lan, self.folder).stop)
        said = self.neighbours("--seconds", "3")
        self.assertIn("    no clash", said)
        subnet = "[subnet:lab]\nnetwork = 10.77.0.0/24\npool = 10.77.0.100-10.77.0.110\n"
        self.ini_file.write_text(INI.replace("proxydhcp", "dhcp") + subnet)
        server = self.serve()
        server.wait_for("new: DHCP server 10.77.0.2 .*CLASH, both give addresses", 30)
        said = self.neighbours("--seconds", "3")
        self.assertIn("CLASH: both give addresses in 10.77.0.0/24", said)
        self.assertIn('delete from "subnet4": the "pools" of "10.77.0.0/24"', said)

    def test_on_one_host(self) -> None:
        """dnsmasq shares port 67 with us; the command finds it by what it answers."""
        self.lan.host("switch")  # a bridge with nothing in it has no carrier
        self.dnsmasq(
            "--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,1h",
            *("--interface=br0", "--bind-dynamic"),
        )
        server = self.serve()
        said = self.neighbours("--seconds", "3")
        self.assertRegex(said, r"server 10\.77\.0\.1 .*on this host: dnsmasq \(pid \d+\), twistd")
        self.assertRegex(said, r"to a plain DHCP client: address 10\.77\.0\.\d+")
        self.assertIn("    no clash", said)
        self.assertNotIn("CLASH", said)
        self.assertNotIn("Traceback", server.text)
