"""Addresses: networks, their pools, and who holds what until when."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
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

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __iter__(self) -> Iterator[IPv4Address | IPv6Address]:
        return (address_of(n) for n in range(int(self.first), int(self.last) + 1))


@attrs.frozen
class Network:
    """One IP network that we serve: what its clients are told.

    `lease_time` is in seconds. `options` are further DHCP options, by number, as raw values.
    `authoritative` means that no other DHCP server lives here, so strangers may be refused.
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

    def in_pool(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the address may be given to anyone."""
        return any(address in pool for pool in self.pools)


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
