"""Leases that another process gives: each is looked up where that one stores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from zope.interface import implementer

from pxetwist.errors import StateUnavailable
from pxetwist.interfaces import ILeaseReader, INotes, Site
from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.database import Database, Schema, Session
from pxetwist.state.pooled import Pool

Find = Callable[[IPv4Address | IPv6Address, Session], Lease | None]


@implementer(ILeaseReader, INotes)
class LeaseReader(Service):
    """Asks a database each time: who had an address a moment ago is not who has it.

    Offers are in no database, and nobody needs them here.
    """

    def __init__(
        self, database: Database, schema: Schema, find: Find, *, notes: INotes, site: Site
    ) -> None:
        self._pool = Pool(database, schema, site.reactor, f"leases {site.name}")
        self._find = find
        self._notes: Any = notes
        self._log = site.log
        self._away = False

    def stopService(self) -> Deferred[None]:
        """Ask no more; fires when what was begun has ended."""
        super().stopService()
        ending = [each for each in (self._pool.stop(), self._notes.stop()) if each is not None]
        return gatherResults(ending).addCallback(lambda _: None)

    async def recall(self, topic: str) -> Mapping[str, str]:
        """Return the notes of a topic."""
        found: Mapping[str, str] = await self._notes.recall(topic)
        return found

    async def remember(self, topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        """Keep notes."""
        await self._notes.remember(topic, notes, limit, now)

    async def holder(self, address: IPv4Address | IPv6Address, now: float) -> Lease | None:
        """Return who has leased this address."""
        nobody: Lease | None = None
        try:
            found = await self._pool.read(partial(self._find, address), nobody)
        except StateUnavailable as error:
            if not self._away:
                self._log.warn("leases cannot be read: {error}", error=error)
            self._away = True
            return None
        self._away = False
        held = found is not None and found.state is LeaseState.LEASED and found.ends > now
        return found if held else None
