"""Machines from files that a person keeps, in the formats of :mod:`pxetwist.hosts.formats`.

The columns (or keys) ``name``, ``mac`` (one or several), ``uuid``, ``serial``, ``asset``,
``client-id``, ``circuit-id``, ``remote-id``, ``groups``, ``address`` and ``address6`` are known;
any other one is a label of that name. The files are looked at every two seconds, and read again
when they have changed.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from threading import Thread, current_thread

import attrs
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.config.fields import OptionText, choice, option, path
from pxetwist.errors import ConfigErrors
from pxetwist.hosts.formats.detection import AUTO, FORMATS
from pxetwist.hosts.hostfile import Reading, Stamps, emptied, read, stamps
from pxetwist.hosts.marks import port_mark
from pxetwist.interfaces import (
    IHealth,
    IHostDirectory,
    IListsMachines,
    IReloads,
    IRemembers,
    IReservations,
    ISteady,
    Site,
)
from pxetwist.model.health import Health, HealthState
from pxetwist.model.identity import ClientIdentity, inventory_mark, machine_uuid, swapped
from pxetwist.model.machine import Machine

_LOOK_EVERY = 2.0  # seconds


def host_files(value: str) -> tuple[Path, ...]:
    """Expect paths of files or folders, one per line."""
    source = OptionText.of(value)
    found = tuple(path(source.part(line.text)) for line in source.lines)
    if not found:
        raise ValueError(f"expected a path, got {str(value)!r}")
    return found


@attrs.frozen
class Settings:
    """Which files."""

    file: tuple[Path, ...] = option(
        host_files,
        doc="Files of machines, or folders of such files: CSV, INI, JSON or YAML with name, mac,"
        " uuid, address, labels and so on; or those of dnsmasq, ISC dhcpd, ethers and hosts.",
    )
    format: str = option(
        choice(AUTO, *FORMATS),
        default=AUTO,
        doc="The format of all of them; auto tells it by the name, else by the first line.",
    )


@attrs.frozen
class _Index:
    """All machines of one reading, by what they are found by."""

    reading: Reading
    by_mac: Mapping[str, Machine]
    by_mark: Mapping[tuple[str, Hashable], Machine]
    addresses: frozenset[IPv4Address | IPv6Address]

    @classmethod
    def of(cls, reading: Reading) -> _Index:
        machines = reading.machines
        return cls(
            reading,
            {mac: machine for machine in machines for mac in machine.macs},
            {mark: machine for machine in machines for mark in _marks_of(machine)},
            frozenset(each for machine in machines for each in machine.addresses),
        )


@implementer(IHostDirectory, IListsMachines, IRemembers, IReservations, IReloads, IHealth, ISteady)
class StaticDirectory(Service):
    """The machines of files, held in memory.

    :raises ConfigErrors: with all mistakes in the files, by line.
    """

    def __init__(self, settings: Settings, site: Site) -> None:
        self._files = settings.file
        self._format = settings.format
        self._site = site
        self._log = site.log
        self._stamps: Stamps = stamps(self._files)  # of what was read
        self._glimpse = self._stamps  # of two seconds ago
        self._call: IDelayedCall | None = None
        self._reading: object = None  # the thread that reads, if one does
        self._index = _Index.of(Reading(()))
        self._index = self._read()
        self._edition = 0
        self._health = Health(HealthState.UP, site.reactor.seconds())

    def startService(self) -> None:
        """Begin to look at the files."""
        super().startService()
        self._call = self._site.reactor.callLater(_LOOK_EVERY, self._look)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        self._reading = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Find a machine by the certificate that it showed, else by MAC, else by UUID in both
        byte orders (also in option 61), else by client id, serial number, asset tag, or what the
        relay says of its port (circuit id, remote id, or both).
        """
        index = self._index
        found = None
        if identity.certificate:  # a proof, which hearsay does not outdo
            found = index.by_mark.get(("certificate", identity.certificate.lower()))
        if found is None:
            found = index.by_mac.get(identity.mac)
        if found is not None or not index.by_mark:
            return found
        for mark in _marks_in(identity):
            found = index.by_mark.get(mark)
            if found is not None:
                return found
        return None

    def reserved_addresses(self) -> Collection[IPv4Address | IPv6Address]:
        """Return the addresses of all machines."""
        return self._index.addresses

    def remembers(self, mac: str) -> bool:
        """Look in the files as they were read."""
        return mac in self._index.by_mac

    def edition(self) -> int:
        """Count how often the files were read."""
        return self._edition

    def machines(self) -> Collection[Machine]:
        """Return every machine, in the order of the files."""
        return self._index.reading.machines

    def health(self) -> Health:
        """Return whether the files, as they are now, are what is used."""
        counters = {"machines": len(self.machines())}
        return attrs.evolve(self._health, counters=counters)

    def reload(self) -> None:
        """Read the files again; on mistakes log all of them and keep what was read before."""
        self._stamps, self._reading = stamps(self._files), None
        try:
            outcome: _Index | ConfigErrors = self._read()
        except ConfigErrors as mistakes:
            outcome = mistakes
        self._take(outcome)

    def _read(self) -> _Index:
        reading = read(self._files, self._site.name, self._format)
        mistakes = emptied(self._index.reading, reading)
        if mistakes is not None:
            raise mistakes
        return _Index.of(reading)

    def _look(self) -> None:
        """Read again what has changed, and is not being changed any more."""
        self._call = self._site.reactor.callLater(_LOOK_EVERY, self._look)
        now, before = stamps(self._files), self._glimpse
        self._glimpse = now
        if now == before and now != self._stamps and self._reading is None:
            self._stamps = now
            thread = Thread(target=self._read_aside, name=self._site.name, daemon=True)
            self._reading = thread
            thread.start()

    def _read_aside(self) -> None:
        """Run in a thread: thousands of machines take longer than clients should wait."""
        outcome: _Index | ConfigErrors | Failure
        try:
            outcome = self._read()
        except ConfigErrors as mistakes:
            outcome = mistakes
        except Exception:
            outcome = Failure()
        self._site.reactor.callFromThread(self._take_aside, current_thread(), outcome)

    def _take_aside(self, thread: Thread, outcome: _Index | ConfigErrors | Failure) -> None:
        if thread is self._reading:  # else the files were read in the meantime, or it is the end
            self._reading = None
            self._take(outcome)

    def _take(self, outcome: _Index | ConfigErrors | Failure) -> None:
        names = ", ".join(map(str, self._files))
        if isinstance(outcome, _Index):
            known = self._index.reading.warnings
            self._index = outcome
            self._edition += 1
            for line in outcome.reading.warnings:
                if line not in known:
                    self._log.warn("{line}", line=line)
            count = len(outcome.reading.machines)
            self._log.info("{file} read again: {count} machines", file=names, count=count)
            self._note(HealthState.UP)
        elif isinstance(outcome, ConfigErrors):
            for error in outcome.errors:
                self._log.error("{error}", error=error)
            self._log.error("{file} is not read again: its last good state stays", file=names)
            self._note(HealthState.DEGRADED, str(outcome.errors[0]))
        else:
            self._log.failure("{file} is not read again", outcome, file=names)
            self._note(HealthState.DEGRADED, outcome.getErrorMessage())

    def _note(self, state: HealthState, error: str = "") -> None:
        same = state is self._health.state
        since = self._health.since if same else self._site.reactor.seconds()
        self._health = Health(state, since, error)


def _marks_of(machine: Machine) -> Iterator[tuple[str, Hashable]]:
    """Yield what a machine is found by, besides its MACs."""
    if machine.certificate:
        yield "certificate", machine.certificate.lower()
    if machine.uuid:
        yield "uuid", machine.uuid
        yield "uuid", swapped(machine.uuid)
    if machine.client_id:
        yield "client", machine.client_id
    if machine.serial:
        yield "serial", inventory_mark(machine.serial)
    if machine.asset:
        yield "asset", inventory_mark(machine.asset)
    if port := port_mark(machine.circuit_id, machine.remote_id):
        yield "port", port


def _marks_in(identity: ClientIdentity) -> Iterator[tuple[str, Hashable]]:
    """Yield what an identity may be known by, the surest first."""
    if identity.uuid is not None:
        yield "uuid", identity.uuid
    client_id = identity.client_id
    if client_id:
        yield "client", client_id
        if not client_id[0]:  # a text, or the UUID of a ROM without its MAC (RFC 4578 §2.3)
            yield "client", client_id[1:]
            inside = machine_uuid(client_id[1:])
            if inside is not None:
                yield "uuid", inside
    if identity.serial:
        yield "serial", inventory_mark(identity.serial)
    if identity.asset:
        yield "asset", inventory_mark(identity.asset)
    if identity.relay is not None:
        circuit, remote = identity.relay.circuit_id, identity.relay.remote_id
        for port in (port_mark(circuit, remote), port_mark(circuit, b""), port_mark(b"", remote)):
            if port:
                yield "port", port


def build(settings: Settings, site: Site) -> StaticDirectory:
    """Read the files.

    :raises ConfigErrors: with all mistakes in them.
    """
    return StaticDirectory(settings, site)
