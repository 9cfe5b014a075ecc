"""Machines from a file that a person keeps: CSV, or INI sections.

The columns (or keys) ``name``, ``mac`` (one or several), ``uuid`` and ``address`` are known; any
other one is a label of that name. Comments start with ``#``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.config.fields import OptionText, option, path
from pxetwist.errors import ConfigErrors
from pxetwist.hosts.hostfile import read
from pxetwist.interfaces import IHostDirectory, IListsMachines, IReloads, IReservations, Site
from pxetwist.model.identity import ClientIdentity, machine_uuid, swapped
from pxetwist.model.machine import Machine


def host_file(value: str) -> Path:
    """Expect the path of a .csv or .ini file."""
    file = path(OptionText.of(value))
    if file.suffix.lower() not in (".csv", ".ini"):
        raise ValueError(f"expected a .csv or .ini file, got {str(value)!r}")
    return file


@attrs.frozen
class Settings:
    """Which file."""

    file: Path = option(
        host_file, doc="A .csv or .ini file of machines: name, mac, uuid, address, and labels."
    )


@attrs.frozen
class _Index:
    """All machines of one reading of the file, by what they are found by."""

    machines: Collection[Machine]
    by_mac: Mapping[str, Machine]
    by_uuid: Mapping[UUID, Machine]
    addresses: frozenset[IPv4Address]

    @classmethod
    def of(cls, machines: Collection[Machine]) -> _Index:
        return cls(
            machines,
            {mac: machine for machine in machines for mac in machine.macs},
            {machine.uuid: machine for machine in machines if machine.uuid},
            frozenset(machine.address for machine in machines if machine.address),
        )


@implementer(IHostDirectory, IListsMachines, IReservations, IReloads)
class StaticDirectory:
    """The machines of a file, held in memory.

    :raises ConfigErrors: with all mistakes in the file, by line.
    """

    def __init__(self, name: str, file: Path, log: Logger) -> None:
        self._name = name
        self._file = file
        self._log = log
        self._index = _Index.of(read(file, name))

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Find a machine by MAC, else by UUID in both byte orders, else by a UUID in option 61."""
        index = self._index
        found = index.by_mac.get(identity.mac)
        if found is not None or not index.by_uuid:
            return found
        for uuid in (*identity.uuids, *_uuids_of(identity.client_id)):
            found = index.by_uuid.get(uuid)
            if found is not None:
                return found
        return None

    def reserved_addresses(self) -> Collection[IPv4Address]:
        """Return the addresses of all machines."""
        return self._index.addresses

    def machines(self) -> Collection[Machine]:
        """Return every machine, in the order of the file."""
        return self._index.machines

    def reload(self) -> None:
        """Read the file again; on a mistake log all of them and keep what was read before."""
        try:
            self._index = _Index.of(read(self._file, self._name))
        except ConfigErrors as mistakes:
            for error in mistakes.errors:
                self._log.error("{error}", error=error)
            self._log.error(
                "{file} is not read again: {count} mistakes",
                file=str(self._file),
                count=len(mistakes.errors),
            )
        else:
            self._log.info(
                "{file} read again: {count} machines",
                file=str(self._file),
                count=len(self._index.machines),
            )


def _uuids_of(client_id: bytes) -> tuple[UUID, ...]:
    """Both orders of the UUID that PXE ROMs put into option 61, after a zero (RFC 4578 §2.3)."""
    uuid = machine_uuid(client_id[1:]) if client_id[:1] == b"\0" else None
    return () if uuid is None else (uuid, swapped(uuid))


def build(settings: Settings, site: Site) -> StaticDirectory:
    """Read the file.

    :raises ConfigErrors: with all mistakes in it.
    """
    return StaticDirectory(site.name, settings.file, site.log)
