"""Both lease stores keep the contract; the durable one through kill -9 and a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import pxetwist
from pxetwist.interfaces import ILeaseStore
from pxetwist.model.lease import LeaseState
from pxetwist.state import memory, sqlite
from pxetwist.state.leasefile import LeaseFile
from pxetwist.testing import make_site
from pxetwist.testing.contracts import ThreadClock
from pxetwist.testing.lease_properties import LeasePropertyContract
from pxetwist.testing.leases import DurableLeaseStoreContract, NotesContract

WRITER = Path(__file__).with_name("lease_writer.py")


class MemoryTests(NotesContract, LeasePropertyContract, SynchronousTestCase):
    def make_store(self) -> ILeaseStore:
        return memory.build(memory.Settings(), make_site())


class SqliteTests(DurableLeaseStoreContract, LeasePropertyContract, SynchronousTestCase):
    examples = 15  # each of them in a new file, each commit on the disk

    def setUp(self) -> None:
        self.clock = ThreadClock()
        super().setUp()

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def make_store(self) -> ILeaseStore:
        return self.start(Path(self.mktemp()))

    def start(self, folder: Path) -> sqlite.SqliteLeases:
        site = make_site(reactor=self.clock, state_folder=folder)
        store = sqlite.build(sqlite.Settings(), site)
        store.startService()
        self.addCleanup(self.stop, store)
        return store

    def stop(self, store: sqlite.SqliteLeases) -> None:
        stopped = store.stopService()
        if stopped is not None:
            self.clock.run_until(lambda: stopped.called)

    def reopen(self, store: ILeaseStore) -> ILeaseStore:
        assert isinstance(store, sqlite.SqliteLeases)
        self.stop(store)
        return self.start(store.path.parent)


class CrashTests(SynchronousTestCase):
    """What a client was told is true, whatever happens to the server."""

    def run_writer(self, mode: str) -> tuple[Path, subprocess.Popen[str]]:
        file = Path(self.mktemp()).absolute() / "leases.sqlite"
        environment = {**os.environ, "PYTHONPATH": str(Path(pxetwist.__file__).parents[1])}
        child = subprocess.Popen(
            [sys.executable, str(WRITER), str(file), mode],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        return file, child

    def stored(self, file: Path) -> set[IPv4Address | IPv6Address]:
        database = LeaseFile(file, "full")
        try:
            records = list(database.load())
        finally:
            database.close()
        return {lease.address for lease in records if lease.state is LeaseState.LEASED}

    def test_kill(self) -> None:
        """After kill -9 amid commits every acknowledged lease is there, and the file is free."""
        for enough in (1, 40, 400):
            file, child = self.run_writer("endless")
            assert child.stdout is not None
            acknowledged = [child.stdout.readline() for _ in range(enough)]
            child.send_signal(signal.SIGKILL)
            rest, _ = child.communicate(timeout=60)
            acknowledged += rest.splitlines(keepends=True)
            whole = {IPv4Address(line.strip()) for line in acknowledged if line.endswith("\n")}
            self.assertGreaterEqual(len(whole), enough)
            self.assertEqual(whole - self.stored(file), set())

    def test_full_disk(self) -> None:
        """Nothing is acknowledged that is not stored; the server goes on when there is room."""
        file, child = self.run_writer("starved")
        lines = child.communicate(timeout=120)[0].splitlines()
        self.assertEqual(lines.count("unavailable"), 5)
        self.assertEqual(lines[-1], "done")
        after = lines[lines.index("room") + 1 : -1]
        self.assertEqual(len(after), 10)
        said = {IPv4Address(line) for line in lines if line[0].isdigit()}
        self.assertEqual(said, self.stored(file))
