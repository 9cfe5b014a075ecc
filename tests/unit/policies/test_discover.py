"""Unknown machines, from the first DHCP question to the boot of their profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.facade import BootFacade
from pxetwist.config.fields import Line
from pxetwist.content import rendered
from pxetwist.errors import ConfigError, Location, StateUnavailable
from pxetwist.hosts import approved
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.boots import LocalDisk
from pxetwist.model.content import ContentPath
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.model.report import MachineReport
from pxetwist.policies import discover
from pxetwist.state import discovered
from pxetwist.testing import FakeHosts, FakeObserver, FakePolicy, make_site
from pxetwist.testing.contracts import Contract, ThreadClock
from pxetwist.wire.iana import Architecture

MAC = "52:54:00:00:00:99"
KNOWN = "52:54:00:00:00:01"
LOCAL = BootProfile("local", ProfileKind.LOCAL)
FACTS = {"manufacturer": "Dell", "product.hex": "4f707469706c6578", "serial": "a&b"}


class DiscoverCase(Contract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.clock.advance(1_700_000_000)
        self.folder = Path(self.mktemp()).absolute()
        self.told = FakeObserver()

    def start(self, **settings: Any) -> None:
        self.facade = BootFacade(self.clock, networks={}, state_folder=self.folder)
        site = make_site(
            self.facade,
            reactor=self.clock,
            name="discover",
            state_folder=self.folder,
            profiles={"local": LOCAL},
        )
        self.policy = discover.build(discover.Settings(**settings), site)
        self.directory = approved.build(approved.Settings(), site)
        everyday = FakePolicy(BootPlan(LocalDisk(), "everyday", "as always"))
        known = FakeHosts({KNOWN: Machine("ws1", (KNOWN,))})
        self.facade.attach(
            hosts=[("rack", known), ("approved", self.directory)],
            policies=[("discover", self.policy), ("main", everyday)],
            content=[("scripts", rendered.build(rendered.Settings(), site))],
            observers=[("told", self.told)],
            leases=None,
        )
        for service in (self.policy, self.directory):
            service.startService()
            self.addCleanup(self.stop, service)

    def stop(self, service: Any) -> None:
        stopped = service.stopService()
        if stopped is not None:
            self.settle(lambda: stopped.called)

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    @property
    def now(self) -> float:
        return float(self.clock.seconds())

    def dhcp(self, mac: str = MAC, stage: BootStage = BootStage.LOADER) -> BootRequest:
        firmware = Firmware.SYSTEM if stage is BootStage.KERNEL else Firmware.IPXE
        identity = ClientIdentity(mac=mac, architecture=Architecture.X64_UEFI, firmware=firmware)
        boot_id = self.facade.see(identity, stage, self.now)
        ends = Endpoints("10.0.0.1")
        request = BootRequest(identity, stage, Protocol.DHCP, endpoints=ends, boot_id=boot_id)
        resolved: BootRequest = self.result(self.facade.resolve(request)).request
        return resolved

    def script(self, request: BootRequest) -> str:
        """Load boot.ipxe, as after DHCP, or later in the same boot."""
        path = ContentPath.parse("boot.ipxe")
        asked = attrs.evolve(request, protocol=Protocol.HTTP, wanted=path, machine=None, plan=None)
        resolved = self.result(self.facade.resolve(asked)).request
        content = self.result(self.facade.open(path, resolved))
        return self.result(content.read(0, content.info.size)).decode()

    def report(self, script: str, **facts: str) -> str:
        """Do what a script says: report, or ask again."""
        token = re.search(r"/discover/([\w-]+)", script)
        assert token is not None, script
        redeemed = self.facade.redeem(token[1], self.now, "discover")
        assert redeemed is not None
        ends = Endpoints("10.0.0.1")
        said = MachineReport("discover", *redeemed, self.now, facts=facts, endpoints=ends)
        answer = self.result(self.facade.hear(said))
        assert answer is not None
        return answer

    def command(self, work: Callable[[Any], Any]) -> Any:
        session = self.policy.database.connect(discovered.SCHEMA, change=True)
        assert session is not None
        try:
            return session.run(work, change=True)
        finally:
            session.close()


class DiscoveryTests(DiscoverCase):
    def test_approved_without_a_reset(self) -> None:
        self.start()
        request = self.dhcp()
        script = self.script(request)
        self.assertIn("profile discovery", script)
        self.assertIn("&serial.hex=${serial:hexraw}&", script)
        waiting = self.report(script, **FACTS)
        found = re.search(r"Waiting for approval: code (\w{4})\n", waiting)
        assert found is not None, waiting
        [reported] = self.command(discovered.reports)
        self.assertEqual((reported.mac, reported.code), (MAC, found[1]))
        facts = {"manufacturer": "Dell", "product": "Optiplex", "serial": "a&b"}
        self.assertEqual(reported.facts, facts)
        self.clock.advance(5)
        self.assertIn(f"code {found[1]}", self.report(waiting))
        self.command(partial(discovered.approve, found[1], "ws99", {"room": "b12"}))
        self.clock.advance(5)
        going = self.report(waiting)
        self.assertIn("approved", going)
        self.assertRegex(going, r"chain \S+ \S+ http://10.0.0.1/boot/[\w-]+/boot.ipxe ")
        self.clock.advance(1)
        self.assertIn("ws99: profile everyday", self.script(request))
        machine = self.dhcp().machine
        assert machine is not None
        self.assertEqual((machine.name, machine.labels), ("ws99", {"room": "b12"}))
        [event] = [e for e in self.told.events if e.kind is EventKind.DISCOVERED]
        self.assertIn(f"code {found[1]}, waits for approval: Dell Optiplex a&b", event.summary)

    def test_a_directory_that_does_not_know_it_yet(self) -> None:
        """The machine is faster than the directory: it reports once more."""
        self.start()
        request = self.dhcp()
        waiting = self.report(self.script(request))
        self.dhcp("52:54:00:00:00:55")  # the directory has just looked
        self.command(partial(discovered.approve, MAC, "ws99", {}))
        self.report(waiting)
        again = self.script(request)
        self.assertIn("profile discovery", again)
        self.clock.advance(1)
        self.report(again)
        self.assertIn("ws99: profile everyday", self.script(request))

    def test_what_lasts(self) -> None:
        """That a machine reports lasts, and that one is known; what comes after a report does
        not, and an approval ends what was decided.
        """
        self.start(wait=60.0, fallback=Line("local", Location("pxe.ini", 1)))

        def editions() -> tuple[int | None, int]:
            return self.directory.edition(), self.policy.edition()

        request = self.dhcp()
        before = editions()
        self.assertIsNotNone(before[0])
        self.dhcp(KNOWN)
        self.dhcp()
        self.assertEqual(editions(), before)
        waiting = self.report(self.script(request))
        self.clock.advance(60)
        self.assertIsNone(self.directory.edition())  # others may have changed it meanwhile
        self.report(waiting)
        _, released = editions()
        self.assertGreater(released, before[1])
        self.assertIn("profile local", self.script(request))
        self.assertGreater(self.policy.edition(), released)
        self.command(partial(discovered.approve, MAC, "ws99", {}))
        self.clock.advance(1)
        self.dhcp()
        known, _ = editions()
        assert known is not None
        assert before[0] is not None
        self.assertGreater(known, before[0])

    def test_time_is_over(self) -> None:
        """It boots the fallback; at its next boot it waits again."""
        self.start(wait=60.0, fallback=Line("local", Location("pxe.ini", 1)))
        request = self.dhcp()
        waiting = self.report(self.script(request))
        self.clock.advance(59)
        self.assertIn("Waiting", self.report(waiting))
        self.clock.advance(1)
        self.assertIn("Nobody has approved", self.report(waiting))
        self.assertIn("profile local (unknown, and not approved)", self.script(request))
        self.clock.advance(400)
        self.assertIn("Waiting", self.report(self.script(self.dhcp())))

    def test_without_a_fallback(self) -> None:
        """The next policy decides."""
        self.start(wait=60.0)
        request = self.dhcp()
        waiting = self.report(self.script(request))
        self.clock.advance(60)
        self.report(waiting)
        self.assertIn("profile everyday", self.script(request))

    def test_rejected(self) -> None:
        self.start(wait=0.0, fallback=Line("local", Location("pxe.ini", 1)))
        request = self.dhcp()
        waiting = self.report(self.script(request))
        self.clock.advance(9e4 - 5e3)
        self.assertIn("Waiting", self.report(waiting))  # until somebody decides
        self.command(partial(discovered.reject, MAC))
        self.assertIn("rejected", self.report(waiting))
        self.assertIn("profile local", self.script(request))

    def test_who_is_not_asked(self) -> None:
        """Known machines, systems, and machines without a MAC."""
        self.start()
        for request in (self.dhcp(KNOWN), self.dhcp(stage=BootStage.KERNEL)):
            assert request.plan is not None
            self.assertEqual(request.plan.profile, "everyday")
        nobody = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.DHCP)
        self.assertIsNone(self.result(self.policy.plan_boot(nobody)))
        self.assertFalse((self.folder / "discovered.sqlite").exists())

    def test_a_database_that_is_none(self) -> None:
        """The machine is told to try again, known ones boot, strangers may be known there."""
        self.folder.mkdir(parents=True)
        (self.folder / "discovered.sqlite").write_text("No database at all.\n" * 99)
        self.start()
        report = MachineReport("discover", ClientIdentity(mac=MAC), "1a2b", self.now)
        with self.assertRaises(StateUnavailable):
            self.result(self.facade.hear(report))
        request = self.dhcp(KNOWN)
        assert request.plan is not None
        self.assertIsNone(self.dhcp().plan)

    def test_fallback_must_be_a_profile(self) -> None:
        with self.assertRaisesRegex(ConfigError, "pxe.ini:7: fallback: .*did you mean 'local'"):
            self.start(fallback=Line("locl", Location("pxe.ini", 7)))


class StoreTests(DiscoverCase):
    def setUp(self) -> None:
        super().setUp()
        database = discovered.database_in(self.folder)
        session = database.connect(discovered.SCHEMA, change=True)
        assert session is not None
        self.session = session
        self.addCleanup(session.close)

    def note(self, mac: str, now: float = 1.0, facts: Mapping[str, str] | None = None) -> str:
        identity = ClientIdentity(mac=mac)
        report = MachineReport("discover", identity, "1a2b", now, facts=facts or {})
        found, _ = self.session.run(partial(discovered.note, report, 100), change=True)
        return found.code

    def test_invented_machines(self) -> None:
        """10,000 of them: the file stays small, and who is approved stays."""
        self.note(MAC)
        self.session.run(partial(discovered.approve, MAC, "ws99", {}), change=True)

        def flood(session: Any) -> None:
            for number in range(10_000):
                mac = f"02:00:{number.to_bytes(4, 'big').hex(':')}"
                facts = dict.fromkeys(("serial", "asset", "product"), "x" * 5000)
                identity = ClientIdentity(mac=mac)
                report = MachineReport("discover", identity, "1a2b", 2.0 + number, facts=facts)
                discovered.note(report, 100, session)

        self.session.run(flood, change=True)
        found = self.session.run(discovered.reports, change=False)
        self.assertLessEqual(len(found), 100 + discovered.SLACK)
        self.assertEqual(found[0].mac, MAC)
        self.assertEqual(found[-1].mac, "02:00:00:00:27:0f")
        size = sum(each.stat().st_size for each in self.folder.iterdir())
        self.assertLess(size, 5 << 20)

    def test_facts_are_data(self) -> None:
        worst = "'); drop table report; --\x1b[2J\n${reboot} {{ 7 * 7 }} \udcff".encode(
            "utf-8", "replace"
        ).decode()
        more = {"zonk": "x", "asset.hex": "ff00zz", "product.hex": "61ff0a62"}
        self.note(MAC, facts={"serial": worst, **more})
        [found] = self.session.run(discovered.reports, change=False)
        self.assertEqual(set(found.facts), {"serial", "product"})
        self.assertTrue(found.facts["serial"].isprintable())
        self.assertEqual(found.facts["product"], "a\ufffd b")

    def test_codes(self) -> None:
        codes = {self.note(f"52:54:00:00:00:{n:02x}") for n in range(60)}
        self.assertEqual(len(codes), 60)
        self.assertEqual(self.note("52:54:00:00:00:07"), self.note("52:54:00:00:00:07", 99.0))

    def test_names(self) -> None:
        code, other = self.note(MAC), self.note("52:54:00:00:00:98")
        run = self.session.run
        run(partial(discovered.approve, code.lower(), "WS99", {}), change=True)
        run(partial(discovered.approve, code, "ws99", {"room": "b1"}), change=True)
        with self.assertRaises(discovered.DiscoveryConflict):
            run(partial(discovered.approve, other, "ws99", {}), change=True)
        with self.assertRaises(discovered.DiscoveryConflict):
            run(partial(discovered.approve, "ZZZZ", "ws98", {}), change=True)
        with self.assertRaises(ValueError):
            run(partial(discovered.approve, other, "ws98", {"address": "10.0.0"}), change=True)
        change, machines = run(partial(discovered.machines, -1), change=False)
        self.assertEqual([(m.name, m.macs) for m in machines or ()], [("ws99", (MAC,))])
        run(partial(discovered.reject, code), change=True)
        self.assertEqual(run(partial(discovered.machines, change), change=False)[1], [])
