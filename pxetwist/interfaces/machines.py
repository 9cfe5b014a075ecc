"""What knows machines."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address

from zope.interface import Interface

from pxetwist.model.health import Health
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine


class IHostDirectory(Interface):
    """Knows machines."""

    async def find_machine(identity: ClientIdentity) -> Machine | None:
        """Return the machine that this identity belongs to, or `None`: not known here.

        :raises DirectoryUnavailable: if it cannot be asked now.
        """


class IReservations(Interface):
    """May be provided by a host directory as well: the addresses it has promised to machines."""

    def reserved_addresses() -> Collection[IPv4Address | IPv6Address]:
        """Return all addresses that no pool may give to others."""


class IRemembers(Interface):
    """May be provided by a host directory and by a state: knows without asking anybody.

    When more arrives than can be answered, machines that somebody remembers come first.
    """

    def remembers(mac: str) -> bool:
        """Return whether this MAC is that of a known machine, or of one that has had a lease."""


class IListsMachines(Interface):
    """May be provided by a host directory as well, if it has all its machines at hand."""

    def machines() -> Collection[Machine]:
        """Return every machine."""


class IReloads(Interface):
    """May be provided by any plugin: reads its data again when the server gets SIGHUP."""

    def reload() -> None:
        """Read the data again; on a mistake log it and keep the last good state."""


class IHealth(Interface):
    """May be provided by any plugin: knows how well it works.

    Such a directory keeps a deadline of its own, and refuses at once what it need not ask.
    """

    def health() -> Health:
        """Return its state, since when, the last error, and counters."""
