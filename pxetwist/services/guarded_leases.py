"""A lease store behind a guard: what must hold whichever plugin keeps the leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address

from zope.interface import implementer

from pxetwist.interfaces import IBoot, ICounts, ILeaseStore, IRemembers
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network
from pxetwist.services.strangers import Strangers

_Address = IPv4Address | IPv6Address


@implementer(ICounts, ILeaseStore, IRemembers)
class GuardedLeases:
    """Leaves part of each pool to known machines. All else is up to the store."""

    def __init__(self, store: ILeaseStore, boot: IBoot) -> None:
        self.counters: Counter[str] = Counter()
        self.store = store
        self._boot = boot
        self._memory = IRemembers(store) if IRemembers.providedBy(store) else None
        self._strangers = Strangers()

    async def offer(  # noqa: PLR0917  # as in the interface
        self,
        identity: ClientIdentity,
        network: Network,
        wanted: _Address | None,
        reserved: _Address | None,
        avoid: Collection[_Address],
        now: float,
    ) -> Lease | None:
        """Hold an address, unless too many are held for strangers and this is one."""
        key = identity.key
        if (
            key
            and reserved is None
            and not self._boot.remembers(key)
            and not self._strangers.admits(key, network, now)
        ):
            self.counters["strangers refused"] += 1
            return None
        return await self.store.offer(identity, network, wanted, reserved, avoid, now)

    async def commit(self, lease: Lease, now: float) -> Lease:
        """Store a lease."""
        stored = await self.store.commit(lease, now)
        self._strangers.took(lease.key, lease.network)
        return stored

    async def release(self, address: _Address, identity: ClientIdentity, now: float) -> bool:
        """End a lease."""
        return await self.store.release(address, identity, now)

    async def decline(self, address: _Address, identity: ClientIdentity, now: float) -> bool:
        """Put an address out of use."""
        return await self.store.decline(address, identity, now)

    async def held(self, identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what this client holds in this network."""
        return await self.store.held(identity, network, now)

    async def holder(self, address: _Address, now: float) -> Lease | None:
        """Return who holds this address."""
        return await self.store.holder(address, now)

    def remembers(self, mac: str) -> bool:
        """Ask the store, if it can tell."""
        return self._memory is not None and self._memory.remembers(mac)

    def counts(self) -> Mapping[str, int]:
        """Return how often the guard said no."""
        return self.counters

    def leases(self) -> Iterable[Lease]:
        """Return every record."""
        return self.store.leases()
