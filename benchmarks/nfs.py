"""NFS 3: large reads, single questions, a copy by libnfs, and machines that read their root.

The load generator of this folder compares every byte with the files themselves. All servers run at
once, each on an address of its own, and take turns: in each round every one is measured once.
"""

from __future__ import annotations

import filecmp
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

from benchmarks.namespaces import DEVICE, Link
from benchmarks.report import Result
from benchmarks.running import Running, running
from benchmarks.servers import NFS_EXPORTS, Place, Server
from bootlab.processes import LabError, run

SOURCE = Path(__file__).parent / "load" / "nfsload.c"
_LIMIT = 120.0  # seconds after which a run has failed
#: Copies are written to memory: how long a disk takes for one varies eightfold.
_MEMORY = "/dev/shm"


@attrs.frozen
class Case:
    """What the load generator does (``copy``: nfs-cp does it); over how many connections, how many
    questions of each wait for an answer, and how many of 1,000 units (reads, calls, files) there
    are in one run of full size. Reads ask for so many bytes.
    """

    mode: str
    connections: int = 1
    depth: int = 1
    count: int = 1000
    read_size: int = 1 << 20

    @property
    def by_bytes(self) -> bool:
        """Whether it is measured by its bytes."""
        return self.mode in ("read", "copy", "tree")


CASES: Mapping[str, Case] = {
    "read": Case("read", depth=4, count=3000),
    "lockstep": Case("read", count=1500),
    "read16": Case("read", connections=16, depth=4, count=4000),
    "getattr": Case("getattr", connections=8, depth=8, count=60_000),
    "lookup": Case("lookup", connections=8, depth=8, count=60_000),
    "copy": Case("copy"),
    "diskless": Case("tree", connections=64, depth=2, count=300, read_size=256 << 10),
}


def case(word: str) -> str:
    """Return the name of a case.

    :raises ValueError: if there is none of this name.
    """
    if word not in CASES:
        raise ValueError(f"expected one of {', '.join(CASES)}")
    return word


@attrs.frozen
class Load:
    """The size of the file that is copied, in bytes, and of that which is read over and over; that
    of each of the files of a root, and how many there are; what part of each case's questions is
    asked; how many runs there are.
    """

    large: int = 500_000_000
    medium: int = 100_000_000
    piece: int = 1_000_000
    pieces: int = 300
    part: float = 1.0
    repeats: int = 3


def measure(
    link: Link, servers: Sequence[Server], cases: Sequence[str], folder: Path, load: Load
) -> list[Result]:
    """Measure all servers in each case, in turn.

    :raises LabError: if the load generator cannot be built, or a server does not start, or gives
        anything but what is asked for.
    """
    generator, content = folder / "nfsload", folder / "root"
    run("cc", "-O2", "-o", str(generator), str(SOURCE))
    content.mkdir()
    _fill(content / "large", load.large)
    _fill(content / "medium", load.medium)
    for number in range(load.pieces):
        _fill(content / str(number), load.piece)
    os.sync()  # else the disk is busy with it while the first runs are measured
    with ExitStack() as stack:
        started = []
        for number, server in enumerate(servers, 1):
            address = f"10.99.3.{number}"
            link.server.ip(f"addr add {address}/16 dev {DEVICE}")
            place = Place(folder / "nfs" / server.name, address, content)
            listening = ("src", address, "sport", "=", ":2049")
            started.append(stack.enter_context(running(link, server, place, *listening)))
        results = []
        for name in cases:
            rounds = [
                [_run(link, generator, each, name, load) for each in started]
                for _ in range(load.repeats)
            ]
            runs = zip(*rounds, strict=True)
            results += [_result(*each, name) for each in zip(started, runs, strict=True)]
        return results


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for begin in range(0, size, 1 << 24):
            file.write(os.urandom(min(1 << 24, size - begin)))


@attrs.frozen
class Run:
    """Megabytes or calls a second, how long it took, and the server's processor time: for a
    megabyte in milliseconds or for a call in microseconds.
    """

    rate: float
    seconds: float
    cost: float


def _run(link: Link, generator: Path, server: Running, name: str, load: Load) -> Run:
    server.check()
    server.settle()
    asked, before = CASES[name], server.cpu()
    if asked.mode == "copy":
        seconds, amount = _copy(link, server)
    else:
        seconds, amount = _generate(link, generator, server, asked, load)
    cost = (server.cpu() - before) / amount * (1e3 if asked.by_bytes else 1e6)
    return Run(amount / seconds, seconds, cost)


def _generate(
    link: Link, generator: Path, server: Running, asked: Case, load: Load
) -> tuple[float, float]:
    count = load.pieces if asked.mode == "tree" else max(16, int(asked.count * load.part))
    place = server.place
    command = (
        *(str(generator), "-H", place.address, "-e", NFS_EXPORTS[server.server.name](place)),
        *("-d", str(place.content), "-m", asked.mode, "-c", str(asked.connections)),
        *("-q", str(asked.depth), "-s", str(asked.read_size), "-n", str(count)),
        *("-f", "medium", "-t", f"{_LIMIT:g}"),
    )
    output = link.run(command, _LIMIT + 20)
    try:
        counted = json.loads(output)
    except ValueError:
        raise LabError(f"{generator.name}: {output.strip()}") from None
    if not counted["ok"]:
        raise LabError(f"{server.server.name}, {asked.mode}: {counted['why']}")
    return counted["sec"], counted["MB"] if asked.by_bytes else counted["ops"]


def _copy(link: Link, server: Running) -> tuple[float, float]:
    place = server.place
    source = place.content / "large"
    url = f"nfs://{place.address}{NFS_EXPORTS[server.server.name](place)}/large"
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        target = Path(folder, "copy")
        begun = time.monotonic()
        output = link.run(("nfs-cp", f"{url}?nfsport=2049&mountport=20048", str(target)), _LIMIT)
        seconds = time.monotonic() - begun
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            raise LabError(f"nfs-cp {url}: {output.strip()[-300:]}")
    return seconds, source.stat().st_size / 1e6


def _result(server: Running, runs: Sequence[Run], name: str) -> Result:
    asked = CASES[name]
    last = statistics.median(each.seconds for each in runs)
    return Result(
        benchmark="nfs",
        case=name,
        server=server.server.name,
        ours=server.server.ours,
        unit="MB/s" if asked.by_bytes else "calls/s",
        values=tuple(each.rate for each in runs),
        cost=statistics.median(each.cost for each in runs),
        cost_unit="ms/MB" if asked.by_bytes else "µs each",
        note=f"{asked.connections} x {asked.depth} at a time, {last:.2f} s",
    )
