"""The sql directory, from a file of SQLite's, with real threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.fields import Line, OptionText
from pxetwist.errors import ConfigError, DirectoryUnavailable, Location
from pxetwist.hosts import sql
from pxetwist.hosts.facts import machine_of
from pxetwist.hosts.parameters import PARAMETERS, parameters_of
from pxetwist.hosts.sql_query import Query, query
from pxetwist.hosts.sql_sessions import PostgresServer, SqliteFile
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.identity import ClientIdentity, Relay, swapped
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.testing.contracts import Contract, HostDirectoryContract, ThreadClock

SCHEMA = "create table machines (name, mac, uuid, address, room, profile)"
QUERY = """
select name, group_concat(mac, ' ') as mac, max(uuid) as uuid, max(address) as address,
    room, profile
from machines
where name = coalesce(
    (select name from machines where mac = :mac),
    (select name from machines where uuid in (:uuid, :uuid_swapped)))
group by name
"""


def option_text(text: str, first: int = 10) -> OptionText:
    """Return a text as it stands in an INI from a line on."""
    lines = [line.strip() for line in text.strip().splitlines()]
    places = tuple(Line(line, Location("pxe.ini", n)) for n, line in enumerate(lines, first))
    return OptionText("\n".join(lines), Path.cwd(), places)


class SqlCase(Contract):
    """Waits for threads."""

    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.file = Path("inventory.sqlite").absolute()

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def fill(self, *statements: str, rows: Sequence[tuple[object, ...]] = ()) -> None:
        with closing(sqlite3.connect(self.file)) as connection:
            for statement in statements:
                connection.execute(statement)
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"insert into machines values ({marks})", rows)
            connection.commit()

    def build(self, text: str = QUERY, **more: Any) -> IHostDirectory:
        chosen = sql.Settings(
            database=SqliteFile(self.file),
            query=query(option_text(text)),
            **more,
        )
        directory = sql.build(chosen, make_site(reactor=self.clock, name="cmdb"))
        service = IService(directory)
        service.startService()
        self.addCleanup(self._stop, service)
        return directory

    def _stop(self, service: IService) -> None:
        ends: list[object] = []
        stopping: Deferred[None] = service.stopService()
        stopping.addBoth(ends.append)
        self.settle(lambda: bool(ends))
        self.assertEqual(ends, [[(True, None)]] if ends[0] else ends)

    def find(self, directory: IHostDirectory, **marks: object) -> Machine | None:
        return self.result(directory.find_machine(ClientIdentity(**marks)))  # type: ignore[arg-type]  # as given


class ContractTests(SqlCase, HostDirectoryContract, SynchronousTestCase):
    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        rows = [
            (
                machine.name,
                mac,
                str(machine.uuid) if machine.uuid else None,
                str(machine.address) if machine.address else None,
                machine.labels.get("room"),
                machine.labels.get("profile"),
            )
            for machine in machines
            for mac in machine.macs
        ]
        if not self.file.exists():
            self.fill(SCHEMA, rows=rows)
        return self.build()


class FileTests(SqlCase, SynchronousTestCase):
    def make_one(self, name: str = "ws12", mac: str = "52:54:00:00:00:12") -> None:
        self.fill(SCHEMA, rows=[(name, mac, None, "10.0.0.12", "b12", None)])

    def test_where_the_answer_came_from(self) -> None:
        self.make_one()
        machine = self.find(self.build(), mac="52:54:00:00:00:12")
        assert machine is not None
        self.assertRegex(machine.provenance, rf"^sqlite:{self.file.name} in \d+ ms, fresh$")
        self.assertEqual(machine.directory, "cmdb")
        self.assertEqual(machine.labels, {"room": "b12"})

    def test_two_machines(self) -> None:
        self.make_one()
        self.fill("insert into machines values ('ws13', '52:54:00:00:00:12', 0, 0, 0, 0)")
        directory = self.build("select name from machines where mac = :mac order by name")
        with self.assertRaisesRegex(DirectoryUnavailable, "two machines: 'ws12' and 'ws13'"):
            self.find(directory, mac="52:54:00:00:00:12")

    def test_a_row_that_is_no_machine(self) -> None:
        self.make_one(name="a b")
        with self.assertRaisesRegex(DirectoryUnavailable, r"name: .* got 'a b'"):
            self.find(self.build(), mac="52:54:00:00:00:12")

    def test_a_file_that_comes_later(self) -> None:
        directory = self.build()
        with self.assertRaisesRegex(DirectoryUnavailable, "No such file"):
            self.find(directory, mac="52:54:00:00:00:12")
        self.assertFalse(self.file.exists())
        self.make_one()
        found = self.find(directory, mac="52:54:00:00:00:12")
        self.assertEqual(found and found.name, "ws12")

    def test_a_file_that_is_replaced(self) -> None:
        self.make_one()
        directory = self.build(fresh=0.0)
        self.assertIsNotNone(self.find(directory, mac="52:54:00:00:00:12"))
        former, self.file = self.file, Path(f"{self.file}.new")
        self.make_one(name="ws99")
        self.file.replace(former)
        found = self.find(directory, mac="52:54:00:00:00:12")
        self.assertEqual(found and found.name, "ws99")

    def test_no_database(self) -> None:
        self.file.write_text("name,mac\n" * 1000)
        with self.assertRaisesRegex(DirectoryUnavailable, "not a database"):
            self.find(self.build(), mac="52:54:00:00:00:12")

    def test_a_query_without_end(self) -> None:
        self.make_one()
        endless = """with recursive n(i) as (select 1 union all select i + 1 from n)
            select 'ws' || max(i) as name from n where :mac is not null"""
        directory = self.build(endless, deadline=0.04)
        with self.assertRaisesRegex(DirectoryUnavailable, r"no answer within 0\.1 s"):
            self.find(directory, mac="52:54:00:00:00:12")

    def test_nothing_is_written(self) -> None:
        self.make_one()
        with self.assertRaisesRegex(ConfigError, "pxe.ini:10: query: "):
            self.build("delete from machines where mac = :mac returning name")
        self.assertIsNotNone(self.find(self.build(), mac="52:54:00:00:00:12"))

    def test_mistakes_are_found_before_the_start(self) -> None:
        self.make_one()
        for text, said in {
            "select nmae from machines where mac = :mac": "no such column: nmae",
            "select name from machine where mac = :mac": "no such table: machine",
            "select name from machines where mac = :mac; select 1": 'near ";"',
            "select mac, room from machines where mac = :mac": "no column 'name' .* mac, room",
            "select name from machines where mac = :mac or name = ?": "Binding 2",
        }.items():
            with self.assertRaisesRegex(ConfigError, f"^pxe.ini:10: query: .*{said}"):
                self.build(text)

    def test_who_has_nothing_to_ask_by_is_not_asked_for(self) -> None:
        self.assertIsNone(self.find(self.build(), hostname="ws12"))  # there is no file

    @settings(max_examples=60, deadline=None)
    @given(
        st.text(st.characters() | st.sampled_from("'\"%;\0\n\\:$-/*?")),
        st.binary() | st.sampled_from([b"' or 1=1 --", b"\xff'\0"]),
    )
    def test_no_identity_changes_the_query(self, text: str, raw: bytes) -> None:
        if not self.file.exists():
            self.fill(
                "create table machines"
                " (name, hostname, serial, asset, client_id, circuit_id, remote_id)",
                rows=[(f"ws{i}", *[f"{i}"] * 6) for i in range(3)],
            )
            names = ("hostname", "serial", "asset", "client_id", "circuit_id", "remote_id")
            where = " or ".join(f"{name} = :{name}" for name in names)
            self.directory = self.build(f"select name from machines where {where}", fresh=0.0)
        identity = ClientIdentity(
            hostname=text,
            serial=text,
            asset=text,
            client_id=raw,
            relay=Relay(circuit_id=raw, remote_id=raw),
        )
        values = set(parameters_of(identity).values())
        if not values & {"0", "1", "2"}:
            self.assertIsNone(self.result(self.directory.find_machine(identity)))


class DatabaseTests(SynchronousTestCase):
    """The option `database`."""

    def test_sqlite(self) -> None:
        text = OptionText("sqlite:inventory.sqlite", Path("/srv"), ())
        self.assertEqual(sql.database(text), SqliteFile(Path("/srv/inventory.sqlite")))

    def test_postgresql(self) -> None:
        found = sql.database("postgresql://reader@cmdb:5433/inventory?sslmode=verify-full")
        assert isinstance(found, PostgresServer)
        self.assertEqual(found.title, "postgresql://cmdb:5433/inventory")
        self.assertNotIn("secret", repr(PostgresServer("", "", "secret")))

    def test_a_password_has_no_place_there(self) -> None:
        for url in (
            "postgresql://reader:hunter2@cmdb/inventory",
            "postgres://cmdb/inventory?user=reader&password=hunter2",
        ):
            with self.assertRaisesRegex(ValueError, "password-file") as caught:
                sql.database(url)
            self.assertNotIn("hunter2", str(caught.exception))

    def test_what_is_none(self) -> None:
        for text in ("", "sqlite:", "mysql://host/db", "inventory.sqlite", "postgresql:x"):
            with self.assertRaisesRegex(ValueError, "expected sqlite:FILE or postgresql://"):
                sql.database(text)
        with self.assertRaisesRegex(ValueError, "expected a URL"):
            sql.database("postgresql://[::1/db")

    def test_a_file_has_no_password(self) -> None:
        with self.assertRaisesRegex(ValueError, "password-file is for PostgreSQL"):
            sql.Settings(database=SqliteFile(Path("x")), password_file="s", query=query(":mac"))


class QueryTests(SynchronousTestCase):
    """The option `query`."""

    def numbered(self, text: str) -> str:
        wrapped = query(text).numbered(2)
        self.assertTrue(wrapped.startswith("select * from (\n"))
        self.assertTrue(wrapped.endswith("\n) as machine limit 2"))
        return wrapped[16:-21]

    def test_parameters(self) -> None:
        self.assertEqual(
            self.numbered("select a::text where b = :mac or c = :uuid or d=:mac;"),
            "select a::text where b = $1 or c = $2 or d=$1",
        )

    def test_what_is_no_parameter(self) -> None:
        for text in (
            "':nope' || 'it''s :nope'",
            '":nope"',
            "-- :nope",
            "/* :nope\n:nope */",
            "$$ :nope $$",
            "$a$ $$ :nope $a$",
            r"E'\' :nope'",
            "a::nope",
            "like'\\'",
        ):
            self.assertEqual(self.numbered(f":mac {text}\nx"), f"$1 {text}\nx")

    def test_every_parameter(self) -> None:
        text = " ".join(f":{name}" for name in PARAMETERS)
        self.assertEqual(query(text).names, tuple(PARAMETERS))

    def test_mistakes(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"^pxe.ini:11: query: unknown parameter :mcc"):
            query(option_text("select name from machines\nwhere mac = :mcc"))
        with self.assertRaisesRegex(ValueError, "would find every machine"):
            query("select name from machines")
        with self.assertRaisesRegex(ValueError, "expected a query"):
            query("")

    def test_lines_of_mistakes(self) -> None:
        text = "select name\nfrom machines\nwhere mac = :mac"
        found: Query = query(option_text(text))
        for position, line in ((None, 10), (1, 10), (18, 10), (29, 11), (43, 12), (900, 12)):
            self.assertEqual(found.error("x", position).location.line, line, position)


class ParameterTests(SynchronousTestCase):
    UUID = UUID("4c4c4544-0051-3510-8052-b4c04f4d3232")

    def test_all(self) -> None:
        identity = ClientIdentity(
            "52:54:00:00:00:1a",
            self.UUID,
            b"\x01\x52\x54",
            hostname="ws12",
            relay=Relay(circuit_id=b"eth0/1/2", remote_id=b"sw1"),
            serial=" 4711\0",
            asset="A-1",
        )
        self.assertEqual(
            list(parameters_of(identity).values()),
            [
                "52:54:00:00:00:1a",
                "52-54-00-00-00-1a",
                "52540000001a",
                str(self.UUID),
                str(swapped(self.UUID)),
                "4711",
                "A-1",
                None,
                "ws12",
                "01:52:54",
                "eth0/1/2",
                "sw1",
            ],
        )

    def test_what_is_lacking(self) -> None:
        self.assertEqual(set(parameters_of(ClientIdentity()).values()), {None})

    def test_what_identifies_nobody(self) -> None:
        for hostname in ("a\0b", "\ud800", ""):
            self.assertIsNone(parameters_of(ClientIdentity(hostname=hostname))["hostname"])
        shared = ClientIdentity(serial="To be filled by O.E.M.", asset="0000")
        self.assertEqual(set(parameters_of(shared).values()), {None})

    def test_circuit_ids(self) -> None:
        for raw, spelled in {
            b"\0\4\0\1": "00:04:00:01",
            b"\7": "0x07",
            b"0x07": "30:78:30:37",
            b"ab:cd": "61:62:3a:63:64",
            "é".encode(): "c3:a9",
        }.items():
            values = parameters_of(ClientIdentity(relay=Relay(circuit_id=raw)))
            self.assertEqual(values["circuit_id"], spelled)
            self.assertEqual(
                machine_of({"name": "a", "circuit_id": spelled}, "", "").circuit_id, raw
            )


class FactTests(SynchronousTestCase):
    def test_every_kind_of_value(self) -> None:
        machine = machine_of(
            {
                "name": "ws12",
                "mac": ["52-54-00-00-00-12", "52540000001A"],
                "uuid": ParameterTests.UUID,
                "address": "10.0.0.12/24",
                "groups": "Exam-PCs, Room B12,",
                "serial": 4711,
                "client_id": "01:52",
                "exam": True,
                "rack": 12.5,
                "tags": ["a", None, "b"],
                "key": b"\1\2",
                "more": {"a": 1},
                "nothing": None,
                "address6": "fd77::12/64",
                "blank": " ",
            },
            "cmdb",
            "there",
        )
        self.assertEqual(
            machine,
            Machine(
                "ws12",
                ("52:54:00:00:00:12", "52:54:00:00:00:1a"),
                ParameterTests.UUID,
                IPv4Address("10.0.0.12"),
                {"exam": "true", "rack": "12.5", "tags": "a,b", "key": "0102", "more": '{"a": 1}'},
                "cmdb",
                ("Exam-PCs", "Room B12"),
                "4711",
                client_id=b"\x01\x52",
                address6=IPv6Address("fd77::12"),
            ),
        )
        self.assertEqual(machine.provenance, "there")

    def test_groups_of_a_list_may_have_commas(self) -> None:
        machine = machine_of({"name": "a", "groups": ["x, y", "z"]}, "", "")
        self.assertEqual(machine.groups, ("x, y", "z"))

    def test_mistakes(self) -> None:
        for facts, said in (
            ({}, "name: expected letters, .* got ''"),
            ({"name": "a\nb"}, "name: "),
            ({"name": "a", "mac": "x"}, "machine a: mac: expected a MAC"),
            ({"name": "a", "uuid": str(UUID(int=0))}, "machine a: uuid: .* shared"),
            ({"name": "a", "address": "::1"}, "machine a: address: "),
        ):
            with self.assertRaisesRegex(ValueError, said):
                machine_of(facts, "", "")
