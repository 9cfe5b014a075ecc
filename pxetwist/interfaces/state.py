"""What is kept: leases, orders, notes, and which secrets were given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

from twisted.application.service import IService
from zope.interface import Interface

from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network
from pxetwist.model.order import Order, Taker, Terms


class ILeaseStore(Interface):
    """Keeps who holds which address. Times are seconds since the epoch."""

    async def offer(
        identity: ClientIdentity,
        network: Network,
        wanted: IPv4Address | IPv6Address | None,
        reserved: IPv4Address | IPv6Address | None,
        avoid: Collection[IPv4Address | IPv6Address],
        now: float,
    ) -> Lease | None:
        """Hold an address for this client for a minute and return it; `None`: the pool is empty.

        In this order (RFC 2131 §4.3.1): `reserved` if given, the client's current or former
        address, `wanted` if free, the longest unused one. `avoid` is never given from a pool.
        """

    async def commit(lease: Lease, now: float) -> Lease:
        """Store a lease; it is durable when this returns, and only then may be acknowledged. It
        may be stored for an eighth of its time longer, up to an hour.

        :raises LeaseConflict: if somebody else holds the address by now.
        :raises StateUnavailable: if it cannot be stored.
        """

    async def release(
        address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """End the lease if this client holds it, and remember it for its return."""

    async def decline(
        address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """Keep an address out of use for a day: the client found it taken (RFC 2131 §4.3.3)."""

    async def held(identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return the offer or lease of this client in this network, if it has not ended."""

    async def holder(address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return the offer or lease of an address, if it has not ended."""

    def leases() -> Iterable[Lease]:
        """Return every record, in the order of addresses."""


class IAtHand(Interface):
    """May be provided by a lease store as well: it has leases in memory, and stores them while
    others are answered.
    """

    def present(identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what `held` does, if that is known at once; else `None`."""

    def lasts(record: Lease, ends: float, now: float) -> bool:
        """Whether what `present` returned is a lease that is durable until `ends`, or not much
        longer: it may be acknowledged as it is.
        """

    def keep(lease: Lease, now: float, then: Callable[[Exception | None], None]) -> None:
        """Store a lease, as `commit` does; call `then`, which raises nothing, once it is durable,
        or with the exception that `commit` would raise: maybe before this returns.
        """


class ILeaseReader(IService):
    """Reads leases that another process gives; what it keeps as notes (`INotes`) all know."""

    async def holder(address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return the lease of an address, if it has not ended; `None` if that cannot be told."""


class ISharesLeases(Interface):
    """May be provided by a state as well: processes beside the server can read its leases."""

    def reader() -> ILeaseReader:
        """Return what reads them; the store itself is not started there."""


class INotes(Interface):
    """May be provided by a state as well: keeps short texts that parts of the server have learned.

    :raises StateUnavailable: each method, if it cannot be asked or cannot store.
    """

    async def recall(topic: str) -> Mapping[str, str]:
        """Return all notes of a topic by their keys, the oldest first."""

    async def remember(topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        """Keep notes, in the place of former ones with the same keys; beyond `limit` of a topic
        the oldest are forgotten.
        """


class IOrderStore(Interface):
    """Keeps what machines are to boot once. Times are seconds since the epoch.

    What a method returns as changed is durable. Several servers may share one store.

    :raises StateUnavailable: each method, if the store cannot be asked or cannot store.
    """

    async def find(machines: Collection[str], now: float) -> Sequence[Order]:
        """Return the last order of each of these names and MACs, and the last one for each of
        their labels, as they were at most one second ago.
        """

    def edition() -> int | None:
        """Return a number which is another one as soon as `find` may answer otherwise; `None`:
        that cannot be told without asking it.
        """

    async def add(order: Order, names: Collection[str] = ()) -> Order:
        """Store a new order and return it with its number. `names` are others of its machine.

        :raises OrderConflict: if its machine has one that is not at its end, by any name.
        """

    async def take(order: Order, taker: Taker, terms: Terms, now: float) -> Order | None:
        """Hand an order to a boot; one without a number is stored first, unless its label has
        been. `None`: this boot may not have it, for instance because another one was quicker.
        """

    async def report(taker: Taker, word: str, text: str, now: float) -> Order | None:
        """Note what a boot says of the order that it took last; `None`: it took none."""

    async def abandon(order: Order, taker: Taker, terms: Terms, now: float) -> Order:
        """Note that the machine of a taken order starts anew, and return what the order is now."""

    async def sweep(now: float) -> Sequence[Order]:
        """Return the orders whose time was over, and that nobody else has ended before."""


class IRedemptions(Interface):
    """Keeps which secret answers were given, so that each is given once.

    :raises StateUnavailable: each method, if that cannot be stored.
    """

    async def claim(name: str, now: float) -> bool | None:
        """Note that something is given, durably, and return whether it is for a second time: it
        did not arrive, and that is not long ago. `None`: it must not be given. While somebody
        is being given the same, this waits for the end of that.
        """

    async def settle(name: str, *, whole: bool) -> None:
        """Note how it ended, and let those go on who wait: `whole`, if all of it has arrived."""
