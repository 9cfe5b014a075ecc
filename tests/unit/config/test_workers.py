"""What each of several processes is made of."""

from __future__ import annotations

from twisted.application.service import IService
from zope.interface.verify import verifyObject

from pxetwist.boot.shared_sightings import BorrowedSightings, PublishedSightings
from pxetwist.boot.sightings import Sightings
from pxetwist.config.assemble import Assembly, assemble
from pxetwist.config.load import load
from pxetwist.config.status import status, tell_counts
from pxetwist.errors import ConfigErrors
from pxetwist.interfaces import ILeaseReader, ISharesPorts
from pxetwist.services.workers.duty import Duty
from pxetwist.services.workers.feed import EventFeed, Feed
from pxetwist.state.lease_reader import LeaseReader
from pxetwist.testing.contracts import ThreadClock
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = dhcp, tftp, http, syslog
policies = once
content = mirror
include = more.ini
workers = 2
[subnet:lab]
network = 10.0.0.0/24
[policy:once]
plugin = orders
"""
MORE = """
[content:mirror]
plugin = upstream
url = http://mirror.example/
"""


class WorkersTests(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("more.ini", MORE)
        self.server = assemble(self.load(INI), ThreadClock())

    def duty(self, number: int = 2) -> Duty:
        assert self.server.workers is not None
        texts = self.server.configuration.texts
        services = tuple(self.server.workers.services)
        return Duty(number, services, {}, texts, 1, self.server.workers.key)

    def worker(self) -> Assembly:
        duty = self.duty()
        for file in self.folder.glob("*.ini"):
            file.write_text("this is not read again")
        return assemble(load(self.folder / "pxe.ini", duty.texts), ThreadClock(), duty)

    def started(self, assembly: Assembly) -> list[str]:
        names = {id(thing): instance.name for instance, thing in assembly.built}
        return [names.get(id(each), type(each).__name__) for each in assembly.root]

    def mistaken(self, content: str) -> list[str]:
        with self.assertRaises(ConfigErrors) as caught:
            assemble(self.load(content), ThreadClock())
        errors = caught.exception.errors
        return [str(error).replace(f"{self.folder}/", "") for error in errors]

    def test_the_server(self) -> None:
        """It keeps what is no content, and its workers come last."""
        expected = [
            "Board",
            "Redemptions",
            "once",
            "sqlite",
            "mirror",
            "dhcp",
            "syslog",
            "Workers",
        ]
        self.assertEqual(sorted(self.started(self.server)), sorted(expected))
        self.assertEqual(self.started(self.server)[-1], "Workers")
        self.assertIsInstance(self.server.boot.sightings, PublishedSightings)
        self.assertIn("worker 2 has ended, another one follows", status(self.server)[-1])
        self.assertFalse([each for each in status(self.server) if "tftp" in each])
        self.assertEqual(self.server.root.reloads[-1][0], "workers")

    def test_a_worker(self) -> None:
        worker = self.worker()
        expected = ["Board", "Redemptions", "LeaseReader", "once", "mirror", "tftp", "http"]
        self.assertEqual(sorted(self.started(worker)), sorted(expected))
        self.assertIsInstance(worker.boot.sightings, BorrowedSightings)
        self.assertIsInstance(worker.boot.leases, LeaseReader)
        self.assertTrue(verifyObject(ILeaseReader, worker.boot.leases))
        [(_, observer)] = worker.boot._observers
        self.assertIsInstance(observer, EventFeed)
        for _, service in worker.of_kind("service"):
            self.assertTrue(verifyObject(ISharesPorts, service) and IService.providedBy(service))
        [(_, store)] = worker.of_kind("content")
        self.assertEqual(
            store._cache._folder, self.folder / "var" / "upstream-mirror" / "worker-2"
        )

    def test_counters_of_a_worker(self) -> None:
        worker, sent = self.worker(), bytearray()

        def write(data: memoryview) -> int:
            sent.extend(data)
            return len(data)

        lines = tell_counts(worker, Feed(write))
        self.assertIn("service tftp: nothing yet", lines)
        self.assertFalse([each for each in lines if each.startswith("state")])
        self.assertIn(b"service http", sent)

    def test_without_workers(self) -> None:
        alone = assemble(self.load(INI.replace("workers = 2\n", "")), ThreadClock())
        self.assertIs(type(alone.boot.sightings), Sightings)
        self.assertIn("tftp", self.started(alone))

    def test_mistakes(self) -> None:
        self.assertEqual(
            self.mistaken(INI.replace("workers", "state = memory\nworkers")),
            [
                "pxe.ini:6: [state:memory] workers cannot read leases of plugin 'memory':"
                " take sqlite or postgresql, or leave out [pxe] workers"
            ],
        )
        [line] = self.mistaken("[pxe]\nservices = syslog\nworkers = 2\n")
        self.assertEqual(
            line,
            "pxe.ini: [pxe] workers: there is no service that they could run (tftp, http, https)",
        )
        self.write("more.ini", MORE)
        [line] = self.mistakes(INI.replace("workers = 2", "workers = 65"))
        self.assertIn("[pxe] workers: expected", line)
