"""What commands do with leases in PostgreSQL: the database does it, and the servers hear of it by
the news that they read.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing

import attrs

from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.database import PostgresDatabase, PostgresSession
from pxetwist.state.leases import held_by
from pxetwist.state.leasetables import RELEASE, SCHEMA, TAKE_OVER, pages, present, store

_TOGETHER = 1000  # so many are stored by one statement


@attrs.frozen
class DatabaseDesk:
    """The leases of all servers that share a database."""

    database: PostgresDatabase

    def leases(self) -> list[Lease]:
        """Return every record, in the order of addresses."""
        with closing(self.database.connect(SCHEMA, change=False)) as session:
            return [lease for page in pages(session) for lease in page]

    def carry_out(self, wishes: Sequence[Lease], now: float) -> list[str]:
        """Make these records, whose addresses differ; see :class:`Desk`."""
        node = secrets.token_hex(4)
        taken = [wish for wish in wishes if wish.state is not LeaseState.RELEASED]
        with closing(self.database.connect(SCHEMA, change=True)) as session:
            refused = dict(_taken_over(taken, now, node, session))
            for wish in wishes:
                if wish.state is LeaseState.RELEASED and not session.alone(
                    RELEASE, address=str(wish.address), now=now, node=node
                ):
                    refused[str(wish.address)] = f"nobody holds {wish.address}"
        return [refused.get(str(wish.address), "") for wish in wishes]


def _taken_over(
    wishes: Sequence[Lease], now: float, node: str, session: PostgresSession
) -> Iterator[tuple[str, str]]:
    """Store leases; yield the addresses that others have, and who."""
    for first in range(0, len(wishes), _TOGETHER):
        some = [(wish, now, wish.ends) for wish in wishes[first : first + _TOGETHER]]
        refused, _ = store(some, node, session.alone, TAKE_OVER)
        found = present(refused, session) if refused else {}
        for address in refused:
            holder = found.get(address)
            yield address, f"{address} is {held_by(holder) if holder else 'just being given'}"
