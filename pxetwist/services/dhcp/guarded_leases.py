"""A lease store behind a guard: what must hold whichever plugin keeps the leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from types import NoneType
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferredTimeout
from zope.interface import alsoProvides, implementer

from pxetwist.boot.guard import Bugs, within
from pxetwist.errors import PxeError, StateUnavailable
from pxetwist.interfaces import IAtHand, IBoot, ICounts, ILeaseStore, INotes, IRemembers
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network
from pxetwist.services.dhcp.conflicts import BUDGET, ConflictCheck
from pxetwist.services.dhcp.strangers import Strangers

#: So long (seconds) the store may take; those built in give up before.
_PATIENCE = 30.0
#: So many addresses are looked at for one offer, while there is time.
_TRIES = 8

T = TypeVar("T")

_Address = IPv4Address | IPv6Address


@implementer(ICounts, ILeaseStore, INotes, IRemembers)
class GuardedLeases:
    """Leaves part of each pool to known machines, and where a network wants it, offers no address
    that somebody else uses. All else is up to the store.
    """

    def __init__(self, store: ILeaseStore, boot: IBoot, reactor: Any) -> None:
        self.counters: Counter[str] = Counter()
        self._reactor = reactor
        self._bugs = Bugs(reactor)
        self.conflicts = ConflictCheck(reactor, self.counters)
        self.store = store
        self._boot = boot
        self._notes = INotes(store) if INotes.providedBy(store) else None
        self._memory = IRemembers(store) if IRemembers.providedBy(store) else None
        self._strangers = Strangers()
        self._at_hand: Any = store
        if IAtHand.providedBy(store):
            alsoProvides(self, IAtHand)

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
        if not network.conflict_check:
            return await self._asked(
                self.store.offer(identity, network, wanted, reserved, avoid, now), Lease, NoneType
            )
        begun = self._reactor.seconds()
        for _ in range(_TRIES):
            held = await self._asked(self.store.held(identity, network, now), Lease, NoneType)
            lease = await self._asked(
                self.store.offer(identity, network, wanted, reserved, avoid, now), Lease, NoneType
            )
            left = BUDGET - (self._reactor.seconds() - begun)
            if lease is None or left <= 0 or (held and held.address == lease.address):
                return lease
            if not await self._is_taken(lease, identity, now, left):
                return lease
        return None

    async def _is_taken(
        self, lease: Lease, identity: ClientIdentity, now: float, budget: float
    ) -> bool:
        """Look whether somebody else has an address, and put it out of use if so."""
        if not isinstance(lease.address, IPv4Address):
            return False
        who = await self.conflicts.taken_by(lease.address, identity.mac, budget)
        if who is None:
            return False
        self.counters["conflicts"] += 1
        await self._asked(self.store.decline(lease.address, identity, now), bool)
        self._boot.tell(
            BootEvent(
                now,
                EventKind.CONFLICT,
                "dhcp",
                str(identity),
                summary=f"{lease.address} is in use by {who}: it is not given for a day",
                details={"address": str(lease.address), "by": who},
            )
        )
        return True

    async def recall(self, topic: str) -> Mapping[str, str]:
        """Return the notes of a topic; none if the store keeps none."""
        return await self._notes.recall(topic) if self._notes else {}

    async def remember(self, topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        """Keep notes, if the store does."""
        if self._notes:
            await self._notes.remember(topic, notes, limit, now)

    async def commit(self, lease: Lease, now: float) -> Lease:
        """Store a lease."""
        stored = await self._asked(self.store.commit(lease, now), Lease)
        self._strangers.took(lease.key, lease.network)
        return stored

    def present(self, identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what this client holds in this network, if that is known at once."""
        found: Lease | None = self._at_hand.present(identity, network, now)
        return found

    def lasts(self, record: Lease, ends: float, now: float) -> bool:
        """Whether a lease is stored for long enough."""
        lasting: bool = self._at_hand.lasts(record, ends, now)
        return lasting

    def keep(self, lease: Lease, now: float, then: Callable[[Exception | None], None]) -> None:
        """Store a lease without being waited for, if the store can."""
        key, network = lease.key, lease.network
        if not self._strangers.counts(key, network):
            self._at_hand.keep(lease, now, then)
            return

        def ended(error: Exception | None) -> None:
            if error is None:
                self._strangers.took(key, network)
            then(error)

        self._at_hand.keep(lease, now, ended)

    async def release(self, address: _Address, identity: ClientIdentity, now: float) -> bool:
        """End a lease."""
        return await self._asked(self.store.release(address, identity, now), bool)

    async def decline(self, address: _Address, identity: ClientIdentity, now: float) -> bool:
        """Put an address out of use."""
        return await self._asked(self.store.decline(address, identity, now), bool)

    async def held(self, identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what this client holds in this network."""
        return await self._asked(self.store.held(identity, network, now), Lease, NoneType)

    async def holder(self, address: _Address, now: float) -> Lease | None:
        """Return who holds this address."""
        return await self._asked(self.store.holder(address, now), Lease, NoneType)

    def remembers(self, mac: str) -> bool:
        """Ask the store, if it can tell."""
        return self._memory is not None and self._memory.remembers(mac)

    def counts(self) -> Mapping[str, int]:
        """Return how often the guard said no."""
        return self.counters

    async def _asked(self, work: Awaitable[T], *kinds: type) -> T:
        """Await an answer of the store, which must be of one of the kinds.

        :raises StateUnavailable: also if it has a bug, or never answers.
        """
        try:
            answer = await within(_PATIENCE, self._reactor, work)
        except DeferredTimeout:
            raise StateUnavailable(f"the state gave no answer within {_PATIENCE:.0f} s") from None
        except (PxeError, CancelledError):
            raise
        except Exception as error:
            self._bugs.note("state", error)
            raise StateUnavailable(f"the state has a bug: {type(error).__name__}") from error
        if not isinstance(answer, kinds):
            raise StateUnavailable(f"the state has a bug: it returns a {type(answer).__name__}")
        return answer

    def leases(self) -> Iterable[Lease]:
        """Return every record."""
        return self.store.leases()
