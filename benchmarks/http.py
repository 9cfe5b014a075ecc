"""HTTP and HTTPS: large files by sendfile, small ones, and scripts made for each request.

`wrk` asks over and over on connections that stay open. All servers run at once, each on an address
of its own, and take turns: in each round every one is measured once.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

from benchmarks.namespaces import DEVICE, Link
from benchmarks.report import Result
from benchmarks.running import Running, running
from benchmarks.servers import Place, Server, certificates
from bootlab.certificates import Authority
from bootlab.processes import LabError

LARGE = 100_000_000
_UNITS = {"": 1e-6, "K": 1e-3, "M": 1.0, "G": 1e3}


@attrs.frozen
class Case:
    """What is asked for, over how many connections; `large` ones are measured by their bytes, and
    `only_ours` is made by nobody else.
    """

    path: str
    connections: int
    scheme: str = "http"
    large: bool = False
    only_ours: bool = False


CASES: Mapping[str, Case] = {
    "large": Case("large", 4, large=True),
    "https": Case("large", 4, "https", large=True),
    "small": Case("small", 64),
    "script": Case("boot.ipxe", 64, only_ours=True),
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
    """How long each run lasts, in seconds, and how many there are."""

    seconds: float = 4.0
    repeats: int = 3


def measure(
    link: Link, servers: Sequence[Server], cases: Sequence[str], folder: Path, load: Load
) -> list[Result]:
    """Measure all servers in each case, in turn.

    :raises LabError: if a server does not start, or gives anything but what is asked for.
    """
    content = folder / "web"
    content.mkdir()
    (content / "small").write_bytes(os.urandom(1024))
    (content / "large").write_bytes(os.urandom(LARGE))
    (folder / "certificates").mkdir()
    authority = Authority(folder / "ca.pem")
    with ExitStack() as stack:
        started = []
        for number, server in enumerate(servers, 1):
            address = f"10.99.2.{number}"
            link.server.ip(f"addr add {address}/16 dev {DEVICE}")
            place = Place(folder / "http" / server.name, address, content)
            authority.issue(certificates(place), address, address)
            listening = ("src", address, "sport", "=", ":443")
            started.append(stack.enter_context(running(link, server, place, *listening)))
        results = []
        for name in cases:
            able = [each for each in started if each.server.ours or not CASES[name].only_ours]
            rounds = [[_run(link, each, name, load) for each in able] for _ in range(load.repeats)]
            results += [
                _result(each, name, runs)
                for each, runs in zip(able, zip(*rounds, strict=True), strict=True)
            ]
        return results


@attrs.frozen
class Run:
    """What wrk counted in one run: requests and megabytes a second; `cost` is the server's
    processor time, for a megabyte in milliseconds or for a request in microseconds.
    """

    rate: float
    cost: float


def _run(link: Link, server: Running, name: str, load: Load) -> Run:
    server.settle()
    asked = CASES[name]
    url = f"{asked.scheme}://{server.place.address}/{asked.path}"
    command = ("wrk", "-t1", f"-c{asked.connections}", f"-d{load.seconds:g}s", url)
    before = server.cpu()
    output = link.run(command, load.seconds + 20)
    cpu = server.cpu() - before
    total = re.search(r"(\d+) requests in ([\d.]+)s, ([\d.]+)([KMG]?)B read", output)
    if total is None or "Non-2xx" in output or float(total[3]) == 0:
        raise LabError(f"wrk {url}: {output.strip()[-300:]}")
    seconds = float(total[2])
    if asked.large:
        megabytes = float(total[3]) * _UNITS[total[4]]
        return Run(megabytes / seconds, cpu / megabytes * 1e3)
    requests = int(total[1])
    return Run(requests / seconds, cpu / requests * 1e6)


def _result(server: Running, name: str, runs: Sequence[Run]) -> Result:
    large = CASES[name].large
    return Result(
        benchmark="http",
        case=name,
        server=server.server.name,
        ours=server.server.ours,
        unit="MB/s" if large else "requests/s",
        values=tuple(run.rate for run in runs),
        cost=statistics.median(run.cost for run in runs),
        cost_unit="ms/MB" if large else "µs each",
        note=f"{CASES[name].connections} connections",
    )
