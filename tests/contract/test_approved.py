"""The directory of approved machines keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts import approved
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.model.report import MachineReport
from pxetwist.state import discovered
from pxetwist.testing import make_site
from pxetwist.testing.contracts import HostDirectoryContract, ThreadClock


class ApprovedTests(HostDirectoryContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        folder = Path(self.mktemp()).absolute()
        session = discovered.database_in(folder).connect(discovered.SCHEMA, change=True)
        assert session is not None
        for machine in machines:
            first, *more = machine.macs
            report = MachineReport("discover", ClientIdentity(mac=first), "1a2b", 1.0)
            session.run(partial(discovered.note, report, 100), change=True)
            given = dict(machine.labels) | ({"mac": " ".join(more)} if more else {})
            given |= {"uuid": str(machine.uuid)} if machine.uuid else {}
            given |= {"address": str(machine.address)} if machine.address else {}
            work = partial(discovered.approve, first, machine.name, given)
            session.run(work, change=True)
        session.close()
        directory = approved.build(
            approved.Settings(), make_site(reactor=self.clock, state_folder=folder)
        )
        directory.startService()
        self.addCleanup(self.stop, directory)
        self.result(directory.find_machine(ClientIdentity()))  # it has read all
        return directory

    def test_the_edition_is_known_though_nobody_is_looked_for(self) -> None:
        """Another directory may know all who ask."""
        directory = self.make_directory(())
        assert isinstance(directory, approved.ApprovedDirectory)
        known = directory.edition()
        self.assertIsNotNone(known)
        self.clock.advance(5)
        self.assertIsNone(directory.edition())
        self.settle(lambda: directory.edition() is not None)
        self.assertEqual(directory.edition(), known)

    def stop(self, directory: approved.ApprovedDirectory) -> None:
        stopped = directory.stopService()
        if stopped is not None:
            self.settle(lambda: stopped.called)
