"""The sql directory and a real server of PostgreSQL's, which is restarted, hangs, and is slow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bootlab.postgres import Postgres
from bootlab.processes import LabError, run
from bootlab.server import command
from pxetwist.config.fields import Line, OptionText
from pxetwist.errors import ConfigError, DirectoryUnavailable, Location
from pxetwist.hosts import sql
from pxetwist.hosts.parameters import parameters_of
from pxetwist.hosts.sql_query import query
from pxetwist.hosts.sql_sessions import PostgresServer
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.identity import ClientIdentity, Relay
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.testing.contracts import Contract, HostDirectoryContract, ThreadClock

SCHEMA = """
drop table if exists machines;
create table machines (
    name text primary key, macs macaddr[], uuid uuid, address inet, groups text[],
    room text, profile text
);
"""
QUERY = """
select name, macs as mac, uuid, address, groups, room, profile
from machines
where :mac = any (macs)
   or uuid in (:uuid, :uuid_swapped)
      and not exists (select from machines where :mac = any (macs))
"""
MAC = "52:54:00:00:00:12"


class PostgresCase(Contract):
    """One server for all tests of a class; each has a directory of its own."""

    server: Postgres

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Postgres()
        cls.addClassCleanup(cls.server.close)

    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.server.sql(SCHEMA)

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def fill(self, name: str = "ws12", mac: str = MAC) -> None:
        self.server.sql(
            f"insert into machines values ('{name}', '{{{mac}}}', null, '10.0.0.12/24',"
            " '{Exam-PCs,\"Room B12\"}', 'b12', null)"
        )

    def build(self, text: str = QUERY, url: str = "", **more: Any) -> IHostDirectory:
        lines = [line.strip() for line in text.strip().splitlines()]
        places = tuple(Line(line, Location("pxe.ini", n)) for n, line in enumerate(lines, 10))
        chosen = sql.Settings(
            database=PostgresServer(url or self.server.url, "postgresql://there/inventory"),
            password_file=self.server.password,
            query=query(OptionText("\n".join(lines), Path(), places)),
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

    def find(self, directory: IHostDirectory, mac: str = MAC) -> Machine | None:
        return self.result(directory.find_machine(ClientIdentity(mac=mac)))


class ContractTests(PostgresCase, HostDirectoryContract, SynchronousTestCase):
    filled = False

    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        if not self.filled:
            self.filled = True
            for machine in machines:
                values = (
                    machine.name,
                    "{" + ",".join(machine.macs) + "}",
                    machine.uuid,
                    machine.address,
                    None,
                    machine.labels.get("room"),
                    machine.labels.get("profile"),
                )
                texts = ("null" if value is None else f"'{value}'" for value in values)
                self.server.sql(f"insert into machines values ({', '.join(texts)})")
        return self.build()


class ServerTests(PostgresCase, SynchronousTestCase):
    def test_what_it_says(self) -> None:
        self.fill()
        machine = self.find(self.build())
        assert machine is not None
        self.assertEqual(
            (machine.name, machine.macs, str(machine.address)), ("ws12", (MAC,), "10.0.0.12")
        )
        self.assertEqual(machine.groups, ("Exam-PCs", "Room B12"))
        self.assertEqual(machine.labels, {"room": "b12"})
        self.assertRegex(machine.provenance, r"^postgresql://there/inventory in \d+ ms, fresh$")

    def test_two_machines(self) -> None:
        self.fill()
        self.fill("ws13")
        with self.assertRaisesRegex(DirectoryUnavailable, "two machines: 'ws12' and 'ws13'"):
            self.find(self.build(QUERY + "order by name"))

    def test_restarted(self) -> None:
        """Whatever connections were kept are replaced, and nobody is told."""
        self.fill()
        directory = self.build(fresh=0.0)
        self.assertIsNotNone(self.find(directory))
        self.server.stop()
        self.server.start()
        self.assertIsNotNone(self.find(directory))

    def test_away_at_the_start(self) -> None:
        self.fill()
        self.server.stop()
        directory = self.build(fresh=0.0, stale=0.0)
        with self.assertRaisesRegex(DirectoryUnavailable, "connection (refused|failed|to server)"):
            self.find(directory)
        self.server.start()
        self.assertIsNotNone(self.find(directory))

    def test_stale_while_it_is_away(self) -> None:
        self.fill()
        directory = self.build(fresh=0.0)
        self.find(directory)
        self.server.stop()
        self.addCleanup(self.server.start)
        machine = self.find(directory)
        assert machine is not None
        self.assertRegex(machine.provenance, "stale, .* directory away")

    def test_a_locked_table(self) -> None:
        self.fill()
        directory = self.build(deadline=0.2)
        with psycopg.connect(self.server.url, password=self.server.password) as other:
            other.execute("lock table machines in access exclusive mode")
            began = time.monotonic()
            with self.assertRaisesRegex(DirectoryUnavailable, "statement timeout"):
                self.find(directory)
            self.assertLess(time.monotonic() - began, 3)
        self.assertIsNotNone(self.find(directory))

    def test_it_hangs(self) -> None:
        """The clock alone ends the wait, and frees the thread; the next one is answered."""
        self.fill()
        directory = self.build(deadline=1.0, fresh=0.0)
        self.assertIsNotNone(self.find(directory))
        self.server.freeze()
        self.addCleanup(self.server.thaw)
        outcomes: list[object] = []
        asked = ClientIdentity(mac="52:54:00:00:00:99")
        Deferred.fromCoroutine(directory.find_machine(asked)).addBoth(outcomes.append)
        time.sleep(0.2)  # for the question to be on its way
        self.assertEqual(outcomes, [])
        for _ in range(4):
            self.clock.advance(1.0)
        self.assertIn("no answer within 1 s", str(outcomes))
        self.server.thaw()
        self.assertIsNotNone(self.find(directory))

    def test_nothing_is_written(self) -> None:
        self.fill()
        for text in (
            "with gone as (delete from machines returning *) select * from gone where :mac = ''",
            "delete from machines where :mac = any (macs) returning name",
        ):
            with self.assertRaisesRegex(ConfigError, "pxe.ini:10: query: "):
                self.build(text)
        writes = "select name, setval('counter', 1) as n from machines where :mac = any (macs)"
        self.server.sql("create sequence if not exists counter")
        with self.assertRaisesRegex(DirectoryUnavailable, "read-only transaction"):
            self.find(self.build(writes))

    def test_mistakes_are_found_at_the_start(self) -> None:
        for text, line, said in (
            ("select name\nfrom machines\nwhere mack = :mac", 12, 'column "mack" does not exist'),
            ("select name\nfrom machine where name = :mac", 11, 'relation "machine" does not'),
            ("select name from machines\nwhere :mac is null", 10, "type of parameter :mac"),
            ("select room from machines where name = :mac", 10, "no column 'name'"),
            ("select name from machines where name = :mac; select 1", 10, "syntax error"),
        ):
            with self.assertRaisesRegex(ConfigError, f"^pxe.ini:{line}: query: .*{said}"):
                self.build(text)

    def test_a_wrong_password(self) -> None:
        url = self.server.url.replace("pxetwist@", "stranger@")
        with self.assertRaisesRegex(DirectoryUnavailable, "authentication failed") as caught:
            self.find(self.build(url=url))
        self.assertNotIn(self.server.password, str(caught.exception))

    def test_many_at_a_time(self) -> None:
        """No more connections than the pool has places."""
        directory = self.build(
            "select name, pg_sleep(0.05)::text as slept from machines where name = :hostname",
            pool=3,
        )
        outcomes: list[object] = []
        for number in range(12):
            work = directory.find_machine(ClientIdentity(hostname=f"ws{number}"))
            Deferred.fromCoroutine(work).addBoth(outcomes.append)
        self.settle(lambda: len(outcomes) == 12)
        self.assertEqual(outcomes, [None] * 12)
        counted = "select count(*) from pg_stat_activity where application_name = 'pxetwist'"
        self.assertLessEqual(int(self.server.sql(counted)), 3)

    @settings(max_examples=60, deadline=None)
    @given(
        st.text(st.characters() | st.sampled_from("'\"%;\0\n\\:$-/*?")),
        st.binary() | st.sampled_from([b"' or 1=1 --", b"\xff'\0"]),
    )
    def test_no_identity_changes_the_query(self, text: str, raw: bytes) -> None:
        if not hasattr(self, "directory"):
            names = ("hostname", "serial", "asset", "client_id", "circuit_id", "remote_id")
            self.server.sql(
                "drop table machines; create table machines (name text, "
                + ", ".join(f"{name} text" for name in names)
                + "); insert into machines select i, i, i, i, i, i, i from generate_series(0, 2) i"
            )
            where = " or ".join(f"{name} = :{name}" for name in names)
            self.directory = self.build(f"select name from machines where {where}")
        identity = ClientIdentity(
            hostname=text,
            serial=text,
            asset=text,
            client_id=raw,
            relay=Relay(circuit_id=raw, remote_id=raw),
        )
        found = self.result(self.directory.find_machine(identity))
        if not set(parameters_of(identity).values()) & {"0", "1", "2"}:
            self.assertIsNone(found)

    def test_uuid_of_either_order(self) -> None:
        uuid = UUID("4c4c4544-0051-3510-8052-b4c04f4d3232")
        self.fill()
        self.server.sql(f"update machines set uuid = '{uuid}'")
        found = self.result(self.build().find_machine(ClientIdentity(uuid=uuid)))
        self.assertEqual(found and found.uuid, uuid)


class ProductTests(PostgresCase, SynchronousTestCase):
    """The commands, with an INI."""

    INI = """
[pxe]
services = proxydhcp
hosts = cmdb
policies = main
content = scripts
state = memory

[hosts:cmdb]
plugin = sql
database = {url}
password-file = password
query =
    select name, {column}, groups
    from machines
    where :mac = any (macs)

[policy:main]
plugin = fixed
profile = local

[content:scripts]
plugin = rendered

[profile:local]
kind = local
"""

    def write(self, column: str = "room") -> Path:
        secret = Path("password")
        secret.touch(mode=0o600)
        secret.write_text(self.server.password)
        file = Path("pxe.ini").absolute()
        file.write_text(self.INI.format(url=self.server.url, column=column))
        return file

    def test_explain(self) -> None:
        self.fill()
        pxetwist = str(Path(sys.executable).parent / "pxetwist")
        said = run(pxetwist, "explain", str(self.write()), "--mac", MAC)
        where = rf"postgresql://127\.0\.0\.1:{self.server.port}/inventory in \d+ ms, fresh"
        self.assertRegex(said, rf"hosts cmdb: machine ws12 \({where}\)")
        self.assertIn("room='b12'", said)
        self.assertNotIn(self.server.password, said)

    def test_a_mistake_ends_the_start(self) -> None:
        file = self.write("rooom")
        with self.assertRaises(LabError) as caught:
            run(*command(file))
        self.assertIn(f'{file}:14: query: column "rooom" does not exist', str(caught.exception))
