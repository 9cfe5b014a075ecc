"""Machines that reported themselves and were approved: ``pxetwist approve``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pxetwist.errors import DirectoryUnavailable, StateUnavailable
from pxetwist.interfaces import IHostDirectory, IReservations, ISteady, Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.state import discovered
from pxetwist.state.database import SqliteDatabase
from pxetwist.state.pooled import Pool, Refreshed


@attrs.frozen
class Settings:
    """Nothing to set: the machines are in discovered.sqlite in the state folder."""


@implementer(IHostDirectory, IReservations, ISteady)
class ApprovedDirectory(Service):
    """The approved machines, with a copy in memory that is at most a second old."""

    def __init__(self, database: SqliteDatabase, site: Site) -> None:
        self._site = site
        self._pool = Pool(database, discovered.SCHEMA, site.reactor, f"hosts {site.name}")
        self._copy = Refreshed(self._load, site.reactor, site.log)
        self._change = -1
        self._edition = 0
        self._by_mac: dict[str, Machine] = {}
        self._by_uuid: dict[UUID, Machine] = {}
        self._addresses: Collection[IPv4Address | IPv6Address] = ()

    def startService(self) -> None:
        """Read the machines: their addresses are promised from now on."""
        super().startService()
        Deferred.fromCoroutine(self._first())

    async def _first(self) -> None:
        try:
            await self._copy.fresh()
        except StateUnavailable as error:
            self._site.log.error("{error}", error=error)

    def stopService(self) -> Deferred[None] | None:
        """Fire when nothing is read any more."""
        super().stopService()
        return self._pool.stop()

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Find a machine by MAC, else by a UUID that was given with its approval."""
        try:
            await self._copy.fresh()
        except StateUnavailable as error:
            raise DirectoryUnavailable(str(error)) from error
        found = self._by_mac.get(identity.mac)
        for uuid in identity.uuids:
            found = found or self._by_uuid.get(uuid)
        return found

    def edition(self) -> int | None:
        """Count how often other machines were read, while that is not long ago. Who asks for it
        may ask for no machine here: another directory knows them.
        """
        return self._edition if self.running and self._copy.wanted() else None

    def reserved_addresses(self) -> Collection[IPv4Address | IPv6Address]:
        """Return the addresses that were given with an approval."""
        return self._addresses

    async def _load(self) -> None:
        nothing: tuple[int, Sequence[Machine] | None] = (-1, ())
        work = partial(discovered.machines, self._change)
        change, machines = await self._pool.read(work, nothing)
        if machines is None or change == self._change:
            return
        self._change = change
        self._edition += 1
        named = [attrs.evolve(machine, directory=self._site.name) for machine in machines]
        self._by_mac = {mac: machine for machine in named for mac in machine.macs}
        self._by_uuid = {machine.uuid: machine for machine in named if machine.uuid}
        self._addresses = frozenset(each for machine in named for each in machine.addresses)


def build(settings: Settings, site: Site) -> ApprovedDirectory:
    """Make the directory; the file is opened when it is there."""
    return ApprovedDirectory(discovered.database_in(site.state_folder), site)
