"""The table of leases in PostgreSQL, and its statements.

No lock is held by anybody for longer than one statement.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import attrs

from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.database import PostgresSession, Rows, Schema, Session

SCHEMA = Schema(
    "lease",
    (
        """
        create table pxetwist_lease (
            address inet primary key,
            key text not null,
            network text not null,
            hostname text not null,
            state text not null,
            ends double precision not null,
            since double precision not null,
            node text not null,
            written bigint not null
        );
        create index pxetwist_lease_written on pxetwist_lease (written);
        create index pxetwist_lease_ends on pxetwist_lease (ends)
        """,
    ),
)
_THIS = "pg_current_xact_id()::text::bigint"
#: A record takes the place of one that has ended (if it was released, whatever our clock says), or
#: of what the same client holds; a lease that is there, and lasts for long enough, is not written
#: again.
STORE = f"""
    with new as (
        select * from unnest(
            :addresses::text[]::inet[], :keys::text[], :ends::float8[], :networks::text[],
            :hostnames::text[], :states::text[], :since::float8[], :enough::float8[]
        ) as new (address, key, ends, network, hostname, state, since, enough)
    ), there as (
        select address, old.ends from new join pxetwist_lease as old using (address)
        where old.key = new.key and old.network = new.network and old.hostname = new.hostname
            and old.state = 'leased' and new.state = 'leased'
            and old.ends between new.enough and new.ends
    ), written as (
        insert into pxetwist_lease as old
            (address, key, ends, network, hostname, state, since, node, written)
        select address, key, ends, network, hostname, state, since, :node, {_THIS}
        from new where address not in (select address from there) order by address
        on conflict (address) do update set
            key = excluded.key, ends = excluded.ends, network = excluded.network,
            hostname = excluded.hostname, state = excluded.state, since = excluded.since,
            node = excluded.node, written = excluded.written
        where old.ends <= excluded.since or old.state = 'released'
            or (old.key = excluded.key and old.state in ('offered', 'leased'))
        returning address
    )
    select host(address), ends from there union all select host(address), null from written
"""
#: One that is taken over from another server never ends earlier than what its client has here.
TAKE_OVER = STORE.replace("ends = excluded.ends", "ends = greatest(old.ends, excluded.ends)")
#: An administrator takes an address back from whoever has it, or puts it into use again.
RELEASE = f"""
    update pxetwist_lease set ends = :now, state = 'released', node = :node, written = {_THIS}
    where address = :address::text::inet and ends > :now returning address
"""
NEWS = """
    with now as (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon)
    select now.horizon, host(address), key, ends, network, hostname, state
    from now left join pxetwist_lease on written >= :horizon and node <> :node
    order by ends
"""
_PAGE = """
    select host(address), key, ends, network, hostname, state from pxetwist_lease
    where address > :last::inet order by address limit 20000
"""
_PRESENT = """
    select host(address), key, ends, network, hostname, state from pxetwist_lease
    where address = any(:addresses::text[]::inet[])
"""
_STATES = {state.value: state for state in LeaseState}


def store(
    records: Sequence[tuple[Lease, float, float]],
    node: str,
    rows: Callable[..., Rows],
    how: str = STORE,
) -> tuple[set[str], list[Lease]]:
    """Store records of different addresses, each with its moment, and the end that is early
    enough; return the addresses of those that another one excludes, and what is there in the
    place of those that were not written again.
    """
    addresses = [str(record.address) for record, _, _ in records]
    found = rows(
        how,
        addresses=addresses,
        keys=[record.key for record, _, _ in records],
        ends=[record.ends for record, _, _ in records],
        networks=[record.network for record, _, _ in records],
        hostnames=[record.hostname.replace("\0", "") for record, _, _ in records],
        states=[record.state.value for record, _, _ in records],
        since=[since for _, since, _ in records],
        enough=[enough for _, _, enough in records],
        node=node,
    )
    ends = {address: end for address, end in found if end is not None}
    lasting = [
        attrs.evolve(record, ends=ends[str(record.address)])
        for record, _, _ in (records if ends else ())
        if str(record.address) in ends
    ]
    if len(found) == len(records):
        return set(), lasting
    return set(addresses).difference(address for address, _ in found), lasting


def present(addresses: Iterable[str], session: PostgresSession) -> dict[str, Lease]:
    """Return what is there of some addresses."""
    found = leases_of(session.alone(_PRESENT, addresses=list(addresses)))
    return {str(record.address): record for record in found}


def find(address: IPv4Address | IPv6Address, session: Session) -> Lease | None:
    """Return the record of an address."""
    found = leases_of(session.rows(_PRESENT, addresses=[str(address)]))
    return next(iter(found), None)


def horizon(session: PostgresSession) -> int:
    """Return the number of the oldest transaction that may not have ended."""
    [(number,)] = session.alone("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return int(number)


def pages(session: PostgresSession) -> Iterator[list[Lease]]:
    """Yield all that is there, in the order of addresses; each page is one question."""
    last = "0.0.0.0"
    while page := list(leases_of(session.alone(_PAGE, last=last))):
        yield page
        last = str(page[-1].address)


def leases_of(rows: Iterable[Sequence[Any]]) -> Iterator[Lease]:
    """Make leases of rows."""
    for address, key, ends, network, hostname, state in rows:
        yield Lease(ip_address(address), key, ends, sys.intern(network), hostname, _STATES[state])
