"""TFTP: megabytes per second to one client and to many, in lockstep and in windows.

The load generator of this folder compares every byte with the file itself. All servers run at
once, each on an address of its own, and take turns: in each round every one is measured once.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from benchmarks.namespaces import DEVICE, Link
from benchmarks.report import Result
from benchmarks.running import Running, running
from benchmarks.servers import Place, Server
from bootlab.processes import LabError, run

SOURCE = Path(__file__).parent / "load"
_LIMIT = 60.0  # seconds after which transfers that still run have failed


@attrs.frozen
class Files:
    """The sizes of the two files in bytes; the small one is for many clients in lockstep."""

    small: int = 4_000_000
    large: int = 10_000_000


@attrs.frozen
class Case:
    """So many clients at a time, the block size and window that they ask for (0: lockstep)."""

    clients: int
    block_size: int
    window: int

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read ``CLIENTS:BLOCKSIZE:WINDOW``.

        :raises ValueError: if it is not that.
        """
        clients, block_size, window = (int(word) for word in text.split(":"))
        if clients < 1 or not 8 <= block_size <= 65464 or not 0 <= window <= 65535:
            raise ValueError("out of range")
        return cls(clients, block_size, window)

    def __str__(self) -> str:
        way = f"window {self.window}" if self.window else "lockstep"
        return f"{self.clients} client{'s' * (self.clients > 1)}, {self.block_size}, {way}"

    @property
    def transfers(self) -> int:
        """How many files are fetched in one run."""
        return max(self.clients, 3)

    @property
    def file(self) -> str:
        """Which file they fetch."""
        return "small" if self.clients > 1 and not self.window else "large"


def measure(
    link: Link,
    servers: Sequence[Server],
    cases: Sequence[Case],
    folder: Path,
    *,
    repeats: int,
    files: Files,
) -> list[Result]:
    """Measure all servers in each case, in turn.

    :raises LabError: if the load generator cannot be built, or a server does not start.
    """
    load, content = folder / "tftpload", folder / "content"
    build(load)
    content.mkdir()
    for name, size in attrs.asdict(files).items():
        (content / name).write_bytes(os.urandom(size))
    with ExitStack() as stack:
        started = []
        for number, server in enumerate(servers, 1):
            address = f"10.99.1.{number}"
            link.server.ip(f"addr add {address}/16 dev {DEVICE}")
            place = Place(folder / "tftp" / server.name, address, content)
            listening = ("src", address, "sport", "=", ":69")
            started.append(stack.enter_context(running(link, server, place, *listening)))
        results = []
        for case in cases:
            rounds = [[fetch(link, load, each, case) for each in started] for _ in range(repeats)]
            runs = zip(*rounds, strict=True)
            results += [_result(*each, case) for each in zip(started, runs, strict=True)]
        return results


def build(target: Path) -> None:
    """Compile the load generator.

    :raises LabError: with what the compiler says.
    """
    run("cc", "-O2", "-o", str(target), str(SOURCE / "tftpload.c"))


def fetch(link: Link, load: Path, server: Running, case: Case) -> dict[str, Any]:
    """Fetch the case's file as often as it says, and compare it with that in the server's place.

    Return what the generator counted, and ``cpu``, the server's seconds of processor time.
    """
    server.check()
    place = server.place
    command = (
        *(str(load), "-H", place.address, "-f", case.file, "-r", str(place.content / case.file)),
        *("-c", str(case.clients), "-n", str(case.transfers), "-b", str(case.block_size)),
        *("-w", str(case.window), "-t", f"{_LIMIT:g}"),
    )
    before = server.cpu()
    output = link.run(command, _LIMIT + 10)
    try:
        counted: dict[str, Any] = json.loads(output)
    except ValueError:
        raise LabError(f"{load.name}: {output.strip()}") from None
    return counted | {"cpu": server.cpu() - before}


def _result(server: Running, runs: Sequence[dict[str, Any]], case: Case) -> Result:
    failures = [_failure(each) for each in runs if each["ok"] < case.transfers]
    return Result(
        benchmark="tftp",
        case=str(case),
        server=server.server.name,
        ours=server.server.ours,
        unit="MB/s",
        values=() if failures else tuple(each["MBps"] for each in runs),
        cost=0.0 if server.server.forks else statistics.median(_cost(each) for each in runs),
        cost_unit="ms/MB",
        note=failures[0] if failures else _note(runs),
    )


def _note(runs: Sequence[dict[str, Any]]) -> str:
    last = runs[-1]
    busy = statistics.median(each["gen_cpu"] / each["sec"] for each in runs)
    return f"got {last['blk']}, window {last['win']}, load busy {busy:.0%}"


def _failure(counted: dict[str, Any]) -> str:
    why = counted["why"] or f"{counted['unfinished']} unfinished after {_LIMIT:g} s"
    return f"{counted['failed'] + counted['unfinished']} transfers failed: {why}"


def _cost(counted: dict[str, Any]) -> float:
    megabytes = counted["MBps"] * counted["sec"]
    return counted["cpu"] * 1e3 / megabytes if megabytes else 0.0
