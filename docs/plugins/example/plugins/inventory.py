"""Machines from the export of our inventory: a CSV of its own layout."""

from __future__ import annotations

import csv
from collections.abc import Collection
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.config.fields import option, path
from pxetwist.errors import ConfigError, ConfigErrors, Location
from pxetwist.interfaces import IHostDirectory, IReloads, IReservations, Site
from pxetwist.model.identity import ClientIdentity, parse_mac
from pxetwist.model.machine import Machine
from pxetwist.plugins import PluginFactory

inventory = PluginFactory("hosts", "inventory", __name__, "Machines from our inventory.")


@attrs.frozen
class Settings:
    """Which file."""

    file: Path = option(path, doc="The inventory's export: CSV with semicolons.")


# reading
#: The inventory's columns that become labels, which rules can match.
LABELS = {"Room": "room", "Image": "profile", "Loader": "loader"}


def machine(row: dict[str, str], directory: str) -> Machine:
    """Turn one line of the export into a machine.

    :raises ValueError: if a MAC, UUID or address is none.
    """
    return Machine(
        name=row["Asset"],
        macs=tuple(map(parse_mac, row["Network cards"].split())),
        uuid=UUID(row["System UUID"]) if row["System UUID"] else None,
        address=IPv4Address(row["IP"]) if row["IP"] else None,
        labels={label: row[column] for column, label in LABELS.items() if row.get(column)},
        directory=directory,
    )


def read(file: Path, directory: str) -> list[Machine]:
    """Read the whole export.

    :raises ConfigErrors: with one mistake for each line that has one.
    """
    machines: list[Machine] = []
    mistakes: list[ConfigError] = []
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigErrors([ConfigError(Location(str(file)), message)]) from error
    rows = csv.DictReader(lines, delimiter=";", restval="")
    for row in rows:
        try:
            machines.append(machine(row, directory))
        except (ValueError, KeyError) as error:
            place = Location(str(file), rows.line_num)
            what = f"no column {error}" if isinstance(error, KeyError) else str(error)
            mistakes.append(ConfigError(place, what))
    if mistakes:
        raise ConfigErrors(mistakes)
    return machines


# the directory
@implementer(IHostDirectory, IReservations, IReloads)
class Inventory:
    """The machines of the export, held in memory."""

    def __init__(self, name: str, file: Path, log: Logger) -> None:
        self._name, self._file, self._log = name, file, log
        self._machines = read(file, name)

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Find a machine by MAC, else by UUID; firmware may spell it in two byte orders."""
        for each in self._machines:
            if identity.mac in each.macs:
                return each
        for each in self._machines:
            if each.uuid is not None and each.uuid in identity.uuids:
                return each
        return None

    def reserved_addresses(self) -> Collection[IPv4Address]:
        """Return the addresses that no pool may give to others."""
        return {each.address for each in self._machines if each.address}

    def reload(self) -> None:
        """Read the export again; on a mistake keep what was read before."""
        try:
            self._machines = read(self._file, self._name)
        except ConfigErrors as mistakes:
            self._log.error("not read again: {mistakes}", mistakes=str(mistakes))


def build(settings: Settings, site: Site) -> Inventory:
    """Make the directory; it is read now, so that `pxetwist check` finds mistakes.

    :raises ConfigErrors: with all mistakes in the file.
    """
    return Inventory(site.name, settings.file, site.log)
