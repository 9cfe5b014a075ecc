"""A storm of boots: how soon machines are up that are switched on at once.

Each of them has an address of its own and goes the whole way: DHCP through a relay agent, its NBP
by TFTP, then a script, a kernel and an initrd by HTTP. The load generator of this folder compares
every byte. One server runs at a time, for a storm takes all that the machine has.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.namespaces import LOAD, SERVER, Link
from benchmarks.plot import Line, plot
from benchmarks.report import Result
from benchmarks.running import Running, running
from benchmarks.servers import STORM_NETWORK, Place, Server
from benchmarks.tftp import SOURCE
from bootlab.processes import LabError, run

_BLOCK = 1468  # bytes, what EDK2 asks for in Ethernet


@attrs.frozen
class Files:
    """The sizes of what a machine loads, in bytes, and how long a storm may take, in seconds."""

    nbp: int = 1_000_000
    script: int = 500
    kernel: int = 1_000_000
    initrd: int = 4_000_000
    longest: float = 120.0


@attrs.frozen
class Case:
    """So many machines, and the TFTP window that they ask for (0: lockstep)."""

    machines: int
    window: int

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read ``MACHINES:WINDOW``.

        :raises ValueError: if it is not that.
        """
        machines, window = (int(word) for word in text.split(":"))
        if not 1 <= machines <= 10_000 or not 0 <= window <= 65535:
            raise ValueError("out of range")
        return cls(machines, window)

    def __str__(self) -> str:
        return f"{self.machines} machines, " + (
            f"window {self.window}" if self.window else "lockstep"
        )


@attrs.frozen
class Storm:
    """One storm: when machines were up, in seconds, and how often had to be asked again."""

    machines: int
    times: Sequence[float]
    dhcp_again: int
    tftp_again: int
    http_later: int
    why: str
    cpu: float

    @property
    def whole(self) -> bool:
        """Whether all machines are up."""
        return len(self.times) == self.machines


def measure(
    link: Link,
    servers: Sequence[Server],
    cases: Sequence[Case],
    folder: Path,
    *,
    repeats: int,
    files: Files,
    picture: Path | None = None,
) -> list[Result]:
    """Measure all servers in each case, in turn, and draw the median storms, if asked to.

    :raises LabError: if the load generator cannot be built, or a server does not start.
    """
    load, content = folder / "storm", folder / "storm-content"
    run("cc", "-O2", "-o", str(load), str(SOURCE / "storm.c"))
    content.mkdir()
    for name in ("nbp", "script", "kernel", "initrd"):
        (content / name).write_bytes(os.urandom(getattr(files, name)))
    _route(link)
    results, lines = [], []
    for case in cases:
        rounds = [
            [_storm(link, folder, server, case, files) for server in servers]
            for _ in range(repeats)
        ]
        for server, storms in zip(servers, zip(*rounds, strict=True), strict=True):
            results.append(_result(server, storms, case))
            lines.append(Line(f"{case}", server.name, _usual(storms).times, server.ours))
    if picture is not None:
        picture.write_text(plot(lines, "seconds since all were switched on", "machines up"))
    return results


def _route(link: Link) -> None:
    """Let the load have every address that DHCP gives, behind one neighbour of the server's."""
    link.load.ip(f"route replace local {STORM_NETWORK} dev lo")
    link.server.ip(f"route replace {STORM_NETWORK} via {LOAD}")


def _storm(link: Link, folder: Path, server: Server, case: Case, files: Files) -> Storm:
    content = folder / "storm-content"
    place = Place(folder / "storm-servers" / server.name, SERVER, content)
    with running(link, server, place, "sport", "=", ":69") as started:
        started.settle()
        return _raised(link, folder / "storm", started, case, files)


def _raised(link: Link, load: Path, server: Running, case: Case, files: Files) -> Storm:
    content = server.place.content
    command = (
        *(str(load), "-H", SERVER, "-G", LOAD, "-N", str(case.machines)),
        *("-f", f"nbp={content}/nbp", "-b", str(_BLOCK), "-w", str(case.window)),
        *("-t", f"{files.longest:g}"),
        *(f"/{name}={content}/{name}" for name in ("script", "kernel", "initrd")),
    )
    before = server.cpu()
    output = link.run(command, files.longest + 10)
    try:
        counted: dict[str, Any] = json.loads(output)
    except ValueError:
        raise LabError(f"{load.name}: {output.strip()}") from None
    return Storm(
        machines=case.machines,
        times=sorted(counted["times"]),
        cpu=server.cpu() - before,
        **{name: counted[name] for name in ("dhcp_again", "tftp_again", "http_later", "why")},
    )


def _usual(storms: Sequence[Storm]) -> Storm:
    """Return the one whose last machine was up in median time, or one that is not whole."""
    by_end = sorted(storms, key=lambda each: (each.whole, each.times[-1:]))
    return by_end[len(by_end) // 2] if by_end[0].whole else by_end[0]


def _result(server: Server, storms: Sequence[Storm], case: Case) -> Result:
    usual, whole = _usual(storms), all(each.whole for each in storms)
    return Result(
        benchmark="storm",
        case=str(case),
        server=server.name,
        ours=server.ours,
        unit="machines/s",
        values=tuple(each.machines / each.times[-1] for each in storms) if whole else (),
        cost=statistics.median(each.cpu / each.machines * 1e3 for each in storms),
        cost_unit="ms each",
        note=_note(usual),
    )


def _note(storm: Storm) -> str:
    again = (
        f"asked again: DHCP {storm.dhcp_again}, TFTP {storm.tftp_again}, HTTP {storm.http_later}"
    )
    if not storm.times:
        return f"none is up: {storm.why}; {again}"
    first, median, last = storm.times[0], statistics.median(storm.times), storm.times[-1]
    up = f"up: first {first:.2f} s, median {median:.2f} s, last {last:.2f} s; {again}"
    if storm.whole:
        return up
    return f"{storm.machines - len(storm.times)} are not up: {storm.why}; {up}"
