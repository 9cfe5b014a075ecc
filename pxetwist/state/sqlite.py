"""Leases in an SQLite file: answered from memory, stored before they are acknowledged."""

from __future__ import annotations

import sqlite3
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from pxetwist.config.fields import choice, option, text
from pxetwist.errors import StartError, StateUnavailable
from pxetwist.interfaces import Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.leasefile import LeaseFile
from pxetwist.state.leases import LeaseTable
from pxetwist.state.memory import MemoryLeases


@attrs.frozen
class Settings:
    """Where and how surely leases are stored."""

    file: str = option(
        text,
        default="leases.sqlite",
        doc="The database; relative paths start at the state folder.",
    )
    durability: str = option(
        choice("full", "normal"),
        default="full",
        doc="With full a lease survives a power cut, with normal only a crash of the server.",
    )


@attrs.define(eq=False)
class _Change:
    """A record on its way to the disk, and the one before it if it never gets there."""

    record: Lease
    before: Lease | None
    stored: Deferred[None]


class SqliteLeases(MemoryLeases, Service):
    """Answers from memory; its one writer thread stores in one transaction all that waits."""

    def __init__(self, path: Path, durability: str, site: Site) -> None:
        super().__init__()
        self.path = path
        self._durability = durability
        self._site = site
        self._queue: SimpleQueue[_Change | None]
        self._thread: Thread | None = None
        self._stopped: Deferred[None]
        self._failing = False

    def startService(self) -> None:
        """Open and load the file.

        :raises StartError: if it cannot be used, for instance because another server does.
        """
        file = LeaseFile(self.path, self._durability)
        try:
            self._table = LeaseTable(file.load())
        except (sqlite3.Error, ValueError) as error:
            file.close()
            raise StartError(f"cannot read {self.path}: {error}") from error
        self._queue, self._stopped = SimpleQueue(), Deferred()
        self._thread = Thread(target=self._write, args=(file,), name="leases", daemon=True)
        self._thread.start()
        super().startService()

    def stopService(self) -> Deferred[None] | None:
        """Store what waits and close the file; fires when the thread has ended."""
        super().stopService()
        if self._thread is None:
            return None
        self._queue.put(None)
        return self._stopped

    async def commit(self, lease: Lease, now: float) -> Lease:
        """Store a lease."""
        before = self._table.get(lease.address)
        return await self._store(self._table.commit(lease, now), before)

    async def release(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """End a lease and store that."""
        before = self._table.get(address)
        record = self._table.release(address, identity.key, now)
        if record is None:
            return False
        await self._store(record, before)
        return True

    async def decline(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """Put an address out of use for a day and store that."""
        before = self._table.get(address)
        record = self._table.decline(address, identity.key, now)
        if record is None:
            return False
        await self._store(record, before)
        return True

    async def _store(self, record: Lease, before: Lease | None) -> Lease:
        change = _Change(record, before, Deferred())
        if self.running:
            self._queue.put(change)
        else:
            self._undo(change)
            raise StateUnavailable("the lease store does not run")
        await change.stored
        return record

    def _write(self, file: LeaseFile) -> None:
        """Run in the thread: one transaction for all that came while the last one ran."""
        running = True
        while running:
            changes = [self._queue.get()]
            try:
                while True:
                    changes.append(self._queue.get_nowait())
            except Empty:
                pass
            running = None not in changes
            batch = [change for change in changes if change is not None]
            error = None
            try:
                if batch:
                    file.store(change.record for change in batch)
            except Exception as caught:  # whatever it is, nobody may be acknowledged
                error = caught
            if batch:
                self._site.reactor.callFromThread(self._ended, batch, error)
        try:
            file.close()
        finally:
            self._site.reactor.callFromThread(self._joined)

    def _ended(self, batch: list[_Change], error: Exception | None) -> None:
        if error is not None and not self._failing:
            self._site.log.error(
                "leases cannot be stored, nobody is acknowledged: {error}", error=error
            )
        elif error is None and self._failing:
            self._site.log.info("leases can be stored again")
        self._failing = error is not None
        if error is None:
            for change in batch:
                change.stored.callback(None)
            return
        for change in reversed(batch):
            self._undo(change)
        for change in batch:
            change.stored.errback(StateUnavailable(f"{self.path}: {error}"))

    def _undo(self, change: _Change) -> None:
        """Take back in memory what is not on the disk, unless more has happened since."""
        record = change.record
        if self._table.get(record.address) is record:
            ended = attrs.evolve(record, state=LeaseState.RELEASED, ends=0.0)
            self._table.put(change.before or ended)

    def _joined(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._stopped.callback(None)


def build(settings: Settings, site: Site) -> SqliteLeases:
    """Make the store; the file is opened when the service starts."""
    return SqliteLeases(site.state_folder / settings.file, settings.durability, site)
