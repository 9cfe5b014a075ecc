"""How many addresses may be held for clients that nobody knows and that have not taken them."""

from __future__ import annotations

from collections import OrderedDict

from pxetwist.model.lease import Network

#: An offer is held for a minute (ILeaseStore), and no more offers than this in one network.
HELD_FOR, MOST = 60.0, 4096


class Strangers:
    """Counts the offers made to strangers, so that a flood leaves half of each pool to others.

    A client that takes its offer is none any more, and neither is one that a directory or the
    leases know: their offers are not counted.
    """

    def __init__(self) -> None:
        self._offers: dict[str, OrderedDict[str, float]] = {}  # until when, by network and client

    def admits(self, key: str, network: Network, now: float) -> bool:
        """Whether this stranger may be offered an address now; it counts from now on then."""
        offers = self._offers.setdefault(network.name, OrderedDict())
        while offers and next(iter(offers.values())) <= now:
            offers.popitem(last=False)
        if key not in offers and len(offers) >= _most(network):
            return False
        offers[key] = now + HELD_FOR
        offers.move_to_end(key)
        return True

    def counts(self, key: str, network: str) -> bool:
        """Whether an offer made to a client is counted."""
        return key in self._offers.get(network, ())

    def took(self, key: str, network: str) -> None:
        """Note that a client has taken what it was offered."""
        if network in self._offers:
            self._offers[network].pop(key, None)


def _most(network: Network) -> int:
    return min(MOST, max(1, _size(network) // 2))


def _size(network: Network) -> int:
    return sum(int(pool.last) - int(pool.first) + 1 for pool in network.pools)
