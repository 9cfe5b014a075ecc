"""Leases in an SQLite file: answered from memory, stored before they are acknowledged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import attrs
from zope.interface import implementer

from pxetwist.config.fields import choice, option, text
from pxetwist.errors import StartError
from pxetwist.interfaces import ISharesLeases, Site
from pxetwist.state import leasefile
from pxetwist.state.database import SqliteDatabase
from pxetwist.state.desk import Desk
from pxetwist.state.grouped import GroupedLeases, keep_option
from pxetwist.state.groups import Ledger
from pxetwist.state.lease_reader import LeaseReader
from pxetwist.state.leasedesk import FileDesk
from pxetwist.state.leasefile import LeaseFile


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
    keep: float = keep_option()


@implementer(ISharesLeases)
class SqliteLeases(GroupedLeases):
    """Leases in a file of this server alone; commands reach them through the file."""

    def __init__(self, path: Path, settings: Settings, site: Site) -> None:
        # A file of its own: whoever writes to that of the leases makes them wait.
        notes = SqliteDatabase(path.with_name("learned.sqlite"), "normal")
        super().__init__(str(path), settings.keep, site, notes)
        self.path = path
        self.durability = settings.durability

    def open(self) -> Ledger:
        """Open the file."""
        return LeaseFile(self.path, self.durability)

    def desk(self) -> Desk:
        """Return the desk of the file."""
        return FileDesk(self.path, self.durability)

    def reader(self) -> LeaseReader:
        """Return what reads the file."""
        database = SqliteDatabase(self.path)
        schema, find = leasefile.SCHEMA, leasefile.find
        return LeaseReader(database, schema, find, notes=self._notes, site=self._site)

    def startService(self) -> None:
        """Open and load the file.

        :raises StartError: if it cannot be used, for instance because another server does.
        """
        try:
            super().startService()
        except (sqlite3.Error, ValueError) as error:
            raise StartError(f"cannot read {self.path}: {error}") from error


def build(settings: Settings, site: Site) -> SqliteLeases:
    """Make the store; the file is opened when the service starts."""
    return SqliteLeases(site.state_folder / settings.file, settings, site)
