"""What unknown machines have reported, and which of them people have approved: a file of SQLite's
that policy, directory and commands share.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import attrs

from pxetwist.errors import PxeError
from pxetwist.model.discovery import Discovery, DiscoveryState, tidy_facts
from pxetwist.model.identity import parse_mac
from pxetwist.model.machine import Machine
from pxetwist.model.report import MachineReport
from pxetwist.state.database import Schema, Session, SqliteDatabase, counted

T = TypeVar("T")

SCHEMA = Schema(
    "discovered",
    (
        """
        create table change (number bigint not null);
        insert into change values (0);
        create table report (
            mac text primary key,
            code text not null unique,
            state text not null,
            first double precision not null,
            last double precision not null,
            boot_id text not null,
            since double precision not null,
            name text not null,
            facts text not null
        );
        create index report_last on report (last);
        create table machine (name text primary key, mac text not null, facts text not null)
        """,
    ),
)
#: How many reports there may be over the limit before the oldest are dropped.
SLACK = 64
#: A machine that only waits is noted so often (seconds).
_NOTED = 60.0
#: No letters and digits that look alike on a screen.
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_COLUMNS = ", ".join(each.name for each in attrs.fields(Discovery))
_PLACES = ", ".join(f":{each.name}" for each in attrs.fields(Discovery))


class DiscoveryConflict(PxeError):
    """There is no such report, or the name is taken."""


def database_in(state_folder: Path) -> SqliteDatabase:
    """Return the database of a site; nothing is opened. A lost report is made again."""
    return SqliteDatabase(state_folder / "discovered.sqlite", "normal")


# Work, to be done in a session


def known(mac: str, session: Session) -> Discovery | None:
    """Return what is known of a machine."""
    found = _selected(session, "mac = :mac", mac=mac)
    return found[0] if found else None


def note(report: MachineReport, limit: int, session: Session) -> tuple[Discovery, bool]:
    """Note a report and return what is known now, and whether it is news: a machine or a boot
    that had not reported before. At about `limit` the oldest that are not approved are dropped.
    """
    mac, boot_id, now = report.identity.mac, report.boot_id, report.time
    before, facts = known(mac, session), tidy_facts(report.facts)
    if before is None:
        new = Discovery(
            mac, _code(session), DiscoveryState.WAITING, now, now, boot_id, now, facts=facts
        )
        _insert(session, new)
        _drop_oldest(session, limit)
        return new, True
    news = before.boot_id != boot_id
    after = attrs.evolve(
        before,
        facts=facts or before.facts,
        last=now if news or now - before.last >= _NOTED else before.last,
        boot_id=boot_id,
        since=now if news else before.since,
    )
    if after != before:
        session.rows("delete from report where mac = :mac", mac=mac)
        _insert(session, after)
    return after, news


def reports(session: Session) -> Sequence[Discovery]:
    """Return all reports, the latest last."""
    return _selected(session, "mac <> '' order by last")


def approve(
    which: str, name: str, given: Mapping[str, str], session: Session
) -> tuple[Discovery, Machine]:
    """Put a machine that reported into the directory; `which` is its code or MAC.

    :raises DiscoveryConflict: if it did not report, or another machine has the name.
    """
    found = _which(session, which)
    machine = machine_of(name, found.mac, given)
    taken = session.rows("select mac from machine where name = :name", name=name.lower())
    if taken and taken[0][0] != found.mac:
        raise DiscoveryConflict(f"{name} is {taken[0][0]} already; choose another name")
    session.rows("delete from machine where mac = :mac", mac=found.mac)
    session.rows(
        "insert into machine values (:name, :mac, :facts)",
        name=name.lower(),
        mac=found.mac,
        facts=json.dumps({"name": name, **given}),
    )
    counted(session, "change")
    return _decided(session, found, DiscoveryState.APPROVED, name), machine


def reject(which: str, session: Session) -> Discovery:
    """Let a machine not wait any more; an approved one is taken out of the directory.

    :raises DiscoveryConflict: if it did not report.
    """
    found = _which(session, which)
    session.rows("delete from machine where mac = :mac", mac=found.mac)
    counted(session, "change")
    return _decided(session, found, DiscoveryState.REJECTED, "")


def machines(change: int, session: Session) -> tuple[int, Sequence[Machine] | None]:
    """Return the number of the last change, and all approved machines; `None`: that is the one
    that the caller knows.
    """
    [(number,)] = session.rows("select number from change")
    if number == change:
        return change, None
    found = []
    for mac, text in session.rows("select mac, facts from machine order by name"):
        facts: dict[str, str] = json.loads(text)
        found.append(machine_of(facts.pop("name"), mac, facts))
    return number, found


def machine_of(name: str, mac: str, given: Mapping[str, str]) -> Machine:
    """Make a machine of what was given; all but a few words are labels.

    :raises ValueError: if a MAC, a UUID or an address is none.
    """
    labels = dict(given)

    def one(label: str, convert: Callable[[str], T], example: str) -> T | None:
        value = labels.pop(label, "")
        try:
            return convert(value) if value else None
        except ValueError:
            raise ValueError(f"{label}: expected one like {example}, got {value!r}") from None

    uuid = one("uuid", UUID, "4c4c4544-0051-3510-8052-b4c04f4d3232")
    address = one("address", IPv4Address, "10.0.0.17")
    address6 = one("address6", IPv6Address, "fd00::17")
    macs = dict.fromkeys((mac, *map(parse_mac, _words(labels.pop("mac", "")))))
    return Machine(
        name,
        tuple(macs),
        uuid,
        address,
        serial=labels.pop("serial", ""),
        asset=labels.pop("asset", ""),
        groups=_words(labels.pop("groups", "")),
        labels=labels,
        address6=address6,
    )


def _words(value: str) -> tuple[str, ...]:
    """Take apart several MACs or groups, as files of machines spell them."""
    return tuple(dict.fromkeys(word for word in re.split(r"[;,\s]+", value) if word))


def _which(session: Session, which: str) -> Discovery:
    where = "code = :code or mac = :mac"
    found = _selected(session, where, code=which.upper(), mac=which.lower())
    if not found:
        raise DiscoveryConflict(f"nothing was reported as {which}")
    return found[0]


def _decided(session: Session, found: Discovery, state: DiscoveryState, name: str) -> Discovery:
    session.rows(
        "update report set state = :state, name = :name where mac = :mac",
        state=state.value,
        name=name,
        mac=found.mac,
    )
    return attrs.evolve(found, state=state, name=name)


def _code(session: Session) -> str:
    """Choose a code that no other machine has; nobody but us has a say in it."""
    for length in (4, 4, 4, 4, 6, 6, 8):
        code = "".join(secrets.choice(_LETTERS) for _ in range(length))
        if not session.rows("select 1 from report where code = :code", code=code):
            return code
    raise DiscoveryConflict("no code is free")


def _drop_oldest(session: Session, limit: int) -> None:
    [(count,)] = session.rows("select count(*) from report")
    if count > limit + SLACK:
        session.rows(
            "delete from report where mac in (select mac from report"
            " where state <> 'approved' order by last limit :number)",
            number=count - limit,
        )


def _insert(session: Session, report: Discovery) -> None:
    values = attrs.asdict(report, recurse=False)
    values |= {"state": report.state.value, "facts": json.dumps(dict(report.facts))}
    session.rows(f"insert into report ({_COLUMNS}) values ({_PLACES})", **values)


def _selected(session: Session, where: str, **values: object) -> list[Discovery]:
    rows = session.rows(f"select {_COLUMNS} from report where {where}", **values)
    names = [each.name for each in attrs.fields(Discovery)]
    found = []
    for row in rows:
        given = dict(zip(names, row, strict=True))
        given |= {"state": DiscoveryState(given["state"]), "facts": json.loads(given["facts"])}
        found.append(Discovery(**given))
    return found
