"""Pools with holes, and networks found by address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.lease import AS_USUAL, LeaseTimes, Links, Network, Pool

numbers = st.integers(0, 40)


def pool(a: int, b: int) -> Pool:
    """Return a small pool."""
    base = int(IPv4Address("10.0.0.0"))
    return Pool(IPv4Address(base + min(a, b)), IPv4Address(base + max(a, b)))


class PoolTests(SynchronousTestCase):
    @given(numbers, numbers, numbers, numbers)
    def test_without_a_hole(self, a: int, b: int, c: int, d: int) -> None:
        whole, hole = pool(a, b), pool(c, d)
        left = [address for part in whole.without(hole) for address in part]
        self.assertEqual(left, [each for each in whole if each not in hole])


class LinkTests(SynchronousTestCase):
    @given(
        st.dictionaries(st.integers(0, 30), st.sampled_from(["", "hall", "yard"]), max_size=12),
        st.integers(0, 32 * 8 - 1),
    )
    def test_by_address(self, places: dict[int, str], number: int) -> None:
        base = int(IPv4Address("10.0.0.0"))
        networks = [
            Network(str(place), IPv4Network((base + place * 8, 29)), shared=shared)
            for place, shared in places.items()
        ]
        address = IPv4Address(base + number)
        found = Links(networks).at(address)
        here = [each for each in networks if address in each.network]
        self.assertEqual(list(found[:1]), here)
        beside = {each.name for each in networks if here and each.shared == here[0].shared != ""}
        self.assertEqual({each.name for each in found}, beside or {each.name for each in here})


class TimeTests(SynchronousTestCase):
    def test_over(self) -> None:
        """What is said counts, what is not said is the other's; zero seconds would be said."""
        ours, theirs = LeaseTimes(1, None, 0, None), LeaseTimes(5, 6, 7, None)
        self.assertEqual(ours.over(theirs), LeaseTimes(1, 6, 0, None))
        self.assertEqual(AS_USUAL.over(theirs), theirs)
