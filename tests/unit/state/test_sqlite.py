"""The lease file: groups, faults, other processes, other versions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from stat import S_IMODE
from threading import Event
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import LeaseConflict, StartError, StateUnavailable
from pxetwist.interfaces import ILeaseReader, INotes
from pxetwist.model.health import HealthState
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState, Network, Pool
from pxetwist.state import leasefile, sqlite
from pxetwist.state.groups import Change, Group
from pxetwist.testing import make_site, result_of
from pxetwist.testing.contracts import ThreadClock

NOW = 1_700_000_000.0
LAB = Network(
    "lab",
    IPv4Network("10.0.0.0/24"),
    (Pool(IPv4Address("10.0.0.10"), IPv4Address("10.0.0.250")),),
)


def client(number: int) -> ClientIdentity:
    return ClientIdentity(mac=f"52:54:00:00:00:{number:02x}")


class SqliteTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.folder = Path(self.mktemp()).absolute()
        self.file = self.folder / "leases.sqlite"
        self.logged: list[LogEvent] = []

    def make(self) -> sqlite.SqliteLeases:
        log = Logger("leases", observer=cast(ILogObserver, self.logged.append))
        site = make_site(reactor=self.clock, state_folder=self.folder)
        return sqlite.build(sqlite.Settings(), attrs.evolve(site, log=log))

    def start(self) -> sqlite.SqliteLeases:
        store = self.make()
        store.startService()
        self.addCleanup(self.stop, store)
        return store

    def stop(self, store: sqlite.SqliteLeases) -> None:
        stopped = store.stopService()
        if stopped is not None:
            self.clock.run_until(lambda: stopped.called)

    def committing(self, store: sqlite.SqliteLeases, number: int) -> Deferred[Lease]:
        """Begin to commit a lease of one client."""
        offer = result_of(store.offer(client(number), LAB, None, None, (), NOW))
        assert offer is not None
        lease = attrs.evolve(offer, ends=NOW + 3600)
        return Deferred.fromCoroutine(store.commit(lease, NOW))

    def holder(
        self, reader: ILeaseReader, address: IPv4Address | IPv6Address, now: float
    ) -> Lease | None:
        found = Deferred.fromCoroutine(reader.holder(address, now))
        self.wait(found)
        return self.successResultOf(found)

    def wait(self, *deferreds: Deferred[Any]) -> None:
        self.clock.run_until(lambda: all(deferred.called for deferred in deferreds))

    def rows(self) -> int:
        database = sqlite3.connect(self.file)
        [(count,)] = database.execute("select count(*) from lease")
        database.close()
        assert isinstance(count, int)
        return count


class ReadingTests(SqliteTestCase):
    """What another process reads beside the server."""

    def reader(self) -> ILeaseReader:
        reader: ILeaseReader = self.make().reader()
        self.addCleanup(lambda: self.wait(reader.stopService()))
        return reader

    def test_leases(self) -> None:
        reader, store = self.reader(), self.start()
        committing = self.committing(store, 1)
        self.wait(committing)
        lease = self.successResultOf(committing)
        self.assertEqual(self.holder(reader, lease.address, NOW), lease)
        self.assertIsNone(self.holder(reader, lease.address, lease.ends + 1))
        released = Deferred.fromCoroutine(store.release(lease.address, client(1), NOW))
        self.wait(released)
        self.assertIsNone(self.holder(reader, lease.address, NOW))
        six = Lease(IPv6Address("fd00::9"), client(2).key, NOW + 60, "six", "", LeaseState.LEASED)
        stored = Deferred.fromCoroutine(store.commit(six, NOW))
        self.wait(stored)
        self.assertEqual(self.holder(reader, six.address, NOW), self.successResultOf(stored))

    def test_notes(self) -> None:
        """They are those of the server, and it reads what was noted here."""
        reader, store = INotes(self.reader()), self.start()
        noted = Deferred.fromCoroutine(reader.remember("images", {"ws1": "3"}, 10, NOW))
        self.wait(noted)
        found = Deferred.fromCoroutine(store.recall("images"))
        again = Deferred.fromCoroutine(reader.recall("images"))
        self.wait(found, again)
        self.assertEqual(
            [self.successResultOf(each) for each in (found, again)], [{"ws1": "3"}] * 2
        )

    def test_offers_are_nobody_s(self) -> None:
        reader, store = self.reader(), self.start()
        offer = result_of(store.offer(client(1), LAB, None, None, (), NOW))
        assert offer is not None
        self.assertIsNone(self.holder(reader, offer.address, NOW))

    def test_a_file_that_cannot_be_read(self) -> None:
        """Nobody holds anything then, and that is told once."""
        self.folder.mkdir()
        self.file.write_bytes(b"no database" * 100)
        reader = self.reader()
        for _ in range(2):
            self.assertIsNone(self.holder(reader, IPv4Address("10.0.0.10"), NOW))
        self.assertEqual(len(self.logged), 1)

    def test_no_file(self) -> None:
        self.assertIsNone(self.holder(self.reader(), IPv4Address("10.0.0.10"), NOW))
        self.assertFalse(self.file.exists())


class WritingTests(SqliteTestCase):
    def test_no_answer_before_the_disk(self) -> None:
        """The commit is not done when it is called, and on the disk when it is done."""
        committing = self.committing(self.start(), 1)
        self.assertNoResult(committing)
        self.wait(committing)
        self.assertEqual(self.successResultOf(committing).state, LeaseState.LEASED)
        self.assertEqual(self.rows(), 1)

    def test_a_lease_that_is_kept(self) -> None:
        """It is on the disk when that is said; so are a conflict and the end of the store."""
        store, said = self.start(), list[tuple[object, int]]()
        offer = result_of(store.offer(client(1), LAB, None, None, (), NOW))
        assert offer is not None
        lease = attrs.evolve(offer, ends=NOW + 3600)
        store.keep(lease, NOW, lambda error: said.append((error, self.rows())))
        self.assertEqual(said, [])
        self.clock.run_until(lambda: bool(said))
        self.assertEqual(said.pop(), (None, 1))
        held = store.present(client(1), LAB, NOW)
        self.assertEqual(held and held.state, LeaseState.LEASED)

        errors: list[Exception | None] = []
        store.keep(attrs.evolve(lease, key=client(2).mac), NOW, errors.append)
        self.assertIsInstance(errors.pop(), LeaseConflict)
        self.stop(store)
        store.keep(attrs.evolve(lease, ends=NOW + 7200), NOW, errors.append)
        self.assertIsInstance(errors.pop(), StateUnavailable)
        self.assertEqual(store.present(client(1), LAB, NOW), held)

    def test_what_is_stored_is_not_stored_again(self) -> None:
        """An eighth of its time is to spare, for the stages of a boot; but what is on its way to
        the disk is not there, and what says something else is another lease.
        """
        store, stored = self.start(), list[float]()
        offer = result_of(store.offer(client(1), LAB, None, None, (), NOW))
        assert offer is not None

        def ask(after: float, ends: float = 3600.0, **news: Any) -> None:
            lease = attrs.evolve(offer, ends=NOW + after + ends, **news)
            committing = Deferred.fromCoroutine(store.commit(lease, NOW + after))
            committing.addCallback(lambda _: stored.append(after))

        ask(0.0)
        ask(1.0)
        self.assertEqual(stored, [])
        self.clock.run_until(lambda: stored == [0.0, 1.0])
        ask(2.0)
        ask(451.0)
        self.assertEqual(stored.pop(), 451.0)
        for case in ({"after": 452.0}, {"ends": 1800.0}, {"hostname": "pc1"}):
            stored.clear()
            ask(**{"after": 300.0, **case})  # type: ignore[arg-type]  # a mapping of each
            self.assertEqual(stored, [], case)
            self.clock.run_until(lambda: bool(stored))
        again = Deferred.fromCoroutine(
            store.commit(attrs.evolve(offer, ends=NOW + 3900, hostname="pc1"), NOW + 300)
        )
        self.assertEqual(self.successResultOf(again).hostname, "pc1")

    def test_an_offer_is_not_stored(self) -> None:
        """It may hold a short lease in memory for longer than it is stored."""
        store = self.start()
        short = result_of(store.offer(client(1), LAB, None, None, (), NOW))
        assert short is not None
        first = Deferred.fromCoroutine(store.commit(attrs.evolve(short, ends=NOW + 50), NOW))
        self.wait(first)
        held = result_of(store.offer(client(1), LAB, None, None, (), NOW + 20))
        self.assertEqual(held and held.ends, NOW + 80)
        again = attrs.evolve(short, ends=NOW + 75)
        second = Deferred.fromCoroutine(store.commit(again, NOW + 25))
        self.assertNoResult(second)
        self.wait(second)

    def test_a_lease_that_was_given_back_is_stored_again(self) -> None:
        store = self.start()
        committing = self.committing(store, 1)
        self.wait(committing)
        lease = self.successResultOf(committing)
        released = Deferred.fromCoroutine(store.release(lease.address, client(1), NOW))
        again = Deferred.fromCoroutine(store.commit(attrs.evolve(lease, ends=NOW + 3600), NOW))
        self.assertNoResult(again)
        self.wait(released, again)
        third = Deferred.fromCoroutine(store.commit(attrs.evolve(lease, ends=NOW + 3600), NOW))
        self.successResultOf(third)

    def test_a_disk_that_hangs(self) -> None:
        """Nobody can be told that waits for it; the log and SIGUSR2 can."""
        store, thawed = self.start(), Event()
        original = leasefile.LeaseFile.store

        def hanging(file: leasefile.LeaseFile, *changes: Any) -> None:
            thawed.wait(30)
            original(file, *changes)

        self.patch(leasefile.LeaseFile, "store", hanging)
        self.clock.advance(NOW - self.clock.seconds())
        committing = self.committing(store, 1)
        for _ in range(5):
            self.clock.advance(2)
        self.assertEqual(store.health().state, HealthState.DOWN)
        [said] = self.logged
        self.assertEqual(said["log_level"], LogLevel.error)
        self.assertIn("no answer within 5 s", str(said["error"]))
        thawed.set()
        self.wait(committing)
        self.assertEqual(store.health().state, HealthState.UP)

    def test_commits_that_wait_share_one_transaction(self) -> None:
        store = self.start()
        groups: list[int] = []
        taken = Event()
        original = leasefile.LeaseFile.store

        def counting(
            file: leasefile.LeaseFile, records: Iterable[Lease], answers: Any = ()
        ) -> None:
            stored = list(records)
            groups.append(len(stored))
            taken.set()
            original(file, stored, answers)

        other = sqlite3.connect(self.file, isolation_level=None)
        self.patch(leasefile.LeaseFile, "store", counting)
        other.execute("begin immediate")  # the first transaction must wait for this one
        commits = [self.committing(store, 0)]
        self.assertTrue(taken.wait(30))
        commits += [self.committing(store, number) for number in range(1, 100)]
        other.execute("commit")
        other.close()
        self.wait(*commits)
        self.assertEqual(groups, [1, 99])
        self.assertEqual(self.rows(), 100)

    def test_stop_stores_what_waits(self) -> None:
        store = self.start()
        commits = [self.committing(store, number) for number in range(50)]
        self.stop(store)
        for commit in commits:
            self.successResultOf(commit)
        self.assertEqual(self.rows(), 50)

    def test_not_started_or_stopped(self) -> None:
        store = self.make()
        self.failureResultOf(self.committing(store, 1), StateUnavailable)
        store = self.start()
        self.stop(store)
        self.failureResultOf(self.committing(store, 1), StateUnavailable)
        self.assertIsNone(result_of(store.holder(IPv4Address("10.0.0.10"), NOW + 61)))

    def test_a_locked_database(self) -> None:
        """Nothing is acknowledged or kept in memory; one line in the log; later it goes on."""
        self.patch(leasefile, "BUSY", 0.01)
        store = self.start()
        kept = self.committing(store, 1)
        self.wait(kept)
        before = self.successResultOf(kept)
        other = sqlite3.connect(self.file, isolation_level=None)
        other.execute("begin immediate")
        for _ in range(2):
            renewal = Deferred.fromCoroutine(
                store.commit(attrs.evolve(before, ends=NOW + 9000), NOW)
            )
            fresh = self.committing(store, 2)
            release = Deferred.fromCoroutine(store.release(before.address, client(1), NOW))
            self.wait(renewal, fresh, release)
            for failed in (renewal, fresh, release):
                self.failureResultOf(failed, StateUnavailable)
            self.assertEqual(result_of(store.holder(before.address, NOW)), before)
            held = result_of(store.held(client(2), LAB, NOW))
            assert held is not None
            self.assertEqual(held.state, LeaseState.OFFERED)
        self.assertEqual([e["log_level"].name for e in self.logged], ["error"])
        other.execute("rollback")
        other.close()
        again = self.committing(store, 2)
        self.wait(again)
        self.successResultOf(again)
        self.assertEqual([e["log_level"].name for e in self.logged], ["error", "info"])

    def test_a_file_that_was_removed_or_exchanged(self) -> None:
        """What is written there would be lost; not even a lease that was stored is confirmed."""
        store = self.start()
        kept = self.committing(store, 1)
        self.wait(kept)
        lease = self.successResultOf(kept)
        aside = self.folder / "aside"
        self.file.rename(aside)
        for exchanged in (False, True):
            if exchanged:
                self.file.write_bytes(b"")
            fresh = self.committing(store, 2)
            self.wait(fresh)
            error = self.failureResultOf(fresh, StateUnavailable).getErrorMessage()
            self.assertIn("leases.sqlite: it was removed or exchanged; start the server", error)
            again = Deferred.fromCoroutine(store.commit(lease, NOW))
            self.wait(again)
            self.failureResultOf(again, StateUnavailable)
        self.assertEqual(store.health().state, HealthState.DOWN)
        aside.rename(self.file)
        fresh = self.committing(store, 2)
        self.wait(fresh)
        self.successResultOf(fresh)
        self.assertEqual([e["log_level"].name for e in self.logged], ["error", "info"])
        self.assertEqual(self.rows(), 2)

    def test_nobody_waits_any_more(self) -> None:
        """An answer given up at its deadline is stored all the same."""
        store = self.start()
        given_up, kept = self.committing(store, 1), self.committing(store, 2)
        given_up.cancel()
        self.wait(kept)
        self.failureResultOf(given_up)
        self.assertEqual(self.rows(), 2)


class StartTests(SqliteTestCase):
    def test_the_file_is_ours_alone(self) -> None:
        store = self.start()
        commit = self.committing(store, 1)
        self.wait(commit)
        modes = {path.name: S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}
        self.assertIn("leases.sqlite-wal", modes)
        self.assertEqual(set(modes.values()), {0o600}, modes)
        self.assertEqual(S_IMODE(self.folder.stat().st_mode), 0o700)

    def test_a_second_server(self) -> None:
        first = self.start()
        second = self.make()
        error = self.assertRaises(StartError, second.startService)
        self.assertIn("in use by another pxetwist", str(error))
        self.stop(first)
        self.start()

    def test_no_database(self) -> None:
        self.folder.mkdir()
        self.file.write_text("No database, but long enough to be taken for one.\n" * 99)
        error = self.assertRaises(StartError, self.make().startService)
        self.assertIn(str(self.file), str(error))
        self.file.unlink()
        self.start()  # a failed start leaves no lock behind

    def test_a_folder_that_cannot_be_made(self) -> None:
        self.folder.write_text("a file")
        self.assertRaises(StartError, self.make().startService)

    def test_a_newer_version(self) -> None:
        self.stop(self.start())
        database = sqlite3.connect(self.file)
        database.execute("pragma user_version = 99")
        database.close()
        error = self.assertRaises(StartError, self.make().startService)
        self.assertIn("newer pxetwist", str(error))

    def test_older_versions_are_upgraded(self) -> None:
        """Of before IPv6, and of before commands could ask the running server."""
        columns = "key text not null, network text not null, hostname text not null,"
        columns += "state text not null, ends real not null"
        four = "insert into lease values (167772170, 'k4', 'lab', 'pc', 'leased', 1700003600.0)"
        six = "insert into lease6 values (x'fd77000000000000000000000000000a', 'k6', 'lab6', '',"
        six += "'released', 1700003601.0)"
        versions = [
            [f"create table lease (address integer primary key, {columns})", four],
            [f"create table lease6 (address blob primary key, {columns})", six],
        ]
        leases = [
            Lease(IPv4Address("10.0.0.10"), "k4", NOW + 3600, "lab", "pc", LeaseState.LEASED),
            Lease(IPv6Address("fd77::a"), "k6", NOW + 3601, "lab6", "", LeaseState.RELEASED),
        ]
        for version in (1, 2):
            self.folder = Path(self.mktemp()).absolute()
            self.folder.mkdir()
            self.file = self.folder / "leases.sqlite"
            database = sqlite3.connect(self.file)
            for statement in [each for part in versions[:version] for each in part]:
                database.execute(statement)
            database.execute(f"pragma user_version = {version}")
            database.commit()
            store = self.start()
            self.assertEqual(list(store.leases()), leases[:version])
            self.wait(self.committing(store, 2))
            self.assertEqual(list(database.execute("pragma user_version")), [(3,)])
            database.close()

    def test_requests_that_nobody_waits_for(self) -> None:
        """Answered ones go after an hour, others after a day: at the start, and every hour."""
        ages = {"new": 60, "old": 7200, "ancient": 90_000}

        def ask() -> None:
            with sqlite3.connect(self.file) as database:
                for age, seconds in ages.items():
                    row = (time.time() - seconds, "10.0.0.9", age, "lab", "", "leased", 0.0)
                    for answer in (None, "done"):
                        database.execute(
                            "insert into request (made, address, key, network, hostname, state,"
                            " ends, answer) values (?, ?, ?, ?, ?, ?, ?, ?)",
                            (*row, answer),
                        )

        def left() -> list[tuple[str, str | None]]:
            with sqlite3.connect(self.file) as database:
                rows = database.execute("select key, answer from request order by number")
                return [(key, answer) for key, answer in rows]

        kept = [("new", None), ("new", "done"), ("old", None)]
        leasefile.LeaseFile(self.file, "normal").close()
        ask()
        file = leasefile.LeaseFile(self.file, "normal")
        self.addCleanup(file.close)
        self.assertEqual(left(), kept)
        ask()
        file.exchange(Group())
        self.assertEqual(len(left()), len(kept) + 2 * len(ages))
        file._expired -= 4000
        file.exchange(Group())
        self.assertEqual(left(), kept + kept)

    def test_a_disk_that_is_full_is_not_taken_for_one_that_has_room_again(self) -> None:
        """It can be read all the time. It is tried whether it can be written."""
        file = leasefile.LeaseFile(self.file, "normal")
        self.addCleanup(file.close)
        lease = Lease(IPv4Address("10.0.0.10"), "k", NOW, "lab", "", LeaseState.LEASED)
        change = Change(lease, None, NOW, NOW, lambda _: None)
        file._database.execute("pragma query_only = on")  # for want of a full disk
        for group in (Group([change]), Group(), Group()):
            self.assertRaises(sqlite3.Error, file.exchange, group)
        file._database.execute("pragma query_only = off")
        file.exchange(Group())
        file.exchange(Group([change]))
        self.assertEqual([each.key for each in file.load()], ["k"])

    def test_durability(self) -> None:
        """The setting reaches SQLite: 2 is FULL, 1 is NORMAL."""
        connect = sqlite3.connect
        opened: list[sqlite3.Connection] = []

        def remembering(path: Path, **options: Any) -> sqlite3.Connection:
            opened.append(connect(path, **options))
            return opened[-1]

        self.patch(sqlite3, "connect", remembering)
        for durability, level in (("full", 2), ("normal", 1)):
            file = leasefile.LeaseFile(self.file, durability)
            self.assertEqual(list(opened[-1].execute("pragma synchronous")), [(level,)])
            self.assertEqual(list(opened[-1].execute("pragma journal_mode")), [("wal",)])
            file.close()
