"""Loaders that start on one board and hang on another."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.facade import BootFacade
from pxetwist.boot.loader_trials import LoaderTrials
from pxetwist.boot.loaders import Loader
from pxetwist.model.boot import BootPlan, Protocol, Verdict
from pxetwist.model.boots import Files
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.testing import result_of
from pxetwist.wire.iana import Architecture
from tests.unit.boot.test_facade import MAC, UEFI, World

OTHER = "52:54:00:00:00:99"
FIRST, SECOND = "a/snponly.efi", "a/ipxe.efi"
LOADERS = (
    Loader("x64", "ipxe", FIRST, "snp"),
    Loader("x64", "ipxe", SECOND, "native"),
    Loader("x64", "grub", "a/shimx64.efi", "own-grub"),
)


class TrialTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.trials = LoaderTrials()

    def boot(self, *asked: str) -> str:
        """Power on: the loader is picked twice, and asked for twice; then other files are."""
        picked = {self.trials.pick(MAC, (FIRST, SECOND)) for _ in range(2)}
        (file,) = picked
        for path in (file, file, *asked):
            self.trials.asked(MAC, path)
        return file

    def test_two_silent_boots(self) -> None:
        self.assertEqual([self.boot() for _ in range(5)], [FIRST, FIRST, SECOND, SECOND, FIRST])
        self.assertEqual(self.trials.pick(OTHER, (FIRST, SECOND)), FIRST)

    def test_a_loader_that_says_something(self) -> None:
        """By a file that it asks for, or by DHCP."""
        for _ in range(4):
            self.assertEqual(self.boot("autoexec.ipxe"), FIRST)
        self.boot()
        self.assertTrue(self.trials.undecided(MAC))
        self.trials.spoke(MAC)
        self.assertFalse(self.trials.undecided(MAC))
        self.assertEqual([self.boot() for _ in range(3)], [FIRST, FIRST, SECOND])

    def test_who_asks_and_fetches_nothing(self) -> None:
        """It has not got so far."""
        for _ in range(5):
            self.assertEqual(self.trials.pick(MAC, (FIRST, SECOND)), FIRST)

    def test_the_edition_changes_with_the_choice(self) -> None:
        """Answers that stand are not given once more."""
        self.boot()
        self.boot()
        before = self.trials.edition
        self.trials.pick(MAC, (FIRST, SECOND))
        self.assertNotEqual(self.trials.edition, before)

    def test_nothing_to_choose(self) -> None:
        """One loader, or nobody who could be told apart; another list begins anew."""
        for key, files in ((MAC, (FIRST,)), ("", (FIRST, SECOND))):
            self.assertEqual(self.trials.pick(key, files), FIRST)
        self.assertFalse(self.trials)
        for _ in range(2):
            self.boot()
        self.assertEqual(self.trials.pick(MAC, (SECOND, "c")), SECOND)


class ChoiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(self)
        world = self.world
        world.boot = BootFacade(
            world.clock, networks={}, state_folder=world.folder, loaders=LOADERS
        )
        world.attach(world.boot, [("rack", world.hosts)], [("main", world.policy)])
        world.store.files = {FIRST: b"1", SECOND: b"2"}

    def file(self, identity: ClientIdentity = UEFI) -> str:
        return self.world.file(identity).name

    def called(self, loader: str) -> None:
        """Let the machine's label name a loader, from its next boot on."""
        self.world.hosts.machines = {MAC: Machine("ws1", (MAC,), labels={"loader": loader})}
        self.world.clock.advance(400)

    def load(self, name: str) -> None:
        """Let firmware fetch its loader, soon after it has been there."""
        self.world.clock.advance(20)
        self.assertEqual(self.file(), name)
        request = self.world.resolve(UEFI, Protocol.DHCP).request
        asked = attrs.evolve(request, protocol=Protocol.TFTP)
        result_of(self.world.boot.open(ContentPath.parse(name), asked)).close()

    def test_the_next_one(self) -> None:
        self.load(FIRST)
        self.load(FIRST)
        found = self.world.file(UEFI)
        self.assertEqual(found.name, SECOND)
        self.assertIn(f"did not start with {FIRST}", found.reason)
        self.load(SECOND)
        self.file(attrs.evolve(UEFI, firmware=Firmware.IPXE))
        self.load(SECOND)
        self.load(SECOND)

    def test_a_machine_that_needs_one(self) -> None:
        """Its label names a loader of the site; on another architecture there is none of it."""
        for label, name in (("native", SECOND), ("own-grub", "a/shimx64.efi"), ("ipxe", FIRST)):
            self.called(label)
            self.assertEqual(self.file(), name, label)
        bios = attrs.evolve(UEFI, architecture=Architecture.X86_BIOS, firmware=Firmware.BIOS)
        self.assertEqual(self.file(bios), "loaders/undionly.kpxe")
        self.called("nativ")
        found = self.world.resolve()
        self.assertEqual(found.verdict, Verdict.BROKEN)
        self.assertIn("or the NAME of a [loader:NAME]", found.reason)

    def test_a_family_of_the_plan(self) -> None:
        self.world.policy.plan = BootPlan(Files("linux"), "p", loader="grub")
        self.assertEqual(self.file(), "a/shimx64.efi")
