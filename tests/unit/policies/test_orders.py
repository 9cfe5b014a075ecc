"""Machines with orders, from DHCP to the call-back: facade, policy, store and scripts."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.facade import BootFacade
from pxetwist.config.fields import Line
from pxetwist.content import rendered
from pxetwist.errors import ConfigError, ContentNotFound, Location, PolicyError
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol, Verdict
from pxetwist.model.boots import LocalDisk
from pxetwist.model.content import ContentPath
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.model.order import Order, OrderState
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.model.report import MachineReport
from pxetwist.policies import orders as policies
from pxetwist.policies.order_settings import Settings
from pxetwist.policies.orders import OrdersPolicy
from pxetwist.state import database as databases
from pxetwist.state import orders as states
from pxetwist.state.postgres import postgres_url
from pxetwist.testing import FakeHosts, FakeObserver, FakePolicy, MemoryStore, make_site
from pxetwist.testing.contracts import Contract, ThreadClock
from pxetwist.wire.iana import Architecture

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
PROFILES = {
    "install": BootProfile(
        "install", ProfileKind.LINUX, kernel={"": "k"}, arguments={"": "cb={{ callback }}"}
    ),
    "wipe": BootProfile("wipe", ProfileKind.NBP, nbp={"": "wipe.efi"}),
    "local": BootProfile("local", ProfileKind.LOCAL),
    "memtest": BootProfile("memtest", ProfileKind.LINUX, kernel={"": "m"}),
}
EVERYDAY = BootPlan(LocalDisk(), "everyday", "as always")
#: What speaks at a stage.
SPEAKERS = {
    BootStage.FIRMWARE: Firmware.UEFI,
    BootStage.LOADER: Firmware.IPXE,
    BootStage.KERNEL: Firmware.SYSTEM,
}


class Node:
    """One server: a facade with its policy and its scripts."""

    def __init__(self, case: OrdersCase, settings: Settings) -> None:
        self.case = case
        self.told = FakeObserver()
        self.everyday = FakePolicy(EVERYDAY)
        self.facade = BootFacade(case.clock, networks={}, state_folder=case.folder)
        site = make_site(
            self.facade,
            reactor=case.clock,
            name="orders",
            state_folder=case.folder,
            profiles=PROFILES,
        )
        self.policy = policies.build(settings, site)
        content = [("s", rendered.build(rendered.Settings(), site)), ("f", case.files)]
        self.facade.attach(
            hosts=[("rack", case.hosts)],
            policies=[("orders", self.policy), ("main", self.everyday)],
            content=content,
            observers=[("told", self.told)],
            leases=None,
        )
        self.policy.startService()
        case.addCleanup(self.stop)

    def stop(self) -> None:
        stopped = self.policy.stopService()
        if stopped is not None:
            self.case.settle(lambda: stopped.called)

    def dhcp(self, stage: BootStage = BootStage.LOADER, mac: str = MAC) -> BootRequest:
        """A machine asks by DHCP."""
        identity = ClientIdentity(
            mac=mac, architecture=Architecture.X64_UEFI, firmware=SPEAKERS[stage]
        )
        boot_id = self.facade.see(identity, stage, self.case.now)
        request = BootRequest(
            identity, stage, Protocol.DHCP, endpoints=Endpoints("10.0.0.1"), boot_id=boot_id
        )
        resolution = self.case.result(self.facade.resolve(request))
        self.case.assertIs(resolution.verdict, Verdict.PLANNED, resolution.reason)
        return resolution.request

    def fetch(self, request: BootRequest, path: str = "boot.ipxe") -> str:
        """Its loader fetches a text, as after DHCP."""
        wanted = ContentPath.parse(path)
        asked = attrs.evolve(
            request,
            protocol=Protocol.HTTP,
            stage=BootStage.LOADER,
            wanted=wanted,
            machine=None,
            plan=None,
        )
        resolved = self.case.result(self.facade.resolve(asked)).request
        content = self.case.result(self.facade.open(wanted, resolved))
        return self.case.result(content.read(0, content.info.size)).decode()

    def boot(self, mac: str = MAC) -> str:
        """Switch a machine on, and return its script."""
        self.dhcp(BootStage.FIRMWARE, mac)
        return self.fetch(self.dhcp(BootStage.LOADER, mac))

    def call_back(self, script: str, word: str, text: str = "") -> str | None:
        token = re.search(r"/callback/(\S+)", script)
        assert token is not None, script
        redeemed = self.facade.redeem(token[1], self.case.now, "callback")
        assert redeemed is not None
        report = MachineReport("callback", *redeemed, self.case.now, word, text)
        return self.case.result(self.facade.hear(report))

    def events(self, kind: EventKind) -> list[str]:
        return [event.summary for event in self.told.events if event.kind is kind]


class OrdersCase(Contract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.clock.advance(1_700_000_000)
        self.folder = Path(self.mktemp()).absolute()
        self.hosts = FakeHosts({MAC: Machine("WS1", (MAC, OTHER))})
        self.files = MemoryStore({"wipe.efi": b"wipe"})

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    @property
    def now(self) -> float:
        return float(self.clock.seconds())

    def node(self, **settings: Any) -> Node:
        return Node(self, Settings(**settings))

    def command(self, node: Node, work: Callable[[Any], Any]) -> Any:
        session = node.policy.store.pool.database.connect(states.SCHEMA, change=True)
        assert session is not None
        try:
            return session.run(work, change=True)
        finally:
            session.close()
            self.clock.advance(1)

    def order(
        self, node: Node, profile: str = "install", machine: str = "ws1", **more: Any
    ) -> int:
        order = Order(machine, profile, created=self.now, **more)
        added: Order = self.command(node, lambda session: states.add(order, session))
        return added.number

    def state(self, node: Node) -> Order:
        found: Order = self.command(node, states.everything)[-1]
        return found

    def labelled(self, labels: Mapping[str, str]) -> None:
        self.hosts.machines = {MAC: Machine("WS1", (MAC,), labels=labels)}


class LifeTests(OrdersCase):
    def test_install_once(self) -> None:
        node = self.node()
        self.assertIn("profile everyday", node.boot())
        number = self.order(node)
        script = node.boot()
        self.assertIn(f"profile install (order {number} (install once))", script)
        self.assertIs(self.state(node).state, OrderState.TAKEN)
        kernel = node.dhcp(BootStage.KERNEL)
        assert kernel.plan is not None
        self.assertEqual(kernel.plan.profile, "install")
        self.assertEqual(node.call_back(script, "progress", "half way"), "")
        self.assertEqual(node.call_back(script, "done", "hurra"), "")
        self.assertIs(self.state(node).state, OrderState.DONE)
        self.assertIn("profile everyday", node.boot())
        said = [re.sub(r"order \d+", "order N", line) for line in node.events(EventKind.ORDER)]
        self.assertEqual(
            said,
            [
                f"order N (install once) is taken by {MAC}",
                "order N (install once) is done: hurra",
            ],
        )
        calls = node.events(EventKind.CALLBACK)
        self.assertEqual(calls, ["says progress: half way", "says done: hurra"])

    def test_what_lasts(self) -> None:
        """That a machine has no order lasts until somebody gives one, but no order does."""
        node = self.node()
        policy = node.policy
        self.assertIsNone(policy.edition())  # nothing was read
        node.dhcp()
        before = policy.edition()
        assert before is not None
        node.dhcp(mac=OTHER)
        self.assertEqual(policy.edition(), before)
        self.clock.advance(1)
        self.assertIsNone(policy.edition())
        node.dhcp()
        self.assertEqual(policy.edition(), before)
        self.order(node)
        for _ in range(2):
            found = node.dhcp().plan
            self.assertEqual(found and found.profile, "install")
            last, before = before, policy.edition() or 0
            self.assertGreater(before, last)

    def test_then(self) -> None:
        """That of the order before that of the policy; until it is cancelled."""
        node = self.node(then=Line("local", Location("pxe.ini", 3)))
        number = self.order(node)
        node.call_back(node.boot(), "done")
        self.assertIn("is done: then local", node.boot())
        self.order(node, then="memtest")
        node.call_back(node.boot(), "failed", "no disk")
        self.assertIn("is failed: then memtest", node.boot())
        number = self.state(node).number
        self.command(node, lambda session: states.cancel(number, self.now, session))
        self.assertIn("profile everyday", node.boot())

    def test_a_machine_that_only_restarts(self) -> None:
        """A reinstall loop is impossible, and the operator is told."""
        node = self.node(then=Line("local", Location("pxe.ini", 3)))
        self.order(node)
        self.assertIn("profile install", node.boot())
        for _ in range(3):
            self.assertIn("profile local", node.boot())
        order = self.state(node)
        self.assertIs(order.state, OrderState.FAILED)
        self.assertIn("started again without a call-back", order.note)
        self.assertIn("is failed", node.events(EventKind.ORDER)[-1])

    def test_a_rom_that_is_ipxe_restarts_at_once(self) -> None:
        """All its boots begin at the same stage, seconds apart: they are boots all the same."""
        node = self.node()
        self.order(node)
        scripts = []
        for _ in range(4):
            node.dhcp()  # DISCOVER
            scripts.append(node.fetch(node.dhcp()))  # REQUEST
            self.clock.advance(5)
        self.assertEqual([("install" in each) for each in scripts], [True, False, False, False])

    def test_a_loader_that_tries_again(self) -> None:
        node = self.node()
        self.order(node)
        request = node.dhcp()
        for _ in range(3):
            self.assertIn("profile install", node.fetch(request))
        self.assertEqual(self.state(node).attempts, 1)
        self.assertEqual(len(node.events(EventKind.ORDER)), 1)

    def test_attempts(self) -> None:
        node = self.node(attempts=2)
        self.order(node)
        installed = ["profile install" in node.boot() for _ in range(4)]
        self.assertEqual(installed, [True, True, False, False])

    def test_done_when_taken(self) -> None:
        node = self.node(done="taken")
        self.order(node)
        self.assertIn("profile install", node.boot())
        self.assertIs(self.state(node).state, OrderState.DONE)
        self.assertIn("profile everyday", node.boot())

    def test_a_program_of_the_firmware(self) -> None:
        """Without any script the order is taken with the program."""
        node = self.node()
        self.order(node, "wipe")
        request = node.dhcp(BootStage.FIRMWARE)
        self.assertIs(self.state(node).state, OrderState.PENDING)
        self.assertEqual(node.fetch(request, "wipe.efi"), "wipe")
        self.assertIs(self.state(node).state, OrderState.TAKEN)
        again = node.dhcp(BootStage.FIRMWARE)
        assert again.plan is not None
        self.assertEqual(again.plan.profile, "everyday")

    def test_by_mac(self) -> None:
        """Also for a machine that no directory knows, and by another of its MACs."""
        node = self.node()
        stranger = "52:54:00:00:00:99"
        self.order(node, machine=stranger)
        self.order(node, machine=OTHER)
        self.assertIn("profile install", node.boot(stranger))
        self.assertIn("profile install", node.boot(MAC))

    def test_cancelled_between_dhcp_and_script(self) -> None:
        """What DHCP announced is not done any more; the machine boots what holds now."""
        node = self.node()
        number = self.order(node)
        request = node.dhcp()
        self.command(node, lambda session: states.cancel(number, self.now, session))
        self.assertIn("profile everyday", node.fetch(request))

    def test_no_call_back_in_time(self) -> None:
        node = self.node(time_limit=1000)
        self.order(node)
        node.boot()
        self.clock.advance(1000)
        self.settle(lambda: "is failed" in node.events(EventKind.ORDER)[-1])
        self.assertEqual(self.state(node).note, "no call-back in time")

    def test_expired(self) -> None:
        node = self.node()
        self.order(node, expires=self.now + 100)
        self.clock.advance(100)
        self.settle(lambda: bool(node.events(EventKind.ORDER)))
        self.assertIn("profile everyday", node.boot())
        self.assertIs(self.state(node).state, OrderState.EXPIRED)

    def test_the_server_restarts_in_between(self) -> None:
        """A token names the boot; a new process goes on where the old one was killed."""
        before = self.node()
        self.order(before)
        request = before.dhcp()
        first = before.fetch(request)
        after = self.node()
        self.assertIn("profile install", after.fetch(request))
        self.assertEqual(self.state(after).attempts, 1)
        after.call_back(first, "done")
        self.assertIs(self.state(before).state, OrderState.DONE)

    def test_two_servers(self) -> None:
        """Both announce it; whoever is first gives it, the other one decides anew."""
        one, two = self.node(), self.node()
        self.order(one)
        self.hosts.machines = {m: Machine("WS1", (MAC, OTHER)) for m in (MAC, OTHER)}
        first, second = one.dhcp(), two.dhcp(mac=OTHER)
        self.assertIn("profile install", one.fetch(first))
        self.assertIn("profile everyday", two.fetch(second))


class SelfServiceTests(OrdersCase):
    """A machine that orders for itself, by a call-back."""

    def test_at_its_next_boot(self) -> None:
        node = self.node(self_service=("install",))
        script = node.boot()
        self.assertNotIn("install", script)
        said = node.call_back(self.callback(node), "order", " install\n")
        self.assertRegex(str(said), "order 1")
        self.assertEqual(self.state(node).machine, "ws1")
        self.assertIn("install", node.boot())
        self.assertNotIn("install", node.boot())

    def test_only_what_the_ini_allows(self) -> None:
        """Other profiles, and a second order, are not acknowledged."""
        node = self.node(self_service=("install",))
        url = self.callback(node)
        self.assertIsNone(node.call_back(url, "order", "wipe"))
        self.assertIsNone(node.call_back(url, "order", ""))
        self.assertIsNotNone(node.call_back(url, "order", "install"))
        self.assertIsNone(node.call_back(url, "order", "install"))
        self.assertIsNone(self.node().call_back(self.callback(self.node()), "order", "install"))

    def test_a_machine_has_one_order(self) -> None:
        """Whoever gave it, and by which of its names; what is refused is an event as well."""
        for name in ("ws1", MAC):
            node = self.node(self_service=("install",))
            number = self.order(node, machine=name)
            url = self.callback(node)
            self.assertIsNone(node.call_back(url, "order", "install"))
            self.assertIn("says order: install (refused)", node.events(EventKind.CALLBACK))
            self.command(node, partial(states.cancel, number, self.now))

    def callback(self, node: Node) -> str:
        """Return the URL that a script of this machine's boot would have."""
        node.dhcp(BootStage.FIRMWARE, MAC)
        request = node.dhcp(BootStage.LOADER, MAC)
        return str(node.facade.report_url(request, "callback", self.now))


class LabelTests(OrdersCase):
    def test_once_for_each_value(self) -> None:
        node = self.node(then=Line("local", Location("pxe.ini", 3)))
        for value, installs in (
            ("install#1", True),
            ("install#1", False),
            ("install#2", True),
            ("install#1", False),
            ("install", True),
            ("install", False),
        ):
            self.labelled({"Order": value})
            script = node.boot()
            self.assertEqual("profile install" in script, installs, value)
            if installs:
                node.call_back(script, "done")

    def test_to_plan_writes_nothing(self) -> None:
        node = self.node()
        self.labelled({"order": "install#1"})
        for stage in BootStage:
            if stage in SPEAKERS:
                node.dhcp(stage)
        self.assertFalse((self.folder / "orders.sqlite").exists())

    def test_wrong_ones(self) -> None:
        node = self.node()
        identity = ClientIdentity(mac=MAC)
        for value, expected in (
            (
                "instal#1",
                "'WS1': its order names unknown profile 'instal'; did you mean 'install'",
            ),
            ("install now", "'WS1': expected order = PROFILE or PROFILE#WORD, got 'install now'"),
        ):
            machine = Machine("WS1", labels={"order": value})
            request = BootRequest(identity, BootStage.LOADER, Protocol.DHCP, machine=machine)
            with self.assertRaisesRegex(PolicyError, expected):
                self.result(node.policy.plan_boot(request))

    def test_another_label(self) -> None:
        node = self.node(label="todo")
        self.labelled({"order": "wipe", "todo": "install"})
        self.assertIn("profile install", node.boot())


class TroubleTests(OrdersCase):
    def test_a_database_that_cannot_be_written(self) -> None:
        """No text without a note of it; who has no order does not feel anything."""
        self.patch(databases, "BUSY", 0.01)
        node = self.node()
        self.order(node)
        request = node.dhcp()
        other = sqlite3.connect(self.folder / "orders.sqlite", isolation_level=None)
        other.execute("begin immediate")
        with self.assertRaisesRegex(PolicyError, "locked"):
            node.fetch(request)
        self.assertIn("profile everyday", node.boot("52:54:00:00:00:55"))
        other.execute("rollback")
        other.close()
        self.assertIn("profile install", node.fetch(request))

    def test_a_database_that_cannot_be_read(self) -> None:
        self.folder.mkdir()
        (self.folder / "orders.sqlite").write_text("No database, but long enough for one.\n" * 99)
        node = self.node()
        request = BootRequest(ClientIdentity(mac=MAC), BootStage.LOADER, Protocol.DHCP)
        with self.assertRaisesRegex(PolicyError, "orders: .*not a database"):
            self.result(node.policy.plan_boot(request))

    def test_rehearsed(self) -> None:
        """`pxetwist explain` takes nothing."""
        node = self.node()
        self.order(node)
        node.facade.policies = attrs.evolve(node.facade.policies, rehearsal=True)
        self.assertIn("profile install", node.boot())
        self.assertIs(self.state(node).state, OrderState.PENDING)

    def test_no_plan_any_more(self) -> None:
        node = self.node()
        number = self.order(node)
        request = node.dhcp()
        node.everyday.plan = None
        self.command(node, lambda session: states.cancel(number, self.now, session))
        with self.assertRaises(ContentNotFound):
            node.fetch(request)


class SettingsTests(SynchronousTestCase):
    def site(self) -> Site:
        return make_site(profiles=PROFILES)

    def test_then_must_be_a_profile(self) -> None:
        settings = Settings(then=Line("locl", Location("pxe.ini", 9)))
        with self.assertRaisesRegex(
            ConfigError, "pxe.ini:9: then: .*'locl'; did you mean 'local'"
        ):
            policies.build(settings, self.site())

    def test_database(self) -> None:
        url = postgres_url("postgresql://pxe@db.example:5433/boot?sslmode=require")
        database = Settings(database=url, password_file="secret").database_of(self.site())
        self.assertEqual(database.title, "postgresql://db.example:5433/boot")
        self.assertNotIn("secret", repr(database))
        for wrong in ("mysql://x", "postgresql:x", "postgresql://u:geheim@h/d", "postgresql://[x"):
            with self.assertRaises(ValueError) as caught:
                postgres_url(wrong)
            self.assertNotIn("geheim", str(caught.exception))
        with self.assertRaises(ValueError):
            postgres_url("postgresql://u@h/d?password=geheim")

    def test_nothing_is_opened(self) -> None:
        folder = Path(self.mktemp())
        site = attrs.evolve(self.site(), state_folder=folder)
        self.assertIsInstance(policies.build(Settings(), site), OrdersPolicy)
        self.assertFalse(folder.exists())


class CostTests(OrdersCase):
    def test_who_has_no_order_reads_nothing(self) -> None:
        """One look at the database a second, however many ask; none while nobody does."""
        node = self.node()
        self.order(node)
        looks = []
        read = node.policy.store.pool.read

        async def counted(*arguments: Any) -> Any:
            looks.append(arguments)
            return await read(*arguments)

        self.patch(node.policy.store.pool, "read", counted)
        for _ in range(500):
            node.dhcp(mac="52:54:00:00:00:77")
        self.assertEqual(len(looks), 1)
        self.clock.advance(10)
        self.assertEqual(len(looks), 1)
