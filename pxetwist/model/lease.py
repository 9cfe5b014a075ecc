"""Addresses: networks, their pools, and who holds what until when."""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs

#: One past the last IPv4 address, as a number; no IPv6 address that is given to anyone is below.
_BEYOND_IPV4 = 1 << 32


def address_of(number: int) -> IPv4Address | IPv6Address:
    """Return the address of a number; those below 2**32 are IPv4's."""
    return IPv4Address(number) if number < _BEYOND_IPV4 else IPv6Address(number)


@attrs.frozen
class Pool:
    """A range of addresses to give, both ends included."""

    first: IPv4Address | IPv6Address
    last: IPv4Address | IPv6Address

    def __contains__(self, address: object) -> bool:
        return type(address) is type(self.first) and int(self.first) <= int(address) <= int(
            self.last
        )

    def __str__(self) -> str:
        return f"{self.first} - {self.last}" if self.first != self.last else str(self.first)

    def without(self, hole: Pool) -> Iterator[Pool]:
        """Yield what is left of it around a hole."""
        first, last = int(self.first), int(self.last)
        before, after = int(hole.first) - 1, int(hole.last) + 1
        if after <= first or before >= last:
            yield self
            return
        if first <= before:
            yield Pool(self.first, address_of(before))
        if after <= last:
            yield Pool(address_of(after), self.last)

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __iter__(self) -> Iterator[IPv4Address | IPv6Address]:
        return (address_of(n) for n in range(int(self.first), int(self.last) + 1))


@attrs.frozen(eq=False)
class Layer:
    """DHCP options that one place says: by number, as raw values.

    `origin` names the place for people. Those in `always` are sent to clients that did not ask
    for them as well. `next_server` is for those who boot from elsewhere. `mistakes` are what
    stands there and could not be taken over.
    """

    origin: str
    options: Mapping[int, bytes] = attrs.field(factory=dict)
    always: frozenset[int] = frozenset()
    next_server: IPv4Address | None = None
    mistakes: tuple[str, ...] = ()


@attrs.frozen
class LeaseTimes:
    """How long leases last, in seconds; `None` leaves it to others.

    `normal` holds if the client has no wish, or only this one may be had; a wish is heard
    between `shortest` and `longest`. `booting` holds for firmware and loaders.
    """

    normal: int | None = None
    shortest: int | None = None
    longest: int | None = None
    booting: int | None = None

    def over(self, other: LeaseTimes) -> LeaseTimes:
        """Complete these with what others say."""
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return LeaseTimes(*(theirs if ours is None else ours for ours, theirs in pairs))


#: Nothing is said of how long leases last.
AS_USUAL = LeaseTimes()


@attrs.frozen
class Network:
    """One IP network that we serve: what its clients are told.

    `lease_time` is in seconds; `lease_times` say what else is possible. `options` are further
    DHCP options, by number, as raw values; those in `always` are sent unasked. Networks with the
    same `shared` name lie on one wire, and `inherited` is what they say together.
    `authoritative` means that no other DHCP server lives here, so strangers may be refused.
    `rapid_commit` lets clients skip half of the exchange (RFC 4039); `dynamic_bootp` gives
    BOOTP clients addresses of the pools, for ever. With `conflict_check` an address is offered
    after a look whether somebody has it already.
    """

    name: str
    network: IPv4Network | IPv6Network
    pools: tuple[Pool, ...] = ()
    routers: tuple[IPv4Address, ...] = ()
    name_servers: tuple[IPv4Address, ...] = ()
    time_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    lease_time: int = 3600
    authoritative: bool = False
    options: Mapping[int, bytes] = attrs.field(factory=dict)
    always: frozenset[int] = frozenset()
    next_server: IPv4Address | None = None
    lease_times: LeaseTimes = AS_USUAL
    shared: str = ""
    inherited: Layer | None = None
    rapid_commit: bool = False
    dynamic_bootp: bool = False
    conflict_check: bool = False

    def in_pool(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the address may be given to anyone."""
        return any(address in pool for pool in self.pools)


class Links:
    """The wires that networks lie on: networks that share one are found together."""

    def __init__(self, networks: Iterable[Network]) -> None:
        ordered = sorted(networks, key=lambda each: int(each.network.network_address))
        self._firsts = [int(each.network.network_address) for each in ordered]
        self._links = [
            (one, *(each for each in ordered if one.shared and _beside(one, each)))
            for one in ordered
        ]

    def at(self, address: IPv4Address) -> tuple[Network, ...]:
        """Return the network that contains an address, then those beside it; none: not ours."""
        number = bisect_right(self._firsts, int(address)) - 1
        if number < 0 or address not in self._links[number][0].network:
            return ()
        return self._links[number]


def _beside(one: Network, other: Network) -> bool:
    return one.shared == other.shared and one is not other


class LeaseState(enum.Enum):
    """What an address is doing."""

    OFFERED = "offered"
    LEASED = "leased"
    RELEASED = "released"
    DECLINED = "declined"


@attrs.frozen
class Lease:
    """An address held by a client until `ends` (seconds since the epoch).

    `key` is the client's :attr:`ClientIdentity.key`; `network` the name of the network.
    """

    address: IPv4Address | IPv6Address
    key: str
    ends: float
    network: str = ""
    hostname: str = ""
    state: LeaseState = LeaseState.OFFERED
