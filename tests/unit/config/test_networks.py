"""The sections of the DHCP server, their inheritance and their mistakes."""

from __future__ import annotations

from ipaddress import IPv4Address

from pxetwist.exchange.dhcp4_options import INFINITE
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import LeaseTimes, Pool
from pxetwist.wire.options import OptionCode as O
from tests.unit.config.inis import IniCase

PXE = """
[pxe]
services = tftp
"""


def pool(first: int, last: int) -> Pool:
    """Return a part of 10.0.0.0/24."""
    return Pool(IPv4Address(0x0A000000 + first), IPv4Address(0x0A000000 + last))


class NetworkTests(IniCase):
    def test_exclusions(self) -> None:
        found = self.load(
            PXE
            + "[subnet:a]\nnetwork = 10.0.0.0/24\npool = 10.0.0.0 - 10.0.0.99, 10.0.0.200\n"
            + "exclude =\n    10.0.0.0 - 10.0.0.9\n    10.0.0.50\n    10.0.0.90 - 10.0.0.99\n"
        ).networks["a"]
        self.assertEqual(found.pools, (pool(10, 49), pool(51, 89), pool(200, 200)))

    def test_shared_network(self) -> None:
        """What the wire says holds in its networks, unless they say otherwise."""
        found = self.load(
            PXE
            + """
[shared-network:hall]
name-servers = 10.0.0.1
domain = lab.example
authoritative = yes
rapid-commit = yes
bootp = dynamic
lease-time = 2h
boot-lease-time = 5m
option.wpad = http://wpad.lab.example/wpad.dat
always-send = wpad
[subnet:a]
network = 10.0.0.0/24
shared-network = hall
[subnet:b]
network = 10.0.1.0/24
shared-network = hall
lease-time = infinite
authoritative = no
bootp = reserved
max-lease-time = infinite
"""
        ).networks
        a, b = found["a"], found["b"]
        self.assertEqual((a.shared, a.lease_time, b.lease_time), ("hall", 7200, INFINITE))
        self.assertEqual(a.lease_times, LeaseTimes(booting=300))
        self.assertEqual(b.lease_times, LeaseTimes(longest=INFINITE, booting=300))
        self.assertEqual((a.authoritative, b.authoritative), (True, False))
        self.assertEqual((a.rapid_commit, b.rapid_commit), (True, True))
        self.assertEqual((a.dynamic_bootp, b.dynamic_bootp), (True, False))
        assert a.inherited is not None
        self.assertEqual(a.inherited.origin, "[shared-network:hall]")
        self.assertEqual(set(a.inherited.options), {6, 15, 252})
        self.assertEqual(a.inherited.always, {252})

    def test_a_wire_without_a_section(self) -> None:
        """Networks may share a name that says nothing more."""
        text = "[subnet:{0}]\nnetwork = 10.0.{1}.0/24\nshared-network = hall\n"
        found = self.load(PXE + text.format("a", 0) + text.format("b", 1)).networks
        self.assertEqual([each.shared for each in found.values()], ["hall", "hall"])

    def test_classes(self) -> None:
        found = self.load(
            PXE
            + """
[subnet:a]
network = 10.0.0.0/24
[class:phones]
match = vendor=Cisco* subnet=a
subnets = a
lease-time = 1d
option.tftp-server-addresses = 10.0.0.9
option.43.1 = text:x
[class:rest]
match = any
"""
        )
        phones, rest = found.classes

        def ask(vendor: str) -> BootRequest:
            identity = ClientIdentity(vendor_class=vendor, address=IPv4Address("10.0.0.7"))
            return BootRequest(identity, BootStage.KERNEL, Protocol.DHCP)

        self.assertTrue(phones.matches(ask("Cisco 7960"), 0.0))
        self.assertFalse(phones.matches(ask("Snom"), 0.0))
        self.assertEqual(phones.why(ask("Snom"), 0.0), "vendor is 'Snom'")
        self.assertTrue(rest.matches(ask("Snom"), 0.0))
        self.assertEqual(phones.layer.options, {150: b"\x0a\0\0\x09", 43: b"\1\1x"})
        self.assertEqual((phones.layer.origin, phones.networks), ("[class:phones]", {"a"}))
        self.assertEqual(phones.lease_times.normal, 86400)
        self.assertTrue(phones.holds_in(found.networks["a"]))

    def test_options(self) -> None:
        found = self.load(
            PXE
            + "[subnet:a]\nnetwork = 10.0.0.0/24\noption.125.9.1 = u8:1\noption.125.9.2 = u8:2\n"
            + "option.netbios-node-type = h-node\n"
        ).networks["a"]
        self.assertEqual(
            found.options, {125: b"\0\0\0\x09\6\1\1\1\2\1\2", int(O.NETBIOS_NODE_TYPE): b"\x08"}
        )

    def test_mistakes(self) -> None:
        self.assertEqual(
            self.mistakes(
                """
                [pxe]
                services = tftp
                [subnet:a]
                network = 10.0.0.0/24
                shared-network = hal
                [subnet:b]
                network = 10.0.0.128/25
                pool = 10.0.0.130 - 10.0.0.255
                [subnet:c]
                network = 10.0.1.0/24
                pool = 10.0.1.10 - 10.0.1.20
                exclude = 10.0.1.15 - 10.0.1.25
                [subnet:d]
                network = 10.0.2.0/24
                pool = 10.0.2.1 - 10.0.2.20
                routers = 10.0.2.1
                [subnet:e]
                network = 10.0.3.0/25
                lease-time = 1h
                max-lease-time = 10m
                option.43 = hex:00
                [subnet:f]
                network = 10.0.0.0/16
                lease-time = 0
                always-send = wpadd
                option.tz-name = \0
                [shared-network:hall]
                [class:x]
                match = !any
                subnets = aa
                """.replace("\\0", "")
            ),
            [
                "pxe.ini:5: [subnet:a] shared-network: there is no [shared-network:hal]; did you"
                " mean 'hall'?",
                "pxe.ini:8: [subnet:b] pool: 10.0.0.130 - 10.0.0.255 holds 10.0.0.255, the"
                " broadcast address; mend: exclude = …",
                "pxe.ini:12: [subnet:c] exclude: 10.0.1.15 - 10.0.1.25 is in no pool",
                "pxe.ini:15: [subnet:d] pool: 10.0.2.1 - 10.0.2.20 holds 10.0.2.1, a router;"
                " mend: exclude = …",
                "pxe.ini:20: [subnet:e] max-lease-time: expected min-lease-time <= lease-time"
                " <= max-lease-time",
                "pxe.ini:24: [subnet:f] lease-time: expected a duration like 90, 10m, 1h or 1d,"
                " or infinite, got '0'",
                "pxe.ini:25: [subnet:f] always-send: 'wpadd' is no DHCP option; did you mean"
                " 'wpad'?",
                "pxe.ini:26: [subnet:f] option.tz-name: expected some text on one line, got ''",
                "pxe.ini:29: [class:x] match: ! (character 1): '!any' matches no machine",
                "pxe.ini:30: [class:x] subnets: there is no [subnet:aa]; did you mean 'a'?",
            ],
        )

    def test_what_people_type(self) -> None:
        """Each mistake is on its own line, and says what would mend it."""
        for line, wanted in (
            ("network = 10.0.0.1/24", "got '10.0.0.1/24'; did you mean 10.0.0.0/24?"),
            ("network = 10.0.0.0", "got '10.0.0.0'; say how large it is, with / and a number"),
            ("network = 224.0.0.0/24", "got '224.0.0.0/24'; machines have no addresses of it"),
            ("pool = 10.0.0.9 - 10.0.0.5", "got '10.0.0.9-10.0.0.5'; its ends are exchanged"),
            ("pool = 10.0.0.5\nexclude = 10.0.0.5", "exclude: nothing is left of the pool"),
            ("router = 10.0.0.1", "unknown option 'router'; did you mean 'routers'? (known: "),
            ("router = 10.0.0.1", ", option.NAME, "),
            ("[class:x]\nmatch =", "it is empty; any stands for all clients"),
            ("domain = lab example", "expected a domain like lab.example, got 'lab example'"),
            (f"domain = {'a' * 64}.example", "expected a domain like lab.example"),
            ("option.3 = 10.0.0.1\noption.routers = 10.0.0.2", "by another name"),
            (f"option.224 = text:{'a' * 256}", "expected at most 255 bytes, got 256"),
            (f"option.43.1 = text:{'a' * 256}", "expected at most 255 bytes, got 256"),
            ("option.255 = hex:00", "'255' is no DHCP option; their numbers are 1 to 254"),
            ("option.82.1 = text:x", "relay-agent (82) is up to the server"),
            ("option.routers.1 = none", "'routers.1': option 3 has no sub-options"),
        ):
            network = "" if line.startswith("network") else "network = 10.0.0.0/24\n"
            head = f"{PXE}[subnet:a]\n{network}"
            [mistake] = self.mistakes(f"{head}{line}\n")
            self.assertIn(wanted, mistake)
            last = len(f"{head}{line}".strip().splitlines())
            name = line.splitlines()[-1].partition(" ")[0]
            self.assertIn(f"pxe.ini:{last}: [", mistake)
            self.assertIn(name, mistake)

    def test_overlapping(self) -> None:
        found = self.mistakes(
            """
            [pxe]
            services = tftp
            [subnet:a]
            network = 10.0.0.0/24
            [subnet:b]
            network = 10.0.0.128/25
            [shared-network:nobody]
            """
        )
        self.assertEqual(
            found,
            [
                "pxe.ini:6: [subnet:b] network: 10.0.0.128/25 overlaps 10.0.0.0/24 of [subnet:a]",
                "pxe.ini:7: [shared-network:nobody] no subnet says shared-network = nobody",
            ],
        )
