"""``[subnet6:NAME]``: what it becomes, and what is wrong in it."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from pxetwist.model.lease import Pool
from pxetwist.model.network6 import Network6
from tests.unit.config.inis import IniCase

HEAD = """
[pxe]
services = dhcp6
state = memory
[subnet6:lab]
network = fd77::/64
"""


class SubnetTests(IniCase):
    def test_everything(self) -> None:
        found = self.load(
            HEAD
            + """
pool = fd77::100 - fd77::1ff, fd77::9
name-servers = fd77::1
domain = lab.example, example
time-servers = fd77::2
lease-time = 2h
preference = 255
rapid-commit = yes
solicit-max = 1h
option.boot-file-parameters = hex:00 02 31 30
option.224 = text
advertise = yes
slaac = yes
router = yes
"""
        ).networks6["lab"]
        expected = Network6(
            "lab",
            IPv6Network("fd77::/64"),
            (
                Pool(IPv6Address("fd77::100"), IPv6Address("fd77::1ff")),
                Pool(IPv6Address("fd77::9"), IPv6Address("fd77::9")),
            ),
            name_servers=(IPv6Address("fd77::1"),),
            search=("lab.example", "example"),
            time_servers=(IPv6Address("fd77::2"),),
            lifetime=7200,
            preference=255,
            rapid_commit=True,
            solicit_max=3600,
            options={60: b"\0\x0210", 224: b"text"},
            advertise=True,
            managed=True,
            slaac=True,
            router=True,
        )
        self.assertEqual(found, expected)

    def test_hosts_are_sent_to_dhcp_for_addresses_if_there_is_a_pool(self) -> None:
        advertise = HEAD + "advertise = yes\n"
        self.assertFalse(self.load(advertise).networks6["lab"].managed)
        managed = self.load(advertise + "managed = yes\n")
        self.assertTrue(managed.networks6["lab"].managed)

    def test_mistakes(self) -> None:
        for line, wanted in (
            ("pool = fd78::1 - fd78::2", "is not in fd77::/64"),
            ("pool = 10.0.0.1", "expected a pool like fd00::100"),
            ("name-servers = 10.0.0.1", "an IPv6 address"),
            ("domain = a..b", "a domain like lab.example"),
            ("solicit-max = 5s", "expected 1m to 1d"),
            ("slaac = yes", "no effect without advertise"),
            ("option.boot-file-ulr = x", "did you mean 'boot-file-url'"),
            ("option.13 = x", "that the server makes itself"),
            ("option.name-servers = fd77::1", "it is no text, got 'fd77::1'; mend: name-servers"),
            ("option.60 = x", "expected bytes like hex:0a0b"),
            ("option.224 = hex:zz", "expected hexadecimal bytes like 01:0a:ff, got 'zz'"),
            ("option.224 =", "expected text, or bytes like hex:0a0b, got nothing"),
            ("lease-time = 0", "expected a duration"),
            ("lease-time = 99999999999", "expected a duration"),
            ("[subnet6:b]\nnetwork = fd77::/48", "fd77::/48 overlaps fd77::/64 of [subnet6:lab]"),
            ("[subnet6:b]\nnetwork = fe80::/64", "machines have no addresses of it"),
            ("[subnet6:b]\nnetwork = fd78::", "say how large it is"),
        ):
            [mistake] = self.mistakes(f"{HEAD}{line}\n")
            self.assertIn(wanted, mistake)
            last = len(f"{HEAD}{line}".strip().splitlines())
            self.assertIn(f"pxe.ini:{last}: [subnet6:", mistake)
        self.assertEqual(
            self.load(f"{HEAD}option.23 = hex:{'0' * 32}\n").networks6["lab"].options,
            {23: bytes(16)},
        )
        [mistake] = self.mistakes(HEAD.replace("/64", "/48") + "slaac = yes\nadvertise = yes\n")
        self.assertIn("/64", mistake)

    def test_the_same_name_as_a_subnet(self) -> None:
        """Their leases are not mixed up."""
        found = self.load(HEAD + "[subnet:lab]\nnetwork = 10.0.0.0/24\n")
        self.assertNotEqual(found.networks6["lab"].leases.name, found.networks["lab"].name)
