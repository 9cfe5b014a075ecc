"""DHCP: the highest rate of complete exchanges (DISCOVER to ACK) with less than 1 % lost.

perfdhcp of Kea's kea-admin plays a relay with many clients. The rate is found by doubling and
halving the interval, in a bounded number of short probes, and then confirmed by longer runs.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import attrs

from benchmarks.namespaces import DEVICE, SERVER, Link, linked
from benchmarks.report import Result
from benchmarks.running import Running, running, used
from benchmarks.servers import Place, Server, mac_of
from bootlab.postgres import Postgres
from bootlab.processes import LabError

LOST = 0.01  # an exchange is lost if it was begun and no ACK came
_KEPT_UP = 0.93  # less than this part of the rate asked for: the generator is at its limit
_AFTER = 0.5  # seconds that perfdhcp waits for the last answers
_TRIES = 2  # before a rate counts as too high: most clients come for the first time in the first
_CONFIRMATIONS = 5  # how often the rate is lowered when it cannot be confirmed
_LOWER = 0.8
_HOPELESS = f"lost {LOST:.0%} or more at every rate tried"


@attrs.frozen
class Search:
    """How thoroughly to look: lengths in seconds; `precision` is the interval left at the end."""

    probe: float = 3.0
    confirm: float = 3.0
    repeats: int = 3
    precision: float = 1.1
    probes: int = 14
    first: int = 1000


@attrs.frozen
class Run:
    """What perfdhcp and the kernel counted in one run: exchanges, and seconds."""

    rate: int
    seconds: float
    begun: int
    completed: int
    delays: tuple[float, ...]  # average milliseconds of OFFER and of ACK
    cpu: float

    @property
    def lost(self) -> float:
        """Which part of the exchanges was lost."""
        return 1 - self.completed / self.begun if self.begun else 1.0

    @property
    def achieved(self) -> float:
        """Complete exchanges in a second."""
        return self.completed / self.seconds

    @property
    def good(self) -> bool:
        """Whether the server kept up with the rate."""
        return self.lost < LOST and self.achieved > _KEPT_UP * self.rate


def measure(
    link: Link, servers: Sequence[Server], cases: Sequence[int], folder: Path, search: Search
) -> list[Result]:
    """Measure each server with each number of distinct clients, one after the other."""
    return [
        _measured(link, server, clients, folder / "dhcp" / server.name, search)
        for clients in cases
        for server in servers
    ]


def _measured(link: Link, server: Server, clients: int, folder: Path, search: Search) -> Result:
    try:
        with _load(link, server, folder) as load:

            def attempt(rate: int, seconds: float) -> Run:
                return load.run(rate, clients, seconds)

            def good(rate: int) -> bool:
                return any(attempt(rate, search.probe).good for _ in range(_TRIES))

            top = highest(good, search)
            runs = _confirmed(attempt, top, search) if top else []
        note = _delays(runs) if runs else f"{top}/s at first, but not again" if top else _HOPELESS
    except LabError as error:
        runs, note = [], str(error).partition("\n")[0]
    return Result(
        benchmark="dhcp",
        case=f"{clients} clients",
        server=server.name,
        ours=server.ours,
        unit="exchanges/s",
        values=tuple(run.achieved for run in runs),
        cost=statistics.median(run.cpu / run.completed * 1e6 for run in runs) if runs else 0.0,
        cost_unit="µs each",
        note=note,
    )


def highest(good: Callable[[int], bool], search: Search) -> int:
    """Return the highest rate found good; 0 if none was."""
    low, high, rate = 0, 0, search.first
    for _ in range(search.probes):
        if good(rate):
            low = rate
        else:
            high = rate
        if high and (high <= low * search.precision or high < 20):
            break
        if not high:
            rate = low * 2
        else:
            rate = (low + high) // 2
    return low


def _confirmed(attempt: Callable[[int, float], Run], rate: int, search: Search) -> list[Run]:
    """Run at a rate several times; lower it if most of the runs lose too much."""
    runs: list[Run] = []
    for _ in range(_CONFIRMATIONS):
        runs = [attempt(rate, search.confirm) for _ in range(search.repeats)]
        if statistics.median(run.lost for run in runs) < LOST:
            return runs
        rate = int(rate * _LOWER)
    return []


def _delays(runs: Sequence[Run]) -> str:
    offer, ack = (statistics.median(run.delays[i] for run in runs) for i in (0, 1))
    lost = statistics.median(run.lost for run in runs)
    return f"asked {runs[0].rate}/s, lost {lost:.2%}, OFFER {offer:.2g} ms, ACK {ack:.2g} ms"


@contextmanager
def _load(link: Link, server: Server, folder: Path) -> Iterator[_Load]:
    """Start a server with its database, each of its processes on a link of its own."""
    with ExitStack() as stack:
        database = stack.enter_context(closing(server.database())) if server.database else None
        pairs = []
        for number in range(server.processes):
            each = stack.enter_context(linked(f"bench{number}")) if number else link
            place = Place(folder / str(number), SERVER, database=database)
            run = stack.enter_context(running(each, server, place, "sport", "=", ":67"))
            pairs.append((each, run))
        yield _Load(pairs, database)


@attrs.frozen
class _Load:
    """The processes of one server, each with the link on which it is asked, and its database."""

    pairs: Sequence[tuple[Link, Running]]
    database: Postgres | None

    def run(self, rate: int, clients: int, seconds: float) -> Run:
        """Ask all processes at once, each for its share of the rate and by its own clients."""
        for _, server in self.pairs:
            server.settle()
        before = self._cpu()
        with ThreadPoolExecutor(len(self.pairs)) as threads:
            share = len(self.pairs)
            each = clients // share
            outputs = threads.map(
                lambda number: self.pairs[number][0].run(
                    _perfdhcp(mac_of(number * each), rate // share, each, seconds),
                    seconds + _AFTER + 20,
                ),
                range(share),
            )
            parts = [_counted(output) for output in outputs]
        cpu = self._cpu() - before
        begun, completed = (sum(counts) for counts in list(zip(*parts, strict=True))[:2])
        delays = tuple(map(statistics.mean, zip(*(part[2] for part in parts), strict=True)))
        return Run(rate, seconds, begun, completed, delays, cpu)

    def _cpu(self) -> float:
        database = used(self.database.pid) if self.database else 0.0
        return database + sum(server.cpu() for _, server in self.pairs)


def _perfdhcp(first: str, rate: int, clients: int, seconds: float) -> Sequence[str]:
    """Count the MACs up from the first one."""
    return (
        *("perfdhcp", "-4", "-l", DEVICE, "-r", str(rate), "-R", str(clients)),
        *("-b", f"mac={first}"),
        *("-p", f"{seconds:g}", "-W", f"{_AFTER * 1e6:.0f}", SERVER),
    )


def _counted(output: str) -> tuple[int, int, tuple[float, ...]]:
    """Return the exchanges begun and completed, and the delays, that perfdhcp has printed."""
    sent, received = (
        [int(number) for number in re.findall(rf"^{word} packets: (\d+)", output, re.M)]
        for word in ("sent", "received")
    )
    delays = tuple(map(float, re.findall(r"^avg delay: ([\d.]+)", output, re.M)))
    if len(sent) != 2 or len(received) != 2:
        raise LabError(f"perfdhcp: {output.strip()[-200:]}")
    return sent[0], received[1], delays
