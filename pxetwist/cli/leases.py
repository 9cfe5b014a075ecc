"""``pxetwist leases FILE``: who has which address; export, import and release."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from twisted.python import usage

from pxetwist.cli.file_options import FileOptions
from pxetwist.cli.printing import table
from pxetwist.config.assemble import Assembly
from pxetwist.config.bind import did_you_mean
from pxetwist.errors import PxeError
from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.desk import Desk
from pxetwist.state.foreign_leases import FORMATS, Foreign, detect
from pxetwist.state.grouped import GroupedLeases
from pxetwist.tap import assembled

_FIELDS = ("address", "hostname", "key", "network", "state", "ends")


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE [options]"
    longdesc = (
        "Lists the leases of the INI's state. Running servers know of releases and imports within"
        " a second or two."
    )
    optParameters = [
        ["network", "n", None, "Only [subnet:NAME] and [subnet6:NAME]."],
        ["release", "r", None, "Take an address back from whoever has it."],
        ["import", "i", None, "Take over the leases of another server's lease file."],
        [
            "format",
            "f",
            None,
            f"What is imported: {', '.join(FORMATS)}; told by itself if not given.",
        ],
    ]
    optFlags = [
        ["all", "a", "List those that have ended as well."],
        ["json", "j", "Print one JSON object a line."],
        ["csv", "c", "Print CSV with a head line."],
    ]

    def postOptions(self) -> None:
        """Check what was given."""
        if sum(bool(self[each]) for each in ("release", "import", "json", "csv")) > 1:
            raise usage.UsageError("one of --release, --import, --json and --csv at a time")
        if self["format"] and self["format"] not in FORMATS:
            raise usage.UsageError(f"--format: expected one of {', '.join(FORMATS)}")
        if self["release"]:
            try:
                self["release"] = ip_address(self["release"])
            except ValueError as error:
                raise usage.UsageError(f"--release: {error}") from None


def run(options: Options) -> int:
    """List, export, import or release."""
    assembly = assembled(Path(options["file"]))
    desk, now = _desk(assembly), time.time()
    if options["release"]:
        return _release(desk, options, now)
    if options["import"]:
        return _import(desk, assembly, options, now)
    leases = list(desk.leases())
    names = _names(assembly, leases, options["network"]) if options["network"] else None
    found = [
        lease
        for lease in leases
        if (options["all"] or lease.ends > now) and (names is None or lease.network in names)
    ]
    if options["json"]:
        for lease in found:
            print(json.dumps(_fields(lease)))
    elif options["csv"]:
        writer = csv.DictWriter(sys.stdout, _FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(_fields, found))
    else:
        print("\n".join(_listed(found)))
    return 0


def _names(assembly: Assembly, leases: Sequence[Lease], name: str) -> Collection[str]:
    """Return the names by which leases know a network, or two of both families."""
    configuration = assembly.configuration
    known = {*configuration.networks, *(each.network for each in leases)}
    known |= {each.leases.name for each in configuration.networks6.values()}
    found = known & {name, f"subnet6:{name}"}
    if not found:
        raise PxeError(f"--network: there is no [subnet:{name}]{did_you_mean(name, known)}")
    return found


def _desk(assembly: Assembly) -> Desk:
    [(name, store)] = assembly.of_kind("state")
    if not isinstance(store, GroupedLeases):
        raise PxeError(f"[state:{name}] keeps no leases; sqlite and postgresql do")
    return store.desk()


def _release(desk: Desk, options: Options, now: float) -> int:
    wish = Lease(options["release"], "", now, state=LeaseState.RELEASED)
    [refusal] = desk.carry_out([wish], now)
    print(refusal or f"{wish.address} is free")
    return 1 if refusal else 0


def _import(desk: Desk, assembly: Assembly, options: Options, now: float) -> int:
    path = Path(options["import"])
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise PxeError(f"cannot read {path}: {error.strerror}") from None
    found = FORMATS[options["format"] or detect(text)](text, now)
    notes, wishes, lines = list(found.notes), [], []
    for each in found.leases.values():
        network = _network(assembly, each)
        if not network:
            notes.append((each.line, f"{each.address} is in no [subnet:…]"))
        elif each.ends > now:
            wishes.append(
                Lease(each.address, each.mac, each.ends, network, each.hostname, LeaseState.LEASED)
            )
            lines.append(each.line)
    answers = desk.carry_out(wishes, now) if wishes else []
    notes += [pair for pair in zip(lines, answers, strict=True) if pair[1]]
    for line, note in sorted(notes):
        print(f"{path}:{line}: {note}", file=sys.stderr)
    taken = answers.count("")
    over = len(found.leases) - len(wishes) - sum("in no [subnet" in note for _, note in notes)
    print(f"{taken} leases taken over, {over} have ended, {len(notes)} not taken over")
    return 1 if notes else 0


def _network(assembly: Assembly, lease: Foreign) -> str:
    networks = assembly.configuration.networks.values()
    return next((each.name for each in networks if lease.address in each.network), "")


def _fields(lease: Lease) -> dict[str, str]:
    ends = datetime.fromtimestamp(lease.ends).astimezone().isoformat(timespec="seconds")
    values = (str(lease.address), lease.hostname, lease.key, lease.network, lease.state.value)
    return dict(zip(_FIELDS, (*values, ends), strict=True))


def _listed(found: Sequence[Lease]) -> Sequence[str]:
    if not found:
        return ["no leases"]
    rows = [tuple(name.upper() for name in _FIELDS)]
    rows += [tuple(_fields(lease).values()) for lease in found]
    return list(table(rows))
