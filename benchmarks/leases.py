"""A million leases: how long the start takes, how much memory they need, and what an address
costs while a pool is nearly empty, half full, nearly full and full. No packet is sent.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs
from twisted.internet.epollreactor import EPollReactor

from benchmarks.report import Result
from benchmarks.resolve import SERVERS
from bootlab.processes import LabError, run
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState, Network, Pool
from pxetwist.state import sqlite
from pxetwist.state.leasefile import LeaseFile
from pxetwist.testing import make_site, result_of

__all__ = ["CASES", "SERVERS", "Size", "case", "measure"]

NOW = 4_000_000_000.0  # far in the future: nothing is old enough to be forgotten
FIRST = int(IPv4Address("10.0.0.1"))
_BATCH = 50_000
_ROOT = Path(__file__).parent.parent


@attrs.frozen
class Size:
    """How many leases there are, how many are asked for in a run, and how many runs."""

    leases: int = 1_000_000
    asked: int = 5000
    repeats: int = 3


#: Each case, the pool's size as a multiple of the leases, and how many of them are there.
_FILLED = {"of16m": (16, 1.0), "1%": (1, 0.01), "50%": (1, 0.5), "99%": (1, 0.99), "100%": (1, 1)}
CASES = tuple(_FILLED)


def case(word: str) -> str:
    """Return the name of a case."""
    if word not in CASES:
        raise ValueError(f"expected one of {', '.join(CASES)}")
    return word


def measure(cases: Sequence[str], folder: Path, size: Size) -> list[Result]:
    """Measure each case, in a file of its own.

    :raises LabError: if clients get what they must not get.
    """
    results = []
    for each in cases:
        multiple, share = _FILLED[each]
        path = folder / f"{int(share * 100)}-{multiple}.sqlite"
        count = round(size.leases * share)
        fill(path, count)
        runs = [_run(path, size.leases * multiple, count, size) for _ in range(size.repeats)]
        used = count / (size.leases * multiple)
        results.append(
            Result(
                benchmark="leases",
                case=f"{count} leases, {used:.3g} of the pool",
                server="pxetwist",
                ours=True,
                unit="offers/s",
                values=tuple(1e6 / run.cost for run in runs),
                cost=statistics.median(run.cost for run in runs),
                cost_unit="us each",
                note=f"start {statistics.median(run.start for run in runs):.1f} s of a core,"
                f" first offer {statistics.median(run.first for run in runs) * 1e3:.0f} ms,"
                f" {runs[0].memory / 1e6:.0f} MB, {runs[0].memory / max(count, 1):.0f} B a lease",
            )
        )
    return results


@attrs.frozen
class _Run:
    """Seconds of processor time to start and for the first offer, bytes of memory for the leases,
    microseconds for each further offer.
    """

    start: float
    first: float
    memory: int
    cost: float


def fill(path: Path, count: int) -> None:
    """Store so many leases as a server does."""
    file = LeaseFile(path, "normal")
    batch: list[Lease] = []
    for lease in _leases(count):
        batch.append(lease)
        if len(batch) == _BATCH:
            file.store(batch)
            batch.clear()
    file.store(batch)
    file.close()


def _leases(count: int) -> Iterator[Lease]:
    for number in range(count):
        address = IPv4Address(FIRST + number)
        yield Lease(address, _mac(number), NOW + 3600, "lab", f"pc{number}", LeaseState.LEASED)


def _run(path: Path, addresses: int, count: int, size: Size) -> _Run:
    """Run in a process of its own: memory that was used before would be used again."""
    words = (str(path), str(addresses), str(count), str(size.asked))
    return _Run(**json.loads(run(sys.executable, "-m", "benchmarks.leases", *words, cwd=_ROOT)))


def _child(path: Path, addresses: int, count: int, asked: int) -> _Run:
    before, began = _memory(), time.process_time()
    site = make_site(reactor=EPollReactor(), name="leases", state_folder=path.parent)
    store = sqlite.build(sqlite.Settings(file=str(path)), site)
    store.startService()
    start = time.process_time() - began
    memory = _memory() - before
    network = _network(addresses)
    clients = [ClientIdentity(mac=_mac(1 << 24 | number)) for number in range(asked)]
    began = time.process_time()
    result_of(store.offer(ClientIdentity(mac=_mac(1 << 25)), network, None, None, (), NOW))
    first, used = time.process_time() - began, time.process_time()
    given = [result_of(store.offer(each, network, None, None, (), NOW)) for each in clients]
    cost = (time.process_time() - used) / asked * 1e6
    offered = [lease.address for lease in given if lease is not None]
    if any(int(each) < FIRST + count for each in offered):
        raise LabError("leases: an address was given twice")
    if addresses > count and not offered:
        raise LabError("leases: nobody got an address")
    return _Run(start, first, memory, cost)


def _network(addresses: int) -> Network:
    pool = Pool(IPv4Address(FIRST), IPv4Address(FIRST + addresses - 1))
    return Network("lab", IPv4Network("10.0.0.0/8"), (pool,))


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _mac(number: int) -> str:
    digits = f"{number:010x}"
    return "02:" + ":".join(digits[i : i + 2] for i in range(0, 10, 2))


if __name__ == "__main__":
    _path, *_numbers = sys.argv[1:]
    print(json.dumps(attrs.asdict(_child(Path(_path), *map(int, _numbers)))))
    sys.stdout.flush()
    os._exit(0)  # the store's thread has nothing to say any more
