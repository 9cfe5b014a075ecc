"""A directory's answers on disk: what was known is known after a restart as well.

One JSON file per directory in the state folder, readable by nobody else; written anew as a whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs

from pxetwist.model.machine import Machine

#: A machine, and when (seconds since the epoch) the directory spoke of it.
Given = tuple[Machine, float]

_OCTETS = ("client_id", "circuit_id", "remote_id")


def save(file: Path, answers: Iterable[Given]) -> None:
    """Write the answers; whoever reads meanwhile gets the old ones.

    :raises OSError: if they cannot be written.
    """
    rows = [{"given": given, **_row(machine)} for machine, given in answers]
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            json.dump(rows, written)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(file: Path) -> list[Given]:
    """Read the answers; none if there is no file yet.

    :raises OSError: if it cannot be read.
    :raises ValueError: if it is not of ours.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [(_machine(row), float(row.pop("given"))) for row in rows]
    except FileNotFoundError:
        return []
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is no file of answers: {error!r}") from error


def _row(machine: Machine) -> dict[str, Any]:
    row = attrs.asdict(machine, recurse=False)
    for name in ("uuid", "address", "address6"):
        row[name] = str(row[name]) if row[name] is not None else None
    for name in _OCTETS:
        row[name] = row[name].hex()
    row["labels"] = dict(row["labels"])
    return row


def _machine(row: dict[str, Any]) -> Machine:
    facts = {name: value for name, value in row.items() if name != "given"}
    for name in _OCTETS:
        facts[name] = bytes.fromhex(facts.get(name, ""))
    facts["uuid"] = UUID(facts["uuid"]) if facts["uuid"] else None
    facts["address"] = IPv4Address(facts["address"]) if facts["address"] else None
    six = facts.get("address6")
    facts["address6"] = IPv6Address(six) if six else None
    for name in ("macs", "groups"):
        facts[name] = tuple(facts[name])
    return Machine(**facts)
