"""Look-ups of machines in a real OpenLDAP, without a memory: pxetwist beside ldapsearch.

Both ask one slapd on loopback the same filters for the same attributes over TLS; a case is the
number of connections that ask at the same time. pxetwist has many machines to look for at once,
as when a site is switched on; ldapsearch has the whole list from the beginning as well.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.epollreactor import EPollReactor

from benchmarks.report import Result
from benchmarks.servers import Server
from bootlab import slapd
from bootlab.certificates import Authority
from bootlab.processes import LabError
from bootlab.slapd import ACCOUNT, BASE, Slapd
from pxetwist.hosts.ldap.plugin import LdapDirectory, Settings
from pxetwist.hosts.ldap.settings import uri
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import make_site

#: Who is measured; only their names are of use here, for neither is started as a server.
SERVERS = (
    Server("pxetwist", str(Path(sys.executable).with_name("twistd")), lambda _: ()),
    Server("ldapsearch", "ldapsearch", lambda _: ()),
)
_PATIENCE = 120.0  # seconds that one run may take


@attrs.frozen
class Size:
    """How many machines there are, how many are looked for in a run, and how many runs."""

    machines: int = 10_000
    lookups: int = 8000
    repeats: int = 3
    at_once: int = 256


@attrs.frozen
class Rate:
    """What one run came to: look-ups per second, microseconds of processor time for each.

    `server` is what each costs slapd, and `share` how much of one core that has used.
    """

    rate: float
    cost: float
    server: float
    share: float


class Stopwatch:
    """Time, and the processor time of slapd, from when it is made."""

    def __init__(self, server: Slapd) -> None:
        assert server.process is not None
        self._pid = server.process.pid
        self._began, self._used = time.monotonic(), used(self._pid)

    def rate(self, lookups: int, cost: float) -> Rate:
        """Return what so many look-ups came to that have cost so many seconds here."""
        took, there = time.monotonic() - self._began, used(self._pid) - self._used
        each = 1e6 / lookups
        return Rate(lookups / took, cost * each, there * each, there / took)


def used(pid: int) -> float:
    """Return the processor time of a process, in seconds, its threads and kernel included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    chosen: Sequence[Server], cases: Sequence[int], folder: Path, size: Size
) -> list[Result]:
    """Let each of those chosen look machines up, in turn, in each repeat.

    :raises LabError: if slapd does not start, or a machine is not found.
    """
    place = folder / "ldap"
    place.mkdir()
    server = Slapd(place / "slapd", Authority(place / "ca.pem"))
    records = (slapd.device(f"cn=pc{n},ou=Many", f"macAddress: {_mac(n)}") for n in _all(size))
    server.load([slapd.unit("ou=Many"), *records])
    run: dict[str, Callable[[Slapd, int, Size], Rate]] = {
        "pxetwist": look_up,
        "ldapsearch": search,
    }
    with ExitStack() as stack:
        server.start()
        stack.callback(server.stop)
        results = []
        for connections in cases:
            rates: dict[str, list[Rate]] = {each.name: [] for each in chosen}
            for _ in range(size.repeats):
                for each in chosen:
                    rates[each.name].append(run[each.name](server, connections, size))
            results += [_result(each, connections, rates[each.name]) for each in chosen]
    return results


def _result(server: Server, connections: int, rates: Sequence[Rate]) -> Result:
    return Result(
        benchmark="ldap",
        case=f"{connections} connections",
        server=server.name,
        ours=server.ours,
        unit="look-ups/s",
        values=tuple(each.rate for each in rates),
        cost=sum(each.cost for each in rates) / len(rates),
        cost_unit="us/look-up",
        note=f"slapd {statistics.mean(each.server for each in rates):.0f} us/look-up,"
        f" {statistics.mean(each.share for each in rates):.0%} of a core",
    )


def settings(server: Slapd, connections: int) -> Settings:
    """Return how pxetwist asks: for machines alone, for ldapsearch asks for no groups either."""
    return Settings(
        uri=(uri(server.uri),),
        ca_file=server.authority.file,
        bind_dn=ACCOUNT,
        bind_password_file=slapd.PASSWORD,
        base=BASE,
        groups="none",
        timeout=_PATIENCE,
        pool=connections,
    )


def look_up(server: Slapd, connections: int, size: Size) -> Rate:
    """Ask pxetwist's directory for machines, so many at a time, over so many connections."""
    reactor = _reactor()
    site = make_site(reactor=reactor, name="benchmark")
    directory = LdapDirectory(settings(server, connections), site)
    directory.startService()
    outcome: list[object] = []
    rates: list[Rate] = []

    async def part(first: int, step: int) -> None:
        for number in range(first, size.lookups, step):
            machine = await directory.find_machine(
                ClientIdentity(mac=_mac(number % size.machines))
            )
            if machine is None or machine.name != f"pc{number % size.machines}":
                raise LabError(f"pxetwist: pc{number % size.machines} is not found")

    async def parts(step: int) -> None:
        await gatherResults([Deferred.fromCoroutine(part(n, step)) for n in range(step)])

    async def all_parts() -> None:
        # connections are open before the clock starts, as are those of a server that runs
        await gatherResults(
            [Deferred.fromCoroutine(part(size.lookups - 1, 1)) for _ in range(connections)]
        )
        watch, began = Stopwatch(server), time.process_time()
        await parts(size.at_once)
        rates.append(watch.rate(size.lookups, time.process_time() - began))

    async def whole() -> None:
        try:
            await all_parts()
        finally:
            await maybeDeferred(directory.stopService)

    reactor.callWhenRunning(
        lambda: (
            Deferred.fromCoroutine(whole())
            .addBoth(outcome.append)
            .addBoth(lambda _: reactor.stop())
        )
    )
    reactor.run(installSignalHandlers=False)
    if not rates:
        raise LabError(f"pxetwist: {outcome}")
    return rates[0]


def search(server: Slapd, connections: int, size: Size) -> Rate:
    """Let as many ldapsearch as there are connections each ask its part, one after the other."""
    schema = settings(server, connections).described()
    folder = server.file.parent
    where = f"ldaps://127.0.0.1:{uri(server.uri).port}"  # it takes localhost for this host's name
    words = ["ldapsearch", "-x", "-LLL", "-H", where, "-D", ACCOUNT, "-w", slapd.PASSWORD]
    environment = {**os.environ, "LDAPTLS_CACERT": str(server.authority.file)}
    parts = []
    for first in range(connections):
        numbers = range(first, size.lookups, connections)
        identities = (ClientIdentity(mac=_mac(n % size.machines)) for n in numbers)
        file = folder / f"filters-{first}"
        file.write_text(
            "".join(f"{str(next(schema.filters(each)))[1:-1]}\n" for each in identities)
        )
        parts.append([*words, "-b", BASE, "-f", str(file), "(%s)", *schema.attributes])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watch = Stopwatch(server)
    with ExitStack() as stack:
        outputs = [
            stack.enter_context((folder / f"out-{n}").open("wb")) for n in range(connections)
        ]
        running = [
            subprocess.Popen(command, stdout=output, env=environment)
            for command, output in zip(parts, outputs, strict=True)
        ]
        codes = [each.wait(_PATIENCE) for each in running]
    taken = watch.rate(size.lookups, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = sum((folder / f"out-{n}").read_bytes().count(b"dn: ") for n in range(connections))
    if any(codes) or found != size.lookups:
        raise LabError(f"ldapsearch found {found} of {size.lookups} machines")
    cost = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return attrs.evolve(taken, cost=cost / size.lookups * 1e6)


def _reactor() -> Any:
    """Return a reactor of its own for each run, for none starts twice."""
    return EPollReactor()


def _all(size: Size) -> range:
    return range(size.machines)


def _mac(number: int) -> str:
    return f"52:54:01:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
