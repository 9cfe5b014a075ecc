"""Leases in PostgreSQL: several servers give addresses of the same pools, and each may vanish.

Every server answers from a copy in memory. The database decides: a lease is stored only if
nobody else holds its address there, and is acknowledged only when it is stored. What others have
stored is read with every group, and before a machine that is unknown here is offered anything.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address

import attrs
from zope.interface import implementer

from pxetwist.config.fields import option, secret_file
from pxetwist.errors import StateUnavailable
from pxetwist.interfaces import ISharesLeases, Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, Network
from pxetwist.state import leasetables
from pxetwist.state.database import PostgresDatabase
from pxetwist.state.databasedesk import DatabaseDesk
from pxetwist.state.desk import Desk
from pxetwist.state.grouped import GroupedLeases, keep_option
from pxetwist.state.groups import Ledger
from pxetwist.state.lease_reader import LeaseReader
from pxetwist.state.leasedatabase import LeaseDatabase
from pxetwist.state.postgres import postgres_database, postgres_url


@attrs.frozen
class Settings:
    """Which database, and how long leases are remembered."""

    database: str = option(
        postgres_url, doc="postgresql://USER@HOST/DATABASE?OPTIONS, the same for all servers."
    )
    password_file: str = option(
        secret_file, default="", doc="A file with the password of the database."
    )
    keep: float = keep_option()


@implementer(ISharesLeases)
class PostgresLeases(GroupedLeases):
    """Leases that several servers share."""

    def __init__(self, database: PostgresDatabase, keep: float, site: Site) -> None:
        super().__init__(database.title, keep, site, database)
        self.database = database

    def open(self) -> Ledger:
        """Connect later, in the thread: the database may be away."""
        return LeaseDatabase(self.database)

    def desk(self) -> Desk:
        """Return the desk of the database."""
        return DatabaseDesk(self.database)

    def reader(self) -> LeaseReader:
        """Return what reads the database."""
        schema, find = leasetables.SCHEMA, leasetables.find
        return LeaseReader(self.database, schema, find, notes=self._notes, site=self._site)

    async def offer(  # noqa: PLR0917  # as in the interface
        self,
        identity: ClientIdentity,
        network: Network,
        wanted: IPv4Address | IPv6Address | None,
        reserved: IPv4Address | IPv6Address | None,
        avoid: Collection[IPv4Address | IPv6Address],
        now: float,
    ) -> Lease | None:
        """Hold an address; see :meth:`LeaseTable.offer`. For a machine that this server does not
        know, look first what another one has given to it.

        :raises StateUnavailable: if that cannot be told.
        """
        if identity.key and not self._table.knows(identity.key, network):
            await self._look()
        return self._table.offer(identity, network, wanted, reserved, avoid, now)

    async def held(self, identity: ClientIdentity, network: Network, now: float) -> Lease | None:
        """Return what this client holds in this network, whoever gave it."""
        found = self._table.held(identity.key, network, now)
        if found is None and identity.key and await self._looked():
            found = self._table.held(identity.key, network, now)
        return found

    async def holder(self, address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return who holds this address, whoever gave it."""
        found = self._table.holder(address, now)
        if found is None and await self._looked():
            found = self._table.holder(address, now)
        return found

    async def _looked(self) -> bool:
        """Look what others have stored, if it can be told."""
        try:
            await self._look()
        except StateUnavailable:
            return False
        return True


def build(settings: Settings, site: Site) -> PostgresLeases:
    """Make the store; the database is asked when the service runs."""
    database = postgres_database(settings.database, settings.password_file)
    return PostgresLeases(database, settings.keep, site)
