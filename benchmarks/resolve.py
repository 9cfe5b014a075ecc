"""Decisions: who is this machine and what does it boot, asked as the services ask.

No server is started and no packet is sent: the decision alone is measured, in this process.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from benchmarks.report import Result
from benchmarks.servers import Server
from bootlab.processes import LabError
from pxetwist.boot.facade import BootFacade
from pxetwist.config.fields import lines
from pxetwist.hosts import static
from pxetwist.hosts.cache import CacheSettings, cached
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol, Resolution, Verdict
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import rules
from pxetwist.testing import make_site, result_of
from pxetwist.wire.iana import Architecture

#: Who is measured; only the name is of use here.
SERVERS = (Server("pxetwist", str(Path(sys.executable).with_name("twistd")), lambda _: ()),)
CASES = ("static", "cached", "slow", "storm")
#: What the slow directory needs for an answer, in seconds.
SLOWNESS = 0.2
#: When a ROM asks, in seconds from its first attempt; after the last it waits 32 (PXE 2.1).
ATTEMPTS = (0, 4, 12, 28)
_RULES = """
    group=Exam-PCs arch=arm64 -> exam
    room=a* -> desk
    room=b12 -> desk
    unknown -> desk
"""


@attrs.frozen
class Size:
    """How many machines there are, how many decisions a run has, and how many runs."""

    machines: int = 10_000
    decisions: int = 50_000
    storm: int = 1000
    repeats: int = 3


@attrs.frozen
class Run:
    """What one run came to: decisions per second, microseconds of processor time for each."""

    rate: float
    cost: float
    note: str


@implementer(IHostDirectory)
class SlowDirectory:
    """Knows every machine of the site, after a while."""

    def __init__(self, reactor: Any, slowness: float) -> None:
        self._reactor = reactor
        self._slowness = slowness

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Wait, then make the machine up."""
        if self._slowness:
            await deferLater(self._reactor, self._slowness)
        return Machine(f"pc-{identity.mac}", (identity.mac,), labels={"room": "b12"})


class Bench:
    """A boot facade with one directory and a policy of rules, and requests of all machines."""

    def __init__(self, folder: Path, size: Size) -> None:
        # A reactor of its own for each run, for none starts twice.
        self.reactor: Any = EPollReactor()
        self.size = size
        self._folder = folder
        self._boot = BootFacade(self.reactor, networks={}, state_folder=folder)

    def attach(self, directory: IHostDirectory) -> None:
        """Let this directory know the machines."""
        profiles = {name: BootProfile(name, ProfileKind.LOCAL) for name in ("exam", "desk")}
        site = make_site(reactor=self.reactor, name="main", profiles=profiles)
        policy = rules.build(rules.Settings(rules=lines(_RULES)), site)
        self._boot.attach(
            hosts=[("site", directory)],
            policies=[("main", policy)],
            content=(),
            observers=(),
            leases=None,
        )

    def static(self) -> IHostDirectory:
        """Return a directory of all machines in a file."""
        file = self._folder / "hosts.csv"
        rows = (f"pc{n},{_mac(n)},b12" for n in range(self.size.machines))
        file.write_text("name,mac,room\n" + "\n".join(rows))
        return static.build(static.Settings(file=(file,)), make_site(reactor=self.reactor))

    def cached(self, slowness: float) -> IHostDirectory:
        """Return the slow directory with its memory."""
        slow = SlowDirectory(self.reactor, slowness)
        site = attrs.evolve(make_site(reactor=self.reactor, name="site"), log=Logger())
        return cached(slow, CacheSettings(), site)

    async def decide(self, number: int) -> Resolution:
        """Do what a DISCOVER leads to."""
        now = self.reactor.seconds()
        identity = ClientIdentity(
            mac=_mac(number), architecture=Architecture.X64_UEFI, firmware=Firmware.UEFI
        )
        boot_id = self._boot.see(identity, BootStage.FIRMWARE, now)
        request = BootRequest(
            identity,
            BootStage.FIRMWARE,
            Protocol.DHCP,
            endpoints=Endpoints("10.0.0.1"),
            boot_id=boot_id,
        )
        return await self._boot.resolve(request)

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Turn the reactor until work is done."""
        outcome: list[object] = []

        def begin() -> None:
            ended = Deferred.fromCoroutine(work()).addBoth(outcome.append)
            ended.addBoth(lambda _: self.reactor.stop())

        self.reactor.callWhenRunning(begin)
        self.reactor.run(installSignalHandlers=False)
        if outcome != [None]:
            raise LabError(f"resolve: {outcome}")


def case(word: str) -> str:
    """Return the name of a case."""
    if word not in CASES:
        raise ValueError(f"expected one of {', '.join(CASES)}")
    return word


def measure(cases: Sequence[str], folder: Path, size: Size) -> list[Result]:
    """Measure each case.

    :raises LabError: if a machine is not decided as it must be.
    """
    run = {"static": _static, "cached": _cached, "slow": _slow, "storm": _storm}
    results = []
    for each in cases:
        runs = [run[each](Bench(folder, size)) for _ in range(size.repeats)]
        results.append(
            Result(
                benchmark="resolve",
                case=each,
                server="pxetwist",
                ours=True,
                unit="decisions/s",
                values=tuple(one.rate for one in runs),
                cost=statistics.median(one.cost for one in runs),
                cost_unit="us each",
                note=runs[-1].note,
            )
        )
    return results


def _static(bench: Bench) -> Run:
    bench.attach(bench.static())
    return _from_memory(bench)


def _cached(bench: Bench) -> Run:
    bench.attach(bench.cached(0.0))
    for number in range(bench.size.machines):
        result_of(bench.decide(number))
    return _from_memory(bench)


def _from_memory(bench: Bench) -> Run:
    """Decide for machines in a random order, one after the other, with nothing to wait for.

    The rate is that of a core that does nothing else: others take time from this one.
    """
    order = random.Random(1)
    numbers = [order.randrange(bench.size.machines) for _ in range(bench.size.decisions)]
    latencies = []
    last, used = time.perf_counter(), time.process_time()
    for number in numbers:
        _check(result_of(bench.decide(number)))
        now = time.perf_counter()
        latencies.append(now - last)
        last = now
    cost = time.process_time() - used
    return Run(len(numbers) / cost, cost / len(numbers) * 1e6, _latencies(latencies))


def _slow(bench: Bench) -> Run:
    """Decide for a thousand machines at a time, each after an answer that takes its time."""
    bench.attach(SlowDirectory(bench.reactor, SLOWNESS))
    rounds, latencies = 3, []
    figures: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        _check(await bench.decide(number))
        latencies.append(time.perf_counter() - began)

    async def work() -> None:
        began, used = time.perf_counter(), time.process_time()
        for _ in range(rounds):
            await gatherResults([Deferred.fromCoroutine(one(n)) for n in range(bench.size.storm)])
        figures.extend((time.perf_counter() - began, time.process_time() - used))

    bench.run(work)
    took, cost = figures
    count = rounds * bench.size.storm
    return Run(count / took, cost / count * 1e6, _latencies(latencies))


def _storm(bench: Bench) -> Run:
    """Power on all machines at once: each asks until it is answered, as often as a ROM does."""
    bench.attach(bench.cached(SLOWNESS))
    answered: list[float] = []
    figures: list[float] = []
    began, used = time.perf_counter(), time.process_time()

    async def machine(number: int) -> None:
        for attempt in ATTEMPTS:
            left = began + attempt - time.perf_counter()
            await deferLater(bench.reactor, max(left, 0))
            if (await bench.decide(number)).verdict is Verdict.PLANNED:
                answered.append(time.perf_counter() - began)
                return

    async def work() -> None:
        machines = [Deferred.fromCoroutine(machine(n)) for n in range(bench.size.storm)]
        await gatherResults(machines)
        figures.append(time.process_time() - used)

    bench.run(work)
    lost = bench.size.storm - len(answered)
    note = f"{bench.size.storm} machines, lost {lost}, the last after {max(answered):.1f} s"
    if lost:
        raise LabError(f"resolve: {note}")
    return Run(len(answered) / max(answered), figures[0] / len(answered) * 1e6, note)


def _check(resolution: Resolution) -> None:
    if resolution.plan is None or resolution.plan.profile != "desk":
        raise LabError(f"resolve: {resolution}")


def _latencies(seconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"half within {cuts[49] * 1e3:.3g} ms, 99 % within {cuts[98] * 1e3:.3g} ms"


def _mac(number: int) -> str:
    return f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
