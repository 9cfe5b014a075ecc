"""The command line: which benchmarks, which servers and cases, how often, how to print."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from benchmarks import answers, dhcp, http, ldap, leases, nfs, resolve, servers, storm, tftp
from benchmarks.namespaces import Link, linked
from benchmarks.report import Result, json_line, table
from benchmarks.servers import Server
from bootlab.processes import LabError

T = TypeVar("T")

_CLIENTS = (1000, 10_000)
_QUICK_SEARCH = dhcp.Search(probe=1, confirm=1, repeats=1, precision=1.3, probes=6)
_TFTP_CASES = tuple(
    tftp.Case(clients, block_size, window)
    for clients in (1, 100)
    for block_size, window in ((512, 0), (1468, 0), (1468, 4), (1468, 16), (1468, 64))
)
_STORMS = tuple(storm.Case(n, window) for n in (100, 1000, 3000) for window in (0, 16))
_QUICK_FILES = tftp.Files(small=1_000_000, large=2_000_000)
_QUICK_TFTP = tuple(tftp.Case(*words) for words in ((1, 1468, 0), (100, 1468, 0), (100, 1468, 16)))


@attrs.frozen
class Benchmark:
    """One benchmark: its servers, and how the words of ``--cases`` become cases."""

    summary: str
    servers: Sequence[Server]
    run: Callable[[Link, Sequence[Server], argparse.Namespace, Path], list[Result]]


def _dhcp(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    search = _QUICK_SEARCH if options.quick else dhcp.Search()
    if options.repeats:
        search = attrs.evolve(search, repeats=options.repeats)
    cases = _cases(options.cases, int, _CLIENTS[:1] if options.quick else _CLIENTS)
    return dhcp.measure(link, chosen, cases, folder, search)


def _tftp(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    cases = _cases(options.cases, tftp.Case.parse, _QUICK_TFTP if options.quick else _TFTP_CASES)
    repeats = options.repeats or (1 if options.quick else 3)
    files = _QUICK_FILES if options.quick else tftp.Files()
    return tftp.measure(link, chosen, cases, folder, repeats=repeats, files=files)


def _storm(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    cases = _cases(options.cases, storm.Case.parse, _STORMS[:1] if options.quick else _STORMS)
    return storm.measure(
        link,
        chosen,
        cases,
        folder,
        repeats=options.repeats or (1 if options.quick else 3),
        files=storm.Files(initrd=1_000_000) if options.quick else storm.Files(),
        picture=options.plot,
    )


def _ldap(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    size = ldap.Size(machines=1000, lookups=500, repeats=1) if options.quick else ldap.Size()
    if options.repeats:
        size = attrs.evolve(size, repeats=options.repeats)
    return ldap.measure(chosen, _cases(options.cases, int, (1, 8)), folder, size)


def _resolve(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    size = resolve.Size()
    if options.quick:
        size = resolve.Size(machines=1000, decisions=5000, storm=200, repeats=1)
    if options.repeats:
        size = attrs.evolve(size, repeats=options.repeats)
    return resolve.measure(_cases(options.cases, resolve.case, resolve.CASES), folder, size)


def _answers(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    size = answers.Size()
    if options.quick:
        size = answers.Size(machines=1000, exchanges=900, repeats=1)
    if options.repeats:
        size = attrs.evolve(size, repeats=options.repeats)
    return answers.measure(
        _cases(options.cases, answers.case, tuple(answers.CASES)), folder / "answers", size
    )


def _http(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    load = http.Load(seconds=1, repeats=1) if options.quick else http.Load()
    if options.repeats:
        load = attrs.evolve(load, repeats=options.repeats)
    cases = _cases(options.cases, http.case, tuple(http.CASES))
    return http.measure(link, chosen, cases, folder, load)


def _nfs(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    load = nfs.Load()
    if options.quick:
        load = nfs.Load(
            large=20_000_000, medium=20_000_000, piece=100_000, pieces=20, part=0.05, repeats=1
        )
    if options.repeats:
        load = attrs.evolve(load, repeats=options.repeats)
    return nfs.measure(
        link, chosen, _cases(options.cases, nfs.case, tuple(nfs.CASES)), folder, load
    )


def _leases(
    link: Link, chosen: Sequence[Server], options: argparse.Namespace, folder: Path
) -> list[Result]:
    size = leases.Size()
    if options.quick:
        size = leases.Size(leases=20_000, asked=500, repeats=1)
    if options.repeats:
        size = attrs.evolve(size, repeats=options.repeats)
    return leases.measure(_cases(options.cases, leases.case, leases.CASES), folder, size)


BENCHMARKS = {
    "answers": Benchmark(
        "what one DHCP exchange costs without a network; a case is plain, uefi or ipxe",
        answers.SERVERS,
        _answers,
    ),
    "dhcp": Benchmark("highest rate of DHCP exchanges; a case is CLIENTS", servers.DHCP, _dhcp),
    "http": Benchmark(
        "bytes and requests per second; a case is large or https (100 MB), small, or script (made"
        " for each request)",
        servers.HTTP,
        _http,
    ),
    "ldap": Benchmark(
        "look-ups of machines per second; a case is CONNECTIONS", ldap.SERVERS, _ldap
    ),
    "leases": Benchmark(
        "offers per second with a million leases; a case is of16m (a pool of 16 million), or how"
        " full a pool of a million is: 1%, 50%, 99% or 100%",
        leases.SERVERS,
        _leases,
    ),
    "nfs": Benchmark(
        "bytes and calls per second; a case is read or lockstep (1 MiB, one connection), read16,"
        " getattr, lookup, copy (500 MB by nfs-cp) or diskless (64 machines read 300 MB each)",
        servers.NFS,
        _nfs,
    ),
    "resolve": Benchmark(
        "decisions per second; a case is static, cached, slow or storm",
        resolve.SERVERS,
        _resolve,
    ),
    "storm": Benchmark(
        "machines that are switched on at once; a case is MACHINES:WINDOW, window 0 for lockstep",
        servers.STORM,
        _storm,
    ),
    "tftp": Benchmark(
        "megabytes per second; a case is CLIENTS:BLOCKSIZE:WINDOW, window 0 for lockstep",
        servers.TFTP,
        _tftp,
    ),
}

#: Names for several of them in one run.
GROUPS = {"content": ("tftp", "http")}


def _cases(text: str, parse: Callable[[str], T], default: Sequence[T]) -> Sequence[T]:
    try:
        return [parse(word) for word in text.split(",")] if text else default
    except ValueError as error:
        raise LabError(f"--cases {text}: {error}") from None


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit code of the process."""
    options = _parser().parse_args(arguments)
    if options.list:
        print(*_listing(), sep="\n")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is taken down
    try:
        results = _measure(options)
    except LabError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(table(results))
    if options.json:
        with options.json.open("a") as file:
            file.writelines(f"{json_line(result, results)}\n" for result in results)
    return 0 if all(result.values for result in results if result.ours) else 1


def _measure(options: argparse.Namespace) -> list[Result]:
    names = _names(options.benchmark)
    _check_servers(names, options.servers)
    if options.cases and len(names) > 1:
        raise LabError("--cases needs the name of one benchmark")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the run", file=sys.stderr)
    results = []
    with linked() as link, tempfile.TemporaryDirectory(prefix="pxetwist-bench-") as folder:
        for name in names:
            benchmark = BENCHMARKS[name]
            chosen = _chosen(benchmark.servers, options.servers)
            results += benchmark.run(link, chosen, options, Path(folder))
    return results


def _names(wanted: Sequence[str]) -> Sequence[str]:
    """Return the benchmarks that are meant, each once; nothing means all."""
    found = [each for name in wanted for each in GROUPS.get(name, (name,))]
    return list(dict.fromkeys(found)) or list(BENCHMARKS)


def _check_servers(names: Sequence[str], wanted: str) -> None:
    """Insist that each server that is named is one of a benchmark that is run."""
    known = {server.name for name in names for server in BENCHMARKS[name].servers}
    for name in wanted.split(",") if wanted else ():
        if name not in known:
            raise LabError(f"there is no server {name!r} (known: {', '.join(sorted(known))})")


def _chosen(known: Sequence[Server], wanted: str) -> Sequence[Server]:
    """Return the servers that are named, else the usual ones that are installed."""
    if not wanted:
        return [server for server in known if server.installed and server.usual]
    by_name = {server.name: server for server in known}
    return [by_name[name] for name in wanted.split(",") if name in by_name]


def _listing() -> Sequence[str]:
    lines = []
    for name, benchmark in BENCHMARKS.items():
        lines.append(f"{name}: {benchmark.summary}")
        for server in benchmark.servers:
            note = "" if server.usual else " (if it is named)"
            lines.append(f"    {server.name}{note if server.installed else ' (not installed)'}")
    lines += [f"{group}: {' and '.join(names)}" for group, names in GROUPS.items()]
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures pxetwist and other servers in turn and prints ratios. Needs root.",
    )
    add = parser.add_argument
    add(
        "benchmark", nargs="*", choices=[[], *BENCHMARKS, *GROUPS], help="which ones; default: all"
    )
    add(
        "--servers",
        default="",
        metavar="A,B",
        help="which ones; default: the usual ones, see --list",
    )
    add("--cases", default="", metavar="A,B", help="instead of the usual ones, see --list")
    add("--repeats", type=int, default=0, metavar="N", help="runs of each case; default: 3")
    add("--quick", action="store_true", help="fewer and shorter runs: less than two minutes")
    add("--json", type=Path, metavar="FILE", help="add the results to a file, as JSON lines")
    add("--plot", type=Path, metavar="FILE", help="draw storms: machines up over time, as SVG")
    add("--list", action="store_true", help="list benchmarks and servers, and leave")
    return parser
