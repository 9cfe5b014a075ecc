"""Router advertisements, byte for byte."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.icmp6 import Prefix, RouterAdvertisement, encode_advertisement, is_solicitation

MAC = bytes.fromhex("020000000001")


class AdvertisementTests(SynchronousTestCase):
    def test_flags_and_lifetime(self) -> None:
        plain = encode_advertisement(RouterAdvertisement())
        self.assertEqual(plain.hex(), "86000000" + "40000000" + "00000000" * 2)
        both = RouterAdvertisement(managed=True, other=True, lifetime=1800)
        self.assertEqual(encode_advertisement(both)[4:8].hex(), "40c00708")

    def test_options(self) -> None:
        said = RouterAdvertisement(
            mac=MAC,
            mtu=1500,
            prefixes=(Prefix(IPv6Network("fd77::/64"), valid=7200, preferred=3600),),
            name_servers=(IPv6Address("fd77::1"),),
            search=("lab.example",),
            dns_lifetime=1800,
        )
        wanted = (
            "0101" + MAC.hex(),
            "0501000000" + "0005dc",
            "0304408000001c2000000e1000000000" + IPv6Address("fd77::").packed.hex(),
            "1903000000000708" + IPv6Address("fd77::1").packed.hex(),
            "1f03000000000708" + b"\3lab\7example\0".hex() + "000000",
        )
        self.assertEqual(encode_advertisement(said)[16:].hex(), "".join(wanted))

    def test_autonomous(self) -> None:
        prefix = Prefix(IPv6Network("fd77::/64"), on_link=False, autonomous=True)
        data = encode_advertisement(RouterAdvertisement(prefixes=(prefix,)))
        self.assertEqual(data[19], 0x40)


class SolicitationTests(SynchronousTestCase):
    def test_valid(self) -> None:
        self.assertTrue(is_solicitation(bytes.fromhex("8500abcd00000000")))
        self.assertTrue(is_solicitation(bytes.fromhex("8500abcd000000000101") + MAC))

    def test_others(self) -> None:
        self.assertFalse(is_solicitation(bytes.fromhex("8600abcd00000000")))
        self.assertFalse(is_solicitation(bytes.fromhex("8501abcd00000000")))

    def test_broken(self) -> None:
        for data in ("8500abcd", "8500abcd000000000100000000000000", "8500abcd0000000001"):
            self.assertRaises(WireError, is_solicitation, bytes.fromhex(data))

    @given(st.binary(max_size=60))
    def test_garbage(self, data: bytes) -> None:
        with contextlib.suppress(WireError):
            is_solicitation(data)
