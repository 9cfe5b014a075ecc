"""The command leases, on a site in a folder, without a server that runs."""

from __future__ import annotations

import io
import json
import time
from contextlib import closing, redirect_stderr, redirect_stdout
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.cli import main
from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.leasefile import LeaseFile

INI = """
[pxe]
services = dhcp
policies = main
state-folder = .
[policy:main]
plugin = fixed
profile = local
[profile:local]
kind = local
[subnet:lab]
network = 10.0.0.0/24
pool = 10.0.0.100 - 10.0.0.199
"""
HOUR = 3600.0
KEA = """address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state
10.0.0.101,02:00:00:00:00:01,,3600,{soon},1,0,0,ws1.lab.,0
10.0.0.102,02:00:00:00:00:02,,3600,{soon},1,0,0,,0
10.0.0.102,02:00:00:00:00:02,,0,{soon},1,0,0,,2
10.0.0.103,02:00:00:00:00:03,,4294967295,{past},1,0,0,,0
192.0.2.1,02:00:00:00:00:04,,3600,{soon},1,0,0,,0
"""
DNSMASQ = """{soon} 02:00:00:00:00:01 10.0.0.101 ws1 01:02:00:00:00:00:01
{past} 02:00:00:00:00:02 10.0.0.102 * *
nonsense
0 02:00:00:00:00:03 10.0.0.103 * *
duid 00:01:00:01
{soon} 1 fd00::1 * 00:01
"""
ISC = """# a comment
lease 10.0.0.101 {{
  starts 4 2026/01/01 00:00:00;
  ends epoch {soon}; # some day
  binding state active;
  hardware ethernet 02:00:00:00:00:01;
  client-hostname "ws1";
}}
lease 10.0.0.102 {{
  ends 4 2001/01/01 00:00:00;
  binding state active;
  hardware ethernet 02:00:00:00:00:02;
}}
lease 10.0.0.103 {{
  ends never;
  hardware ethernet 02:00:00:00:00:03;
}}
lease 10.0.0.104 {{
  ends never;
  binding state free;
  hardware ethernet 02:00:00:00:00:04;
}}
lease 10.0.0.105 {{
  ends never;
  uid "x";
}}
"""


class LeasesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ini = self.folder / "pxe.ini"
        self.ini.write_text(INI)
        self.path = self.folder / "leases.sqlite"
        self.now = time.time()

    def command(self, *words: str) -> tuple[int, str]:
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            code = main(["leases", str(self.ini), *words])
        return code, output.getvalue()

    def store(self, number: int, ends: float) -> None:
        address, key = IPv4Address(f"10.0.0.{number}"), f"02:00:00:00:00:{number:02x}"
        with closing(LeaseFile(self.path, "normal")) as file:
            file.store([Lease(address, key, ends, "lab", f"ws{number}", LeaseState.LEASED)])

    def addresses(self, *words: str) -> list[str]:
        lines = self.command("--json", *words)[1].splitlines()
        return [json.loads(line)["address"] for line in lines]

    def imported(self, text: str) -> tuple[int, str]:
        file = self.folder / "theirs"
        file.write_text(text.format(soon=int(self.now + HOUR), past=int(self.now - HOUR)))
        return self.command("--import", str(file))

    def test_list(self) -> None:
        self.assertEqual(self.command(), (0, "no leases\n"))
        self.store(100, self.now + HOUR)
        self.store(101, self.now - HOUR)
        code, said = self.command()
        self.assertEqual(code, 0)
        self.assertRegex(
            said, r"ADDRESS +HOSTNAME +KEY +NETWORK +STATE +ENDS\n10\.0\.0\.100 +ws100"
        )
        self.assertEqual(len(said.splitlines()), 2)
        self.assertEqual(self.addresses("--all"), ["10.0.0.100", "10.0.0.101"])
        self.assertEqual(self.addresses("--network", "lab"), ["10.0.0.100"])
        self.assertEqual(
            self.command("--network", "lap"),
            (1, "--network: there is no [subnet:lap]; did you mean 'lab'?\n"),
        )
        self.assertIn("10.0.0.100,ws100,02:00:00:00:00:64,lab,leased,", self.command("-c")[1])

    def test_networks_of_both_families_have_one_name(self) -> None:
        self.ini.write_text(
            f"{INI}[subnet6:lab]\nnetwork = fd77::/64\n[subnet6:six]\nnetwork = fd78::/64\n"
        )
        self.store(100, self.now + HOUR)
        with closing(LeaseFile(self.path, "normal")) as file:
            for number, name in (("fd77::5", "lab"), ("fd78::5", "six")):
                address, key = IPv6Address(number), f"02:00:00:00:00:0{len(name)}"
                lease = Lease(
                    address, key, self.now + HOUR, f"subnet6:{name}", "", LeaseState.LEASED
                )
                file.store([lease])
        self.assertEqual(self.addresses("--network", "lab"), ["10.0.0.100", "fd77::5"])
        self.assertEqual(self.addresses("--network", "six"), ["fd78::5"])

    def test_release(self) -> None:
        self.store(100, self.now + HOUR)
        self.assertEqual(self.command("--release", "10.0.0.100"), (0, "10.0.0.100 is free\n"))
        self.assertEqual(self.addresses(), [])
        code, said = self.command("--release", "10.0.0.100")
        self.assertEqual((code, said), (1, "nobody holds 10.0.0.100\n"))
        self.assertEqual(self.command("--release", "x")[0], 2)

    def test_import_from_kea(self) -> None:
        code, said = self.imported(KEA)
        self.assertEqual(self.addresses(), ["10.0.0.101", "10.0.0.103"])
        self.assertEqual(code, 1)
        self.assertIn("theirs:6: 192.0.2.1 is in no [subnet:…]", said)
        self.assertIn("2 leases taken over, 0 have ended, 1 not taken over", said)

    def test_import_from_dnsmasq(self) -> None:
        _, said = self.imported(DNSMASQ)
        self.assertEqual(self.addresses(), ["10.0.0.101", "10.0.0.103"])
        self.assertIn("theirs:3: no lease of dnsmasq", said)
        self.assertIn("theirs:5: leases of DHCPv6 are not taken over", said)
        self.assertIn("2 leases taken over, 1 have ended", said)

    def test_import_from_isc(self) -> None:
        _, said = self.imported(ISC)
        self.assertEqual(self.addresses(), ["10.0.0.101", "10.0.0.103"])
        self.assertIn("theirs:23: 10.0.0.105: no MAC address", said)
        self.assertIn("2 leases taken over, 1 have ended, 1 not taken over", said)

    def test_what_another_machine_holds_stays_its_own(self) -> None:
        self.store(101, self.now + 9 * HOUR)
        _, said = self.imported(DNSMASQ)
        self.assertRegex(said, r"theirs:1: 10\.0\.0\.101 is .*02:00:00:00:00:65")
        self.assertEqual(self.addresses(), ["10.0.0.101", "10.0.0.103"])

    def test_no_file_of_leases(self) -> None:
        self.ini.write_text(INI.replace("policies", "state = memory\npolicies"))
        code, said = self.command()
        self.assertEqual(code, 1)
        self.assertIn("[state:memory] keeps no leases; sqlite and postgresql do", said)
