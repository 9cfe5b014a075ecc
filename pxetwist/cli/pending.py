"""``pxetwist pending FILE``: the unknown machines that reported themselves."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from pxetwist.cli.file_options import FileOptions
from pxetwist.cli.printing import printable, table
from pxetwist.config.load import load
from pxetwist.errors import PxeError
from pxetwist.model.discovery import FACTS, Discovery, DiscoveryState
from pxetwist.state import discovered
from pxetwist.state.database import Session, opened

#: What makes a spreadsheet take text for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE [options]"
    longdesc = "What machines say of themselves is shown as it came: it proves nothing."
    optParameters = [["export", "x", None, "Write all reports to a CSV file; - is the terminal."]]
    optFlags = [["all", "a", "Also those that were approved or rejected."]]


def run(options: Options) -> int:
    """List or export."""
    with reports_of(Path(options["file"]), change=False) as session:
        found = session.run(discovered.reports, change=False) if session else []
    if options["export"] == "-":
        _export(found, sys.stdout)
    elif options["export"]:
        with Path(options["export"]).open("w", encoding="utf-8", newline="") as file:
            _export(found, file)
        print(f"{len(found)} reports in {options['export']}")
    else:
        wanted = [r for r in found if options["all"] or r.state is DiscoveryState.WAITING]
        print("\n".join(_listed(wanted)))
    return 0


@contextmanager
def reports_of(file: Path, *, change: bool) -> Iterator[Session | None]:
    """Open the reports of a site.

    :raises PxeError: if its INI has no policy of the plugin discover.
    """
    configuration = load(file)
    names = {each.factory.name for each in configuration.of_kind("policy")}
    if "discover" not in names:
        raise PxeError(f"{file}: no policy of the plugin discover; nothing is reported")
    database = discovered.database_in(configuration.state_folder)
    with opened(database, discovered.SCHEMA, change=change) as session:
        yield session


def _listed(found: Sequence[Discovery]) -> Iterator[str]:
    if not found:
        yield "no machine waits for approval"
        return
    rows = [("CODE", "MAC", "STATE", "SEEN", "HARDWARE", "SERIAL", "MEMORY", "CPU")]
    for each in found:
        said = each.facts.get
        memory = f"{said('memsize')} MiB" if said("memsize") else ""
        rows.append(
            (
                each.code,
                each.mac,
                f"{each.state.value} {each.name}".strip(),
                f"{datetime.fromtimestamp(each.last):%Y-%m-%d %H:%M}",
                f"{said('manufacturer', '')} {said('product', '')}".strip(),
                said("serial", ""),
                memory,
                said("cpumodel", "") or said("buildarch", ""),
            )
        )
    yield from table(rows)


def _export(found: Sequence[Discovery], file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow(["code", "mac", "state", "name", "first", "last", *FACTS])
    for each in found:
        times = (f"{datetime.fromtimestamp(t):%Y-%m-%d %H:%M:%S}" for t in (each.first, each.last))
        cells = [each.code, each.mac, each.state.value, each.name, *times]
        writer.writerow(map(_cell, [*cells, *(each.facts.get(name, "") for name in FACTS)]))


def _cell(text: str) -> str:
    """Let no spreadsheet take what a machine said for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
