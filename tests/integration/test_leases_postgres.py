"""Leases in a real PostgreSQL, given by several servers."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase

from bootlab.postgres import Postgres
from pxetwist.cli import main
from pxetwist.errors import LeaseConflict, StateUnavailable
from pxetwist.interfaces import ILeaseStore
from pxetwist.model.health import HealthState
from pxetwist.model.lease import Lease
from pxetwist.state import postgresql
from pxetwist.state.groups import Group
from pxetwist.state.leasedatabase import LeaseDatabase
from pxetwist.testing import make_site
from pxetwist.testing.contracts import Contract, ThreadClock
from pxetwist.testing.lease_properties import LeasePropertyContract, SharedLeasesContract
from pxetwist.testing.leases import LAB, NOW, POOL, DurableLeaseStoreContract, client


class PostgresCase(Contract):
    server: Postgres

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Postgres()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close()

    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.logged: list[LogEvent] = []
        self.started: list[postgresql.PostgresLeases] = []
        super().setUp()

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def empty(self) -> None:
        while self.started:  # of another example: connections are few
            self.stop(self.started.pop())
        self.server.sql("drop table if exists pxetwist_lease, pxetwist_note, pxetwist_schema")

    def start(self) -> postgresql.PostgresLeases:
        log = Logger("leases", observer=cast(ILogObserver, self.logged.append))
        site = make_site(reactor=self.clock)
        settings = postgresql.Settings(
            database=self.server.url, password_file=self.server.password, keep=0.0
        )
        store = postgresql.build(settings, attrs.evolve(site, log=log))
        store.startService()
        self.started.append(store)
        self.addCleanup(self.stop, store)
        return store

    def stop(self, store: postgresql.PostgresLeases) -> None:
        stopped = store.stopService()
        if stopped is not None:
            self.clock.run_until(lambda: stopped.called)


class ContractTests(
    PostgresCase,
    DurableLeaseStoreContract,
    LeasePropertyContract,
    SharedLeasesContract,
    SynchronousTestCase,
):
    examples = 12

    def make_store(self) -> ILeaseStore:
        self.empty()
        return self.start()

    def make_stores(self) -> Sequence[ILeaseStore]:
        self.empty()
        return [self.start(), self.start()]

    def reopen(self, store: ILeaseStore) -> ILeaseStore:
        assert isinstance(store, postgresql.PostgresLeases)
        self.stop(store)
        return self.start()


class TwoServers(PostgresCase, SynchronousTestCase):
    """Two servers on one database."""

    def setUp(self) -> None:
        super().setUp()
        self.empty()
        self.one, self.two = self.start(), self.start()

    def offered(self, store: postgresql.PostgresLeases, number: int, now: float = NOW) -> Lease:
        lease = self.result(store.offer(client(number), LAB, None, None, (), now))
        assert isinstance(lease, Lease)
        return lease

    def commit(self, store: postgresql.PostgresLeases, lease: Lease, now: float = NOW) -> Lease:
        stored = self.result(store.commit(attrs.evolve(lease, ends=now + 3600), now))
        assert isinstance(stored, Lease)
        return stored


class SharingTests(TwoServers):
    def test_each_knows_what_the_other_has_given(self) -> None:
        lease = self.commit(self.one, self.offered(self.one, 1))
        self.assertEqual(self.result(self.two.holder(lease.address, NOW)), lease)
        self.assertEqual(self.result(self.two.held(client(1), LAB, NOW)), lease)
        self.assertEqual(self.offered(self.two, 1).address, lease.address)
        self.stop(self.one)  # it vanishes; the other one renews
        renewed = self.commit(self.two, lease, NOW + 1800)
        self.assertEqual(self.result(self.start().holder(lease.address, NOW + 5000)), renewed)

    def test_what_lasts_is_not_written_again(self) -> None:
        """But the database is asked: the other server may have ended it, or given it away."""
        lease = self.commit(self.one, self.offered(self.one, 1))
        self.assertEqual(self.commit(self.one, lease, NOW + 10), lease)
        self.assertEqual(self.one.present(client(1), LAB, NOW + 10), lease)
        self.assertEqual(self.result(self.two.holder(lease.address, NOW + 20)), lease)
        self.assertTrue(self.result(self.two.release(lease.address, client(1), NOW + 20)))
        third = self.commit(self.one, lease, NOW + 30)
        self.assertEqual(self.result(self.two.holder(lease.address, NOW + 30)), third)

        self.assertTrue(self.result(self.two.release(lease.address, client(1), NOW + 40)))
        self.commit(self.two, attrs.evolve(lease, key=client(2).mac), NOW + 50)
        with self.assertRaises(LeaseConflict):
            self.commit(self.one, lease, NOW + 60)

    def test_what_workers_read(self) -> None:
        """Whoever has leased it, at once."""
        reader = self.one.reader()
        self.addCleanup(lambda: self.settle_one(reader.stopService()))
        lease = self.commit(self.two, self.offered(self.two, 1))
        self.assertEqual(self.result(reader.holder(lease.address, NOW)), lease)
        self.result(self.two.release(lease.address, client(1), NOW))
        self.assertIsNone(self.result(reader.holder(lease.address, NOW)))
        self.result(reader.remember("images", {"ws1": "3"}, 10, NOW))
        self.assertEqual(self.result(self.two.recall("images")), {"ws1": "3"})

    def settle_one(self, ending: Deferred[None]) -> None:
        self.settle(lambda: ending.called)

    def test_the_same_address_is_not_given_twice(self) -> None:
        """Both have offered it, neither knew of the other; the second client starts anew."""
        first, second = self.offered(self.one, 1), self.offered(self.two, 2)
        second = attrs.evolve(second, address=first.address)
        self.two._table.put(second)
        lease = self.commit(self.one, first)
        with self.assertRaises(LeaseConflict):
            self.commit(self.two, second)
        self.assertEqual(self.result(self.two.holder(lease.address, NOW)), lease)
        self.assertNotEqual(self.offered(self.two, 2).address, lease.address)
        self.assertFalse(self.result(self.two.release(lease.address, client(2), NOW)))

    def test_one_address_several_times_in_a_group(self) -> None:
        """Given, given back and given to somebody else while the database was busy."""
        offer = self.offered(self.one, 1)
        self.result(self.one.holder(POOL[0], NOW))
        lease = attrs.evolve(offer, ends=NOW + 3600)
        other = attrs.evolve(lease, key=client(2).key)
        work = [
            self.one.commit(lease, NOW),
            self.one.release(lease.address, client(1), NOW),
            self.one.commit(other, NOW),
        ]
        waiting = [Deferred.fromCoroutine(each) for each in work]
        self.clock.run_until(lambda: all(each.called for each in waiting))
        holder = self.result(self.two.holder(lease.address, NOW))
        self.assertEqual(holder and holder.key, client(2).key)

    def test_the_database_is_away_for_a_while(self) -> None:
        """Nobody is acknowledged, known leases are known, one line is logged; it goes on."""
        lease = self.commit(self.one, self.offered(self.one, 1))
        self.stop(self.two)
        self.server.stop()
        for _ in range(2):
            with self.assertRaises(StateUnavailable):
                self.offered(self.one, 2)
            with self.assertRaises(StateUnavailable):
                self.commit(self.one, lease, NOW + 10)
        self.assertEqual(self.result(self.one.holder(lease.address, NOW)), lease)
        self.assertIs(self.one.health().state, HealthState.DOWN)
        self.assertEqual([e["log_level"].name for e in self.logged], ["error"])
        late = self.start()  # a server may start meanwhile
        self.server.start()
        self.assertEqual(self.commit(self.one, self.offered(self.one, 2)).key, client(2).key)
        self.assertIs(self.one.health().state, HealthState.UP)
        self.assertEqual(self.offered(late, 1).address, lease.address)

    def test_a_database_that_hangs(self) -> None:
        """Who waits is told so, sooner than a ROM gives up."""
        lease = self.commit(self.one, self.offered(self.one, 1))
        self.server.freeze()
        try:
            began = time.monotonic()
            with self.assertRaises(StateUnavailable):
                self.commit(self.one, lease, NOW + 10)
            self.assertLess(time.monotonic() - began, 6)
        finally:
            self.server.thaw()
        self.assertGreaterEqual(self.commit(self.one, lease, NOW + 20).ends, NOW + 3620)

    def test_connections_that_are_cut(self) -> None:
        """Nobody notices."""
        lease = self.commit(self.one, self.offered(self.one, 1))
        self.server.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name ="
            " 'pxetwist'"
        )
        self.commit(self.one, lease, NOW + 10)
        self.assertEqual(self.logged, [])

    def test_a_table_that_is_changed_meanwhile(self) -> None:
        """A newer version adds a column: the plans that the database has kept still do."""
        lease = self.commit(self.one, self.offered(self.one, 1))
        self.server.sql("alter table pxetwist_lease add column later text")
        renewed = self.commit(self.one, lease, NOW + 1800)
        self.assertEqual(self.result(self.two.holder(lease.address, NOW)), renewed)
        self.assertEqual(self.logged, [])

    def test_a_database_that_was_restored_elsewhere(self) -> None:
        """Its transactions count from another number on; nothing is overlooked."""
        lease = self.commit(self.one, self.offered(self.one, 1))
        ledger = LeaseDatabase(self.one.database)
        self.assertEqual(ledger.exchange(Group()).news, [lease])
        ledger._horizon = 1 << 60
        self.assertEqual(ledger.exchange(Group(looks=[Deferred()])).news, [lease])
        ledger.close()

    def test_changes_that_come_before_all_is_loaded(self) -> None:
        """What is being stored is newer than what was there when the server started."""
        lease = self.commit(self.one, self.offered(self.one, 1))
        late = self.start()
        renewed = self.commit(late, lease, NOW + 1000)
        self.assertEqual(self.result(late.holder(lease.address, NOW + 1000)), renewed)

    def test_old_records_are_forgotten(self) -> None:
        lease = self.commit(self.one, self.offered(self.one, 1))
        self.one._queue.put(lease.ends)
        self.result(self.one.holder(POOL[0], NOW))
        self.assertEqual(self.server.sql("select count(*) from pxetwist_lease").strip(), "1")
        self.one._queue.put(lease.ends + 1)
        self.one._queue.put(looked := Deferred[None]())
        self.clock.run_until(lambda: looked.called)
        self.assertEqual(self.server.sql("select count(*) from pxetwist_lease").strip(), "0")


INI = """
[pxe]
services = dhcp
policies = main
state = postgresql
state-folder = .
[state:postgresql]
database = {url}
password-file = {secret}
[policy:main]
plugin = fixed
profile = local
[profile:local]
kind = local
[subnet:lab]
network = 10.0.0.0/24
"""


class CommandTests(TwoServers):
    """The command leases beside two running servers, which hear of what it does."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.now, self.ini = time.time(), folder / "pxe.ini"
        secret = folder / "password"
        secret.touch(0o600)
        secret.write_text(self.server.password)
        self.ini.write_text(INI.format(url=self.server.url, secret=secret))

    def command(self, *words: str) -> tuple[int, str]:
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            code = main(["leases", str(self.ini), *words])
        return code, output.getvalue()

    def given(self, number: int) -> Lease:
        return self.commit(self.one, self.offered(self.one, number, self.now), self.now)

    def heard(self, store: postgresql.PostgresLeases, address: IPv4Address, key: str) -> None:
        """Both servers learn by themselves; nobody asks them."""

        def told() -> bool:
            record = store._table.holder(address, self.now + 1)
            return (record.key if record else "") == key

        self.clock.run_until(told)

    def test_list_and_export(self) -> None:
        self.assertEqual(self.command(), (0, "no leases\n"))
        leases = sorted((self.given(1), self.given(2)), key=lambda each: each.address)
        ended = self.given(3)
        self.result(self.one.release(ended.address, client(3), self.now))
        lines = self.command("--json")[1].splitlines()
        found = [(each["address"], each["key"]) for each in map(json.loads, lines)]
        self.assertEqual(found, [(str(each.address), each.key) for each in leases])
        self.assertEqual(len(self.command("--csv", "--all")[1].splitlines()), 4)
        self.assertIn("there is no [subnet:other]", self.command("--network", "other")[1])

    def test_release(self) -> None:
        lease = self.given(1)
        where = str(lease.address)
        self.assertEqual(self.command("--release", where), (0, f"{where} is free\n"))
        for store in (self.one, self.two):
            self.heard(store, cast(IPv4Address, lease.address), "")
        self.assertEqual(self.command("--release", where), (1, f"nobody holds {where}\n"))

    def test_a_declined_address_is_put_into_use_again(self) -> None:
        lease = self.given(1)
        self.assertTrue(self.result(self.one.decline(lease.address, client(1), self.now)))
        self.assertEqual(self.command("--release", str(lease.address))[0], 0)
        self.assertEqual(self.command()[1], "no leases\n")

    def test_import(self) -> None:
        """What is free is taken over, a longer lease is kept, another one's address is left."""
        mine, longer = self.given(1), self.given(2)
        longer = self.commit(self.one, attrs.evolve(longer, ends=0.0), self.now + 9000)
        free = IPv4Address("10.0.0.250")
        soon = int(self.now + 3600)
        theirs = self.ini.parent / "dnsmasq.leases"
        rows = ((mine.address, "02:00:00:00:00:99"), (longer.address, longer.key))
        lines = [f"{soon} {key} {address} * *" for address, key in rows]
        theirs.write_text("\n".join([*lines, f"{soon} 02:00:00:00:00:98 {free} ws98 *"]))
        code, said = self.command("--import", str(theirs))
        self.assertEqual(code, 1)
        self.assertIn(f"1: {mine.address} is held by {mine.key}", said)
        self.assertIn("2 leases taken over, 0 have ended, 1 not taken over", said)
        self.heard(self.two, free, "02:00:00:00:00:98")
        held = self.result(self.start().holder(longer.address, self.now))
        self.assertEqual(held, longer)

    def test_the_database_is_away(self) -> None:
        self.server.stop()
        try:
            code, said = self.command()
        finally:
            self.server.start()
        self.assertEqual(code, 1)
        self.assertIn("127.0.0.1", said)
        self.assertNotIn("Traceback", said)
