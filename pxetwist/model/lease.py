"""Addresses: networks, their pools, and who holds what until when."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

import attrs


@attrs.frozen
class Pool:
    """A range of addresses to give, both ends included."""

    first: IPv4Address
    last: IPv4Address

    def __contains__(self, address: object) -> bool:
        return isinstance(address, IPv4Address) and self.first <= address <= self.last

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __iter__(self) -> Iterator[IPv4Address]:
        return (IPv4Address(n) for n in range(int(self.first), int(self.last) + 1))


@attrs.frozen
class Network:
    """One IP network that we serve: what its clients are told.

    `lease_time` is in seconds. `options` are further DHCP options, by number, as raw values.
    `authoritative` means that no other DHCP server lives here, so strangers may be refused.
    """

    name: str
    network: IPv4Network
    pools: tuple[Pool, ...] = ()
    routers: tuple[IPv4Address, ...] = ()
    name_servers: tuple[IPv4Address, ...] = ()
    time_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    lease_time: int = 3600
    authoritative: bool = False
    options: Mapping[int, bytes] = attrs.field(factory=dict)

    def in_pool(self, address: IPv4Address) -> bool:
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

    address: IPv4Address
    key: str
    ends: float
    network: str = ""
    hostname: str = ""
    state: LeaseState = LeaseState.OFFERED
