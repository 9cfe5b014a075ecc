"""Leases in memory: for tests, for networks with reservations only, and for ProxyDHCP."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address

import attrs
from zope.interface import implementer

from pxetwist.errors import LeaseConflict
from pxetwist.interfaces import IAtHand, ILeaseStore, INotes, IRemembers, Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network
from pxetwist.state.leases import LeaseTable
from pxetwist.state.notes import DatabaseNotes, MemoryNotes


@attrs.frozen
class Settings:
    """Nothing to set: leases are forgotten when the server stops."""


@implementer(IAtHand, ILeaseStore, INotes, IRemembers)
class MemoryLeases:
    """A lease store that forgets everything when the server stops."""

    def __init__(self, notes: MemoryNotes | DatabaseNotes | None = None) -> None:
        self._table = LeaseTable()
        self._notes = notes or MemoryNotes()

    async def offer(  # noqa: PLR0917  # as in the interface
        self,
        identity: ClientIdentity,
        network: Network,
        wanted: IPv4Address | IPv6Address | None,
        reserved: IPv4Address | IPv6Address | None,
        avoid: Collection[IPv4Address | IPv6Address],
        now: float,
    ) -> Lease | None:
        """Hold an address; see :meth:`LeaseTable.offer`."""
        return self._table.offer(identity, network, wanted, reserved, avoid, now)

    async def commit(self, lease: Lease, now: float) -> Lease:
        """Turn an offer into a lease, as long as this process lives."""
        return self._table.commit(lease, now)

    def lasts(self, record: Lease, ends: float, now: float) -> bool:
        """Leases are made anew each time: that costs no more."""
        return False

    def keep(self, lease: Lease, now: float, then: Callable[[Exception | None], None]) -> None:
        """Turn an offer into a lease; what comes of it is known at once."""
        try:
            self._table.commit(lease, now)
        except LeaseConflict as conflict:
            then(conflict)
        else:
            then(None)

    async def release(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """End a lease."""
        return self._table.release(address, identity.key, now) is not None

    async def decline(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """Put an address out of use for a day."""
        return self._table.decline(address, identity.key, now) is not None

    async def held(self, identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what this client holds in this network."""
        return self._table.held(identity.key, network, now)

    def present(self, identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what this client holds in this network, as far as this process knows."""
        return self._table.held(identity.key, network, now)

    async def holder(self, address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return who holds this address."""
        return self._table.holder(address, now)

    def remembers(self, mac: str) -> bool:
        """Return whether a client of this MAC has or had a lease."""
        return self._table.remembers(mac)

    async def recall(self, topic: str) -> Mapping[str, str]:
        """Return the notes of a topic."""
        return await self._notes.recall(topic)

    async def remember(self, topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        """Keep notes."""
        await self._notes.remember(topic, notes, limit, now)

    def leases(self) -> Iterable[Lease]:
        """Return every record, in the order of addresses."""
        return self._table.leases()


def build(settings: Settings, site: Site) -> MemoryLeases:
    """Make the store."""
    return MemoryLeases()
