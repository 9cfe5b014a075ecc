"""How a server is several processes: what the one that answers DHCP keeps, and what workers do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pxetwist.boot.shared_sightings import BorrowedSightings, PublishedSightings
from pxetwist.boot.sightings import Sightings
from pxetwist.config.load import Configuration, Instance
from pxetwist.errors import ConfigError, Location
from pxetwist.interfaces import ISharesLeases, ISharesPorts
from pxetwist.services.workers.duty import Duty
from pxetwist.services.workers.processes import Workers
from pxetwist.state.board import Board

if TYPE_CHECKING:
    from pxetwist.config.assemble import Assembly

#: twistd without its script, which may lie anywhere.
_TWISTD = "from twisted.scripts.twistd import run; run()"

Built = Iterable[tuple[Instance, Any]]


def board_of(configuration: Configuration, duty: Duty | None) -> Board | None:
    """Return where processes of one server share sightings; `None`: there is only one."""
    if not configuration.settings.workers:
        return None
    key = os.urandom(32) if duty is None else bytes.fromhex(duty.key)
    return Board(configuration.state_folder / "sightings.sqlite", key, owner=duty is None)


def sightings_on(board: Board | None, duty: Duty | None) -> Sightings:
    """Return the sightings of this process."""
    if board is None:
        return Sightings()
    return PublishedSightings(board) if duty is None else BorrowedSightings(board)


def has_part(instance: Instance, duty: Duty | None) -> bool:
    """Whether a process has this instance: of services workers have theirs, and no observers."""
    if duty is None or instance.kind not in ("service", "observer"):
        return True
    return instance.kind == "service" and instance.name in duty.services


def shared(built: Built) -> dict[str, ISharesPorts]:
    """Return the services that workers can run, by name."""
    return {
        instance.name: thing
        for instance, thing in built
        if instance.kind == "service" and ISharesPorts.providedBy(thing)
    }


def mistakes(configuration: Configuration, built: Built) -> list[ConfigError]:
    """Return what keeps a configuration from having workers."""
    if not configuration.settings.workers:
        return []
    found = [
        ConfigError(
            instance.location,
            f"[{instance.title}] workers cannot read leases of plugin {instance.factory.name!r}:"
            " take sqlite or postgresql, or leave out [pxe] workers",
        )
        for instance, thing in built
        if instance.kind == "state" and not ISharesLeases.providedBy(thing)
    ]
    if not shared(built):
        where = Location(str(configuration.file))
        problem = "[pxe] workers: there is no service that they could run (tftp, http, https)"
        found.append(ConfigError(where, problem))
    return found


def make_workers(assembly: Assembly, board: Board, reactor: Any) -> Workers:
    """Return the workers of a server."""
    configuration, boot = assembly.configuration, assembly.boot
    workers = Workers(
        reactor,
        configuration.settings.workers,
        shared(assembly.built),
        texts=configuration.texts,
        key=board.key.hex(),
        tell=boot.tell,
        prepare=partial(boot.tokens.seal, b"", ""),  # the key: one for all
    )
    workers.command = partial(_command, configuration.file.absolute())
    return workers


def _command(ini: Path, number: int) -> list[str]:
    twistd = ["--nodaemon", "--pidfile=", "--logger=pxetwist.services.workers.feed.observer"]
    pxe = ["pxe", "--config", str(ini), "--worker", str(number)]
    return [sys.executable, "-c", _TWISTD, *twistd, *pxe]
