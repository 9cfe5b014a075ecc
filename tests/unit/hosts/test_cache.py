"""The memory before a directory: fresh, stale, unknown; away, hanging, back again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts import answers, memory
from pxetwist.hosts.cache import CachedDirectory, CacheSettings, cached
from pxetwist.hosts.facts import AnswerUnusable
from pxetwist.interfaces import IHealth, IHostDirectory, IReloads, IReservations
from pxetwist.model.health import HealthState
from pxetwist.model.identity import ClientIdentity, Relay
from pxetwist.model.machine import Machine
from pxetwist.testing import FakeBoot, make_site

MAC = "52:54:00:00:00:01"
WHO = ClientIdentity(mac=MAC)
WS1 = Machine("ws1", (MAC,), provenance="ldap://dc in 12 ms")


@implementer(IHostDirectory, IReloads)
class Slow(Service):
    """A directory that needs `seconds`, or hangs (`None`), or fails with `failure`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seconds: float | None = 0.0
        self.failure: Exception | None = None
        self.machines = {MAC: WS1}
        self.asked: list[ClientIdentity] = []
        self.now = self.most = self.reloads = 0
        self.stubborn = False

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        self.asked.append(identity)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.seconds != 0.0:
                await self._wait()
        finally:
            self.now -= 1
        if self.failure is not None:
            raise self.failure
        return self.machines.get(identity.mac)

    async def _wait(self) -> None:
        waiting: Deferred[None] = Deferred()

        def fire() -> None:
            if not waiting.called:
                waiting.callback(None)

        if self.seconds is not None:
            self.clock.callLater(self.seconds, fire)
        try:
            await waiting
        except Exception:
            if not self.stubborn:
                raise
            await Deferred()

    def reload(self) -> None:
        self.reloads += 1


@implementer(ILogObserver)
class Log(list[tuple[LogLevel, str]]):
    """What was logged."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        self.append((event["log_level"], event["log_format"].format(**event)))


class World:
    """A cached directory, its clock and its log."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.slow = Slow(self.clock)
        self.log = Log()
        self.boot = FakeBoot()
        site = make_site(self.boot, reactor=self.clock, name="ldap")
        site = attrs.evolve(site, log=Logger("test", observer=self.log))
        self.directory: CachedDirectory = cached(self.slow, CacheSettings(**settings), site)

    def ask(self, identity: ClientIdentity = WHO) -> list[Any]:
        """Ask; what is returned gets the machine, or a Failure, once it is known."""
        found: list[Any] = []
        Deferred.fromCoroutine(self.directory.find_machine(identity)).addBoth(found.append)
        return found

    def answer(self, identity: ClientIdentity = WHO) -> Machine | None:
        """Ask for something that is answered at once."""
        [found] = self.ask(identity)
        if isinstance(found, Failure):
            found.raiseException()
        assert found is None or isinstance(found, Machine)
        return found

    def said(self) -> str:
        machine = self.answer()
        assert machine is not None
        return machine.provenance

    @property
    def state(self) -> HealthState:
        return self.directory.health().state

    def go_away(self) -> None:
        """Let every answer be too old to be fresh, and the directory be unreachable."""
        self.clock.advance(31)
        self.slow.failure = DirectoryUnavailable("refused")


class Fresh(SynchronousTestCase):
    def test_interfaces(self) -> None:
        directory = World().directory
        for interface in (IHostDirectory, IHealth, IReloads, IService):
            verifyObject(interface, directory)
        self.assertFalse(IReservations.providedBy(directory))

    def test_from_memory(self) -> None:
        world = World()
        self.assertEqual(world.said(), "ldap://dc in 12 ms, fresh")
        world.clock.advance(29)
        self.assertEqual(world.said(), "ldap://dc in 12 ms, fresh, 29 s old")
        self.assertEqual(len(world.slow.asked), 1)
        world.clock.advance(2)
        self.assertEqual(world.said(), "ldap://dc in 12 ms, fresh")
        self.assertEqual(len(world.slow.asked), 2)

    def test_everything_that_finds_is_a_question_of_its_own(self) -> None:
        world = World()
        identities = [
            WHO,
            attrs.evolve(WHO, serial="1"),
            attrs.evolve(WHO, asset="1"),
            attrs.evolve(WHO, client_id=b"1"),
            attrs.evolve(WHO, hostname="1"),
            attrs.evolve(WHO, relay=Relay(circuit_id=b"1")),
            attrs.evolve(WHO, relay=Relay(remote_id=b"1")),
        ]
        for identity in identities * 2:
            world.answer(identity)
        self.assertEqual(world.slow.asked, identities)

    def test_unknown(self) -> None:
        world = World()
        world.slow.machines = {}
        self.assertIsNone(world.answer())
        world.slow.machines = {MAC: WS1}
        world.clock.advance(59)
        self.assertIsNone(world.answer())
        world.clock.advance(2)
        self.assertEqual(world.answer(), WS1)

    def test_one_question_for_many_askers(self) -> None:
        world = World()
        world.slow.seconds = 0.2
        answers = [world.ask() for _ in range(1000)]
        self.assertEqual(len(world.slow.asked), 1)
        world.clock.advance(0.2)
        self.assertEqual(answers, [[WS1]] * 1000)

    def test_no_more_questions_than_the_pool_at_a_time(self) -> None:
        world = World(pool=4)
        world.slow.seconds = 0.2
        answers = [world.ask(ClientIdentity(mac=f"52:54:00:00:01:{n:02x}")) for n in range(30)]
        world.clock.pump([0.1] * 20)
        self.assertEqual(answers, [[None]] * 30)
        self.assertEqual(world.slow.most, 4)

    def test_memory_is_bounded(self) -> None:
        world = World()
        self.patch(memory, "_UNKNOWN_LIMIT", 3)
        for n in (0, 0, 1, 2, 3, 3, 0):
            self.assertIsNone(world.answer(ClientIdentity(serial=str(n))))
        self.assertEqual(len(world.slow.asked), 5)

    def test_the_unknown_push_out_nobody(self) -> None:
        """Invented machines are remembered, but not in the place of real ones."""
        world = World()
        self.patch(memory, "_LIMIT", 3)
        self.patch(memory, "_UNKNOWN_LIMIT", 3)
        world.answer()
        for n in range(9):
            world.answer(ClientIdentity(serial=str(n)))
        world.answer()
        self.assertEqual(len(world.slow.asked), 10)
        self.assertTrue(world.directory.remembers(MAC))
        self.assertFalse(world.directory.remembers("52:54:00:00:00:99"))

    def test_a_leaving_asker_takes_nobody_along(self) -> None:
        world = World()
        world.slow.seconds = 0.2
        leaving = Deferred.fromCoroutine(world.directory.find_machine(WHO))
        staying = world.ask()
        leaving.cancel()
        self.failureResultOf(leaving)
        world.clock.advance(0.2)
        self.assertEqual(staying, [WS1])


class Away(SynchronousTestCase):
    def test_stale(self) -> None:
        world = World()
        world.answer()
        world.go_away()
        world.clock.advance(7200)
        self.assertEqual(
            world.said(), "ldap://dc in 12 ms, stale, 2 h old: directory away (refused)"
        )
        self.assertEqual(world.answer(), WS1)

    def test_too_stale(self) -> None:
        world = World()
        world.answer()
        world.go_away()
        world.clock.advance(86400)
        with self.assertRaisesRegex(DirectoryUnavailable, "refused"):
            world.answer()

    def test_never_asked(self) -> None:
        world = World()
        world.go_away()
        for _ in range(5):
            with self.assertRaisesRegex(DirectoryUnavailable, "refused"):
                world.answer()

    def test_unknown_is_never_stale(self) -> None:
        """Who was unknown yesterday may be known today."""
        world = World()
        world.slow.machines = {}
        world.answer()
        world.go_away()
        world.clock.advance(31)
        with self.assertRaises(DirectoryUnavailable):
            world.answer()

    def test_other_facts_beside_a_known_mac(self) -> None:
        """A system's DHCP client sends an identifier that the ROM did not."""
        world = World()
        world.answer(attrs.evolve(WHO, client_id=b"rom"))
        world.go_away()
        self.assertEqual(world.answer(attrs.evolve(WHO, client_id=b"linux")), WS1)

    def test_other_facts_beside_a_known_uuid(self) -> None:
        """A machine that is known by its UUID alone, whatever MAC it boots from."""
        world, uuid = World(), UUID("00112233-4455-6677-8899-aabbccddeeff")
        world.slow.machines = {"": Machine("ws2", uuid=uuid)}
        world.answer(ClientIdentity(uuid=uuid, client_id=b"rom"))
        world.go_away()
        found = world.answer(ClientIdentity(uuid=uuid, hostname="ws2"))
        self.assertEqual(found and found.name, "ws2")

    def test_log_tells_changes_only(self) -> None:
        world = World()
        world.answer()
        world.go_away()
        for _ in range(20):
            world.answer()
            world.clock.advance(1)
        away = "directory ldap is away: refused; answers from memory, up to 24 h old"
        self.assertEqual(world.log, [(LogLevel.warn, away)])
        world.slow.failure = None
        world.clock.advance(60)
        world.answer()
        self.assertEqual(world.log[1:], [(LogLevel.info, "directory ldap answers again")])

    def test_a_bug_is_logged_once(self) -> None:
        world = World()
        world.slow.failure = ZeroDivisionError("bug")
        for _ in range(3):
            with self.assertRaisesRegex(DirectoryUnavailable, "bug"):
                world.answer()
        self.assertEqual(world.log[0], (LogLevel.critical, "asking ldap"))
        self.assertEqual(len(world.log), 2)

    def test_one_bad_record_shuts_out_nobody(self) -> None:
        """A directory that answers nonsense about one machine is not away for the others."""
        world = World()
        world.slow.failure = AnswerUnusable("no 'name'")
        for number in range(5):
            with self.assertRaisesRegex(DirectoryUnavailable, "no .name."):
                world.answer(ClientIdentity(mac=f"52:54:00:00:01:{number:02x}"))
        world.slow.failure = None
        self.assertEqual(world.answer(), WS1)
        self.assertIs(world.state, HealthState.UP)

    def test_breaker(self) -> None:
        """Three failures, then one trial after a time that doubles up to a minute."""
        world = World()
        world.answer()
        world.go_away()
        for _ in range(3):
            world.answer()
        self.assertIs(world.state, HealthState.DOWN)
        asked = len(world.slow.asked)
        times = []
        for _ in range(3000):
            world.answer()
            world.answer()
            if len(world.slow.asked) > asked:
                asked = len(world.slow.asked)
                times.append(round(world.clock.seconds() - 31, 1))
            world.clock.advance(0.1)
        gaps = [round(b - a) for a, b in pairwise(times)]
        self.assertEqual(gaps[:7], [2, 4, 8, 16, 32, 60, 60])
        world.slow.failure = None
        world.clock.advance(61)
        world.answer()
        health = world.directory.health()
        self.assertIs(health.state, HealthState.UP)
        self.assertEqual(health.since, world.clock.seconds())
        self.assertEqual(health.error, "refused")


class Restarted(SynchronousTestCase):
    """What was known is known after a restart, if the directory is away by then."""

    def restarted(self, before: World) -> World:
        self.successResultOf(before.directory.stopService())
        world = World()
        world.clock.advance(before.clock.seconds() + 100)
        world.slow.failure = DirectoryUnavailable("refused")
        world.directory.startService()
        return world

    def world(self, machine: Machine = WS1) -> World:
        world = World()
        world.slow.machines = {MAC: machine}
        world.directory.startService()
        world.answer()
        return world

    def test_stale_answer(self) -> None:
        uuid = UUID("00112233-4455-6677-8899-aabbccddeeff")
        known = attrs.evolve(
            WS1,
            uuid=uuid,
            address=IPv4Address("10.0.0.9"),
            address6=IPv6Address("fd77::9"),
            labels={"room": "b12"},
            groups=("a b", "c"),
            client_id=b"\xff\0",
            serial="PF0",
        )
        world = self.restarted(self.world(known))
        self.assertEqual(world.answer(), known)
        self.assertEqual(world.answer(ClientIdentity(uuid=uuid)), known)
        self.assertIn("stale, 100 s old: directory away (refused)", world.said())

    def test_kept_every_minute(self) -> None:
        """A server that is killed has lost a minute at the most; nobody else can read it."""
        world = self.world()
        world.clock.advance(61)
        for thread in threading.enumerate():
            if thread.name.startswith("saves "):
                thread.join()
        (file,) = Path.cwd().glob("answers-*.json")
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual([machine.name for machine, _ in answers.load(file)], ["ws1"])

    def test_too_old(self) -> None:
        before = self.world()
        before.clock.advance(90000)
        self.assertRaises(DirectoryUnavailable, self.restarted(before).answer)

    def test_damaged(self) -> None:
        """A file that is no file of answers costs the answers, not the start."""
        for text in ("", "{", "[1]", '[{"given": 1}]', '{"a": 1}', "null"):
            Path("answers-ldap.json").write_text(text)
            world = World()
            world.directory.startService()
            self.assertEqual(world.answer(), WS1)
            self.assertIn("earlier answers are lost", str(world.log))

    def test_rehearsal(self) -> None:
        """`pxetwist explain` leaves no trace."""
        world = World()
        world.boot.rehearsal = True
        world.directory.startService()
        world.answer()
        self.successResultOf(world.directory.stopService())
        self.assertEqual(list(Path.cwd().glob("answers-*")), [])


class Hanging(SynchronousTestCase):
    def test_deadline(self) -> None:
        world = World()
        world.slow.seconds = None
        found = world.ask()
        world.clock.advance(1.9)
        self.assertEqual(found, [])
        world.clock.advance(0.2)
        found[0].trap(DirectoryUnavailable)
        self.assertIn("no answer within 2 s", found[0].getErrorMessage())

    def test_stale_at_the_deadline(self) -> None:
        world = World()
        world.answer()
        world.clock.advance(31)
        world.slow.seconds = None
        found = world.ask()
        world.clock.advance(2)
        self.assertEqual(found, [WS1])
        self.assertIn("stale, 33 s old", found[0].provenance)
        self.assertIs(world.state, HealthState.DEGRADED)

    def test_hang_fail_recover(self) -> None:
        """The whole way down and up, also with a plugin that cannot be cancelled."""
        for stubborn in (False, True):
            world = World(pool=2)
            world.answer()
            world.clock.advance(31)
            world.slow.seconds, world.slow.stubborn = None, stubborn
            strangers = [world.ask(ClientIdentity(serial=str(n))) for n in range(5)]
            known = world.ask()
            world.clock.advance(2)
            self.assertEqual(known, [WS1])
            world.clock.pump([1] * 10)
            self.assertTrue(all(isinstance(each[0], Failure) for each in strangers))
            self.assertIs(world.state, HealthState.DOWN)
            self.assertEqual(world.answer(), WS1)
            world.slow.seconds = 0.1
            world.clock.pump([1] * 120)
            found = world.ask()
            world.clock.advance(0.1)
            self.assertEqual(found, [WS1])
            self.assertEqual(found[0].provenance, f"{WS1.provenance}, fresh")
            self.assertIs(world.state, HealthState.UP)

    def test_a_late_answer_is_kept(self) -> None:
        """It is there when the ROM asks again, four seconds after its first attempt."""
        world = World()
        world.slow.seconds = 3
        first = world.ask()
        world.clock.pump([1] * 4)
        first[0].trap(DirectoryUnavailable)
        self.assertEqual(world.answer(), WS1)
        self.assertIs(world.state, HealthState.UP)

    def test_busy_is_not_away(self) -> None:
        """A queue that is longer than the deadline is no reason not to ask any more."""
        world = World(pool=8)
        world.slow.seconds = 0.2
        for n in range(400):
            world.ask(ClientIdentity(serial=str(n)))
        world.clock.pump([0.25] * 60)
        self.assertIs(world.state, HealthState.UP)
        self.assertEqual(len(world.slow.asked), 400)
        self.assertEqual(world.directory.health().counters["unknown"], 400)


class PassedOn(SynchronousTestCase):
    def test_reload(self) -> None:
        """Everything is asked anew, but an emergency still finds it."""
        world = World()
        world.answer()
        world.answer(ClientIdentity(serial="stranger"))
        world.directory.reload()
        self.assertEqual(world.slow.reloads, 1)
        world.slow.failure = DirectoryUnavailable("refused")
        self.assertEqual(world.answer(), WS1)
        with self.assertRaises(DirectoryUnavailable):
            world.answer(ClientIdentity(serial="stranger"))
        self.assertEqual(len(world.slow.asked), 4)

    def test_service(self) -> None:
        world = World()
        world.directory.startService()
        self.assertTrue(world.slow.running)
        world.slow.seconds = None
        found = world.ask()
        self.successResultOf(world.directory.stopService())
        self.assertFalse(world.slow.running)
        found[0].trap(DirectoryUnavailable)
        self.assertEqual(world.clock.getDelayedCalls(), [])
        self.assertEqual(world.slow.now, 0)

    def test_reservations(self) -> None:
        @implementer(IHostDirectory, IReservations)
        class Promising:
            async def find_machine(self, identity: ClientIdentity) -> Machine | None:
                return None

            def reserved_addresses(self) -> tuple[Any, ...]:
                return (1, 2)

        directory = cached(Promising(), CacheSettings(), make_site())
        self.assertTrue(IReservations.providedBy(directory))
        self.assertEqual(IReservations(directory).reserved_addresses(), (1, 2))

    def test_counters(self) -> None:
        world = World()
        world.answer()
        world.answer()
        world.go_away()
        for _ in range(4):
            world.answer()
        counters = world.directory.health().counters
        self.assertEqual(
            counters, {"answered": 1, "fresh": 1, "failed": 3, "stale": 4, "refused": 1}
        )
