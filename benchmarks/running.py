"""Servers while they run: started in their namespace, watched, and stopped by process id."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.namespaces import Link
from benchmarks.servers import Place, Server
from bootlab.processes import LabError, Process, wait_until

_TICKS = os.sysconf("SC_CLK_TCK")
_START = 20.0  # seconds that a server gets until it listens
_SETTLE = 5.0  # seconds that it gets to work off what has queued up


class Running:
    """A server that listens; made by :func:`running`."""

    def __init__(self, server: Server, place: Place, process: Process) -> None:
        self.server = server
        self.place = place
        self._process = process

    def cpu(self) -> float:
        """Return the seconds of processor time that it and its children have used so far."""
        return used(self._process.pid)

    def settle(self) -> None:
        """Wait until it has nothing left to do, but not forever."""
        end = time.monotonic() + _SETTLE
        used = -1.0
        while used < self.cpu() and time.monotonic() < end:
            used = self.cpu()
            time.sleep(0.2)

    def check(self) -> None:
        """Insist that it still runs.

        :raises LabError: with its last words.
        """
        if not self._process.running:
            raise LabError(f"{self.server.name} ended:\n{self._process.text}")


@contextmanager
def running(link: Link, server: Server, place: Place, *listening: str) -> Iterator[Running]:
    """Start a server, wait until ss(8) shows a socket for the filter `listening`; at the end
    stop it.

    :raises LabError: if it is not installed, does not start, or has ended before its time.
    """
    if not server.installed:
        raise LabError(f"{server.name}: {server.program} is not installed")
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    process = link.server.start(server.command(place), place.folder / "output.log")
    run = Running(server, place, process)

    def listens() -> bool:
        run.check()
        return bool(link.server.run("ss", "-Hltun", *listening))

    try:
        wait_until(listens, _START, f"{server.name} listening")
        yield run
        run.check()
    finally:
        process.stop()


def used(pid: int) -> float:
    """Return the seconds of processor time that a process and its children have used so far."""
    return sum(_cpu(each) for each in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _cpu(pid: int) -> float:
    """User and system time of a process, and of those children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
