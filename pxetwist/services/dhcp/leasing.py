"""Which address a client gets, of all networks on its wire."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

import attrs

from pxetwist.interfaces import IBoot
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState, Network
from pxetwist.model.machine import Machine

#: A lease, and the network that it is in.
Found = tuple[Network, Lease]


@attrs.frozen
class _Avoided(Collection[IPv4Address | IPv6Address]):
    """One address, and others that may be many."""

    _one: IPv4Address
    _others: Collection[IPv4Address | IPv6Address]

    def __contains__(self, address: object) -> bool:
        return address == self._one or address in self._others

    def __iter__(self) -> Iterator[IPv4Address | IPv6Address]:
        return chain((self._one,), self._others)

    def __len__(self) -> int:
        return 1 + len(self._others)


@attrs.frozen
class Client:
    """Who asks, on which wire: the network of arrival first, then those beside it. `server` is
    our address there, which is nobody else's.
    """

    identity: ClientIdentity
    machine: Machine | None
    link: Sequence[Network]
    server: IPv4Address

    @property
    def reserved(self) -> IPv4Address | None:
        """The machine's reservation, if it counts here."""
        address = self.machine.address if self.machine else None
        return address if address and self.network_of(address) else None

    def network_of(self, address: IPv4Address | None) -> Network | None:
        """Return the network of this wire that contains an address."""
        if address is None:
            return None
        return next((each for each in self.link if address in each.network), None)


class Leasing:
    """Asks the lease store on behalf of the rules."""

    def __init__(self, boot: IBoot) -> None:
        self._boot = boot

    async def offer(self, client: Client, wanted: IPv4Address | None, now: float) -> Found | None:
        """Hold an address: the reserved one, the client's own, the one it wants, else one of the
        first network that has room.
        """
        reserved = client.reserved or await self._once_reserved(client, now)
        avoid = _Avoided(client.server, self._boot.reserved_addresses())
        for network in await self._by_preference(client, wanted, now):
            lease = await self._boot.leases.offer(
                client.identity,
                network,
                wanted if wanted and wanted in network.network else None,
                reserved if reserved and reserved in network.network else None,
                avoid,
                now,
            )
            if lease is not None:
                return network, lease
        return None

    async def _by_preference(
        self, client: Client, wanted: IPv4Address | None, now: float
    ) -> Sequence[Network]:
        if len(client.link) == 1:
            return client.link
        held = await self.held(client, now)
        first = (
            client.network_of(client.reserved),
            held[0] if held else None,
            client.network_of(wanted),
        )
        names = [each.name for each in first if each]
        names += [each.name for each in client.link]
        return sorted(client.link, key=lambda each: names.index(each.name))

    async def _once_reserved(self, client: Client, now: float) -> IPv4Address | None:
        """Return a leased address beyond the pools of a client that nobody knows any more: systems
        do not tell the UUID or port by which a directory knew the firmware before them.
        """
        found = await self.held(client, now) if client.machine is None else None
        if found is None:
            return None
        network, lease = found
        address = lease.address
        theirs = lease.state is LeaseState.LEASED and not network.in_pool(address)
        return address if theirs and isinstance(address, IPv4Address) else None

    async def held(self, client: Client, now: float) -> Found | None:
        """Return what the client holds, in whichever network of its wire."""
        for network in client.link:
            lease = await self._boot.leases.held(client.identity, network, now)
            if lease is not None:
                return network, lease
        return None

    async def knows(self, client: Client, wanted: IPv4Address, now: float) -> bool:
        """Whether this client has a lease of ours, though it may not have this address here."""
        found = await self.held(client, now)
        if found is not None and found[1].state is LeaseState.LEASED:
            return True
        lease = await self._boot.leases.holder(wanted, now)
        if lease is None or lease.key != client.identity.key:
            return False
        return lease.state is LeaseState.LEASED
