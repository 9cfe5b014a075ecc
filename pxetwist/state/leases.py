"""Who holds which address: the rules of every lease store, in memory and without a clock."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

import attrs

from pxetwist.errors import LeaseConflict
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState, Network, address_of
from pxetwist.state.pool import HOLD, FreeAddresses
from pxetwist.state.unclaimed import Unclaimed

#: How long a declined address stays out of use, in seconds.
DECLINED_FOR = 86400.0
#: A lease may be stored for so much of its time longer than it is promised, up to so many seconds:
#: who asks again within that time, as each stage of a boot does, costs no write.
SPARE, MOST_SPARE = 1 / 8, 3600.0

_HELD = (LeaseState.OFFERED, LeaseState.LEASED)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make many objects that stay, without the collector walking through them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def spare(seconds: float) -> float:
    """Return for how long (seconds) beyond its end a lease of so many seconds may be stored."""
    return min(max(seconds, 0.0) * SPARE, MOST_SPARE)


def held_by(record: Lease) -> str:
    """Say in words who has an address."""
    return "out of use" if record.state is LeaseState.DECLINED else f"held by {record.key}"


class LeaseTable:
    """All records by address, and the address of each client in each network.

    A record whose end has passed is free, but remembered for the return of its client. A client
    holds at most one address that counts in a network; one it was moved away from runs out.
    """

    def __init__(self, records: Iterable[Lease] = (), *, in_order: bool = False) -> None:
        """Begin with records; `in_order` if those that end first come first."""
        self._records: dict[int, Lease] = {}
        self._clients: dict[str, dict[str, int]] = {}  # by network: no pair for each client
        self._left: dict[tuple[str, str], set[int]] = {}  # what moved clients still hold
        self._free: dict[str, FreeAddresses] = {}
        self._unclaimed: dict[str, Unclaimed] = {}
        ordered = records if in_order else sorted(records, key=lambda record: record.ends)
        with _uncollected():
            for record in ordered:
                self.put(record)

    def offer(  # noqa: PLR0917  # as in the interface
        self,
        identity: ClientIdentity,
        network: Network,
        wanted: IPv4Address | IPv6Address | None,
        reserved: IPv4Address | IPv6Address | None,
        avoid: Collection[IPv4Address | IPv6Address],
        now: float,
    ) -> Lease | None:
        """Hold an address for a client, as :meth:`ILeaseStore.offer` says.

        A reservation counts in its own network only. While another client still holds the
        reserved address, or has declined it, the machine gets one from the pools meanwhile.
        Nobody is offered an address of `avoid` again, not even the one who holds it: he may
        renew until he asks anew. A client without any identity gets nothing.
        """
        key = identity.key
        if not key:
            return None
        number = None
        if reserved is not None and reserved in network.network:
            number = int(reserved) if self._free_for(int(reserved), key, now) else None
        if number is None:
            number = self._from_pools(key, network, wanted, avoid, now)
        if number is None:
            return None
        record, ends = self._records.get(number), now + HOLD
        if record is not None and record.state is LeaseState.LEASED and record.ends > now:
            return self._offered_again(record, network, ends)
        address = address_of(number) if record is None else record.address
        lease = Lease(address, key, ends, network.name, identity.hostname)
        self.put(lease)
        self._unclaimed_in(network).add(number)
        return lease

    def _offered_again(self, record: Lease, network: Network, ends: float) -> Lease:
        """Hold what a client has leased until it has taken it up."""
        number = int(record.address)
        if record.ends >= ends and self._client(network.name, record.key) == number:
            return record
        lease = attrs.evolve(record, network=network.name, ends=max(record.ends, ends))
        self.put(lease)
        return lease

    def commit(self, lease: Lease, now: float) -> Lease:
        """Turn an offer into a lease until `lease.ends`, or renew one.

        :raises LeaseConflict: if the address is not free for this client.
        """
        if not self._free_for(int(lease.address), lease.key, now):
            raise LeaseConflict(f"{lease.address} is not free for {lease.key}")
        if lease.state is not LeaseState.LEASED:
            lease = attrs.evolve(lease, state=LeaseState.LEASED)
        self.put(lease)
        return lease

    def same(self, lease: Lease) -> Lease | None:
        """Return the record that says the same as a lease, but for its end."""
        number = int(lease.address)
        record = self._records.get(number)
        if (
            record is None
            or record.key != lease.key
            or record.state is not LeaseState.LEASED
            or record.hostname != lease.hostname
            or record.network != lease.network
            or self._client(record.network, record.key) != number
        ):
            return None
        return record

    def release(self, address: IPv4Address | IPv6Address, key: str, now: float) -> Lease | None:
        """End what this client holds and return the new record; `None` if it does not hold it."""
        return self._end(address, key, now, now, LeaseState.RELEASED)

    def decline(self, address: IPv4Address | IPv6Address, key: str, now: float) -> Lease | None:
        """Put an address out of use and return the new record; `None` if it is not this one's."""
        return self._end(address, key, now, now + DECLINED_FOR, LeaseState.DECLINED)

    def held(self, key: str, network: Network, now: float) -> Lease | None:
        """Return the offer or lease of a client in a network."""
        number = self._client(network.name, key)
        return None if number is None else self._active(number, now)

    def holder(self, address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return the offer or lease of an address."""
        return self._active(int(address), now)

    def remembers(self, key: str) -> bool:
        """Return whether a client has or had a lease in any network, more than an offer."""
        for clients in self._clients.values():
            number = clients.get(key)
            if number is not None and self._records[number].state is not LeaseState.OFFERED:
                return True
        return False

    def knows(self, key: str, network: Network) -> bool:
        """Return whether this client has or had anything in a network, be it an offer."""
        return self._client(network.name, key) is not None

    def leases(self) -> Iterable[Lease]:
        """Return every record, in the order of addresses."""
        return [self._records[number] for number in sorted(self._records)]

    def get(self, address: IPv4Address | IPv6Address) -> Lease | None:
        """Return the record of an address, whatever its state."""
        return self._records.get(int(address))

    def put(self, record: Lease) -> None:
        """Set the record of an address."""
        number = int(record.address)
        before = self._records.get(number)
        if before is not None and record.ends < before.ends:
            for free in self._free.values():
                free.hasten(number, record.ends)
        self._records[number] = record
        if record.state is not LeaseState.OFFERED and record.network in self._unclaimed:
            self._unclaimed[record.network].discard(number)
        if (
            before is not None
            and before.key == record.key
            and before.network == record.network
            and record.state in _HELD
            and self._client(record.network, record.key) == number
        ):
            return  # it is who had it
        if before is not None:
            self._leave(before, number)
        clients = self._clients.get(record.network)
        if clients is None:
            clients = self._clients[record.network] = {}
        if record.state in _HELD or (
            record.state is LeaseState.RELEASED and record.key not in clients
        ):
            moved_from = clients.get(record.key, number)
            if moved_from != number:
                self._left.setdefault((record.network, record.key), set()).add(moved_from)
            clients[record.key] = number

    def forget(self, before: float) -> None:
        """Forget all records that ended before that moment."""
        old = [number for number, record in self._records.items() if record.ends < before]
        for number in old:
            record = self._records.pop(number)
            self._leave(record, number)
            if record.network in self._unclaimed:
                self._unclaimed[record.network].discard(number)

    def apply(self, wish: Lease, now: float) -> Lease:
        """Do what an administrator wants: give an address to a client, or take it back from
        whoever has it. Return the new record.

        :raises LeaseConflict: if the address is another one's, or there is nothing to take back.
        """
        present = self._records.get(int(wish.address))
        active = present is not None and present.ends > now
        if wish.state is LeaseState.RELEASED:
            if present is None or not active:
                raise LeaseConflict(f"nobody holds {wish.address}")
            record = attrs.evolve(present, ends=now, state=LeaseState.RELEASED)
        elif present is not None and not self._free_for(int(wish.address), wish.key, now):
            raise LeaseConflict(f"{wish.address} is {held_by(present)}")
        else:
            ends = max(present.ends, wish.ends) if present is not None and active else wish.ends
            record = attrs.evolve(wish, ends=ends)
        self.put(record)
        return record

    def _client(self, network: str, key: str) -> int | None:
        clients = self._clients.get(network)
        return None if clients is None else clients.get(key)

    def _leave(self, record: Lease, number: int) -> None:
        """Let a client have nothing to do with a record any more."""
        if self._client(record.network, record.key) == number:
            del self._clients[record.network][record.key]
        self._forget_left((record.network, record.key), number)

    def _forget_left(self, client: tuple[str, str], number: int) -> None:
        left = self._left.get(client)
        if left is not None:
            left.discard(number)
            if not left:
                del self._left[client]

    def _from_pools(
        self,
        key: str,
        network: Network,
        wanted: IPv4Address | IPv6Address | None,
        avoid: Collection[IPv4Address | IPv6Address],
        now: float,
    ) -> int | None:
        free = self._free_in(network)
        former = self._client(network.name, key)
        left: Collection[int] = self._left.get((network.name, key), ()) if self._left else ()
        for number in (former, None if wanted is None else int(wanted), *left):
            if (
                number is not None
                and number in free
                and self._free_for(number, key, now)
                and self._address(number) not in avoid
            ):
                return number
        spare = self._unclaimed_in(network).spare(
            lambda number: (
                number in free
                and self._free_for(number, key, now)
                and address_of(number) not in avoid
            )
        )
        return free.choose(key, avoid, now) if spare is None else spare

    def _address(self, number: int) -> IPv4Address | IPv6Address:
        record = self._records.get(number)
        return address_of(number) if record is None else record.address

    def _unclaimed_in(self, network: Network) -> Unclaimed:
        return self._unclaimed.setdefault(network.name, Unclaimed())

    def _free_in(self, network: Network) -> FreeAddresses:
        free = self._free.get(network.name)
        if free is None or free.pools != network.pools:
            free = self._free[network.name] = FreeAddresses(network.pools, self._records)
        return free

    def _free_for(self, number: int, key: str, now: float) -> bool:
        record = self._records.get(number)
        if record is None or record.ends <= now:
            return True
        return record.key == key and record.state in _HELD

    def _active(self, number: int, now: float) -> Lease | None:
        record = self._records.get(number)
        if record is None or record.ends <= now or record.state not in _HELD:
            return None
        return record

    def _end(
        self,
        address: IPv4Address | IPv6Address,
        key: str,
        now: float,
        ends: float,
        state: LeaseState,
    ) -> Lease | None:
        record = self._active(int(address), now)
        if record is None or record.key != key:
            return None
        ended = attrs.evolve(record, ends=ends, state=state)
        self.put(ended)
        return ended
