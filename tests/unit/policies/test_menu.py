"""A menu per group, and the passwords at its locked entries."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content import rendered
from pxetwist.content.logins import PAUSE, TRIES, TRIES_OF_ADDRESS
from pxetwist.errors import ConfigError, ContentNotFound, DirectoryUnavailable, LoginNeeded
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Login, Protocol
from pxetwist.model.boots import Menu
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import menu
from pxetwist.testing import FakeBoot, MemoryStore, make_site, result_of
from pxetwist.wire.iana import Architecture

LINUX = BootProfile("exam", ProfileKind.LINUX, "The exam", kernel={"": "exam/linux"})
LOCAL = BootProfile("local", ProfileKind.LOCAL, "The disk")
CHOICE = BootProfile("choice", ProfileKind.MENU, entries=(LOCAL,))
ANNA = Login("anna", "s3cret")


def settings(**changes: object) -> menu.Settings:
    """Make settings: a locked exam and the local disk."""
    base = {
        "entries": ("local", "exam"),
        "locked": ("exam",),
        "password": "ad",
        "plain_password": True,
    }
    return menu.Settings(**{**base, **changes})  # type: ignore[arg-type]  # of any test


class MenuCase(SynchronousTestCase):
    """A site with two profiles, a machine, and one person."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.boot = FakeBoot(
            [MemoryStore({"exam/linux": b"k"})], persons={("anna", "s3cret"): ("Teachers",)}
        )
        profiles = {each.name: each for each in (LINUX, LOCAL, CHOICE)}
        self.site: Site = make_site(self.boot, reactor=self.clock, profiles=profiles)

    def request(self, *groups: str, login: Login | None = None) -> BootRequest:
        identity = ClientIdentity(
            mac="52:54:00:00:00:01",
            architecture=Architecture.X64_UEFI,
            firmware=Firmware.IPXE,
            address=IPv4Address("10.0.0.9"),
        )
        return BootRequest(
            identity,
            BootStage.LOADER,
            Protocol.HTTP,
            endpoints=Endpoints("10.0.0.1"),
            machine=Machine("ws1", groups=groups),
            login=login,
        )

    def plan(self, chosen: menu.Settings, *groups: str) -> BootPlan | None:
        return result_of(menu.build(chosen, self.site).plan_boot(self.request(*groups)))


class PolicyTests(MenuCase):
    def test_for_its_groups(self) -> None:
        """Machines of its groups get it; on others it has no opinion."""
        chosen = settings(groups=("Lab *", "staff"))
        self.assertIsNone(self.plan(chosen, "Students"))
        for group in ("lab b12", "Staff"):
            plan = self.plan(chosen, "Students", group)
            assert plan is not None
            self.assertEqual(plan.reason, f"machines in {group}")
        self.assertIsNotNone(self.plan(settings()))

    def test_entries(self) -> None:
        """The entries in their order, the locked ones marked, default and timeout kept."""
        plan = self.plan(settings(default="local", timeout=30.0, admit=("Teachers",)))
        assert plan is not None
        assert isinstance(plan.boot, Menu)
        self.assertEqual(
            [(entry.name, entry.locked) for entry in plan.boot.entries],
            [("local", False), ("exam", True)],
        )
        self.assertEqual(
            (plan.boot.default, plan.boot.timeout, plan.boot.guard, plan.boot.admitted),
            ("local", 30, "ad", ("Teachers",)),
        )

    def test_mistakes(self) -> None:
        """What cannot work is told at the start."""
        for changes, words in (
            ({"entries": ("exma",)}, "did you mean 'exam'"),
            ({"entries": ("choice",)}, "no profile that a menu can hold"),
            ({"locked": ("other",)}, "none of the entries"),
            ({"default": "other"}, "none of the entries"),
            ({"password": ""}, "need `password`"),
            ({"password": "da"}, "names no directory 'da' (known: ad)"),
            ({"plain_password": False}, "in the clear"),
            ({"default": "exam", "timeout": 5.0}, "cannot start by itself"),
        ):
            with self.assertRaises(ConfigError) as caught:
                menu.build(settings(**changes), attrs.evolve(self.site, directories=["ad"]))
            self.assertIn(words, str(caught.exception))


class LoginTests(MenuCase):
    def open(self, login: Login | None, name: str = "exam", admit: tuple[str, ...] = ()) -> str:
        plan = self.plan(settings(admit=admit))
        request = attrs.evolve(self.request(login=login), plan=plan)
        content = result_of(self.store().open(ContentPath.parse(f"menu/{name}.ipxe"), request))
        return result_of(content.read(0, content.info.size)).decode()

    def store(self) -> rendered.RenderedStore:
        if not hasattr(self, "_store"):
            self._store = rendered.build(rendered.Settings(), self.site)
        return self._store

    def test_menu_text(self) -> None:
        """iPXE asks the person; nothing of the locked entry is in the menu itself."""
        request = attrs.evolve(self.request(), plan=self.plan(settings()))
        content = result_of(self.store().open(ContentPath.parse("boot.ipxe"), request))
        text = result_of(content.read(0, content.info.size)).decode()
        self.assertIn("login || goto menu", text)
        self.assertIn(
            "chain --replace http://${username:uristring}:${password:uristring}@10.0.0.1"
            "/boot/TOKEN/menu/exam.ipxe || goto refused",
            text,
        )
        self.assertNotIn("exam/linux", text)

    def test_other_loaders_lack_it(self) -> None:
        """GRUB and PXELINUX cannot ask for such a password: they do not offer the entry."""
        request = attrs.evolve(self.request(), plan=self.plan(settings()))
        for path in ("grub/grub.cfg", "pxelinux.cfg/default"):
            content = result_of(self.store().open(ContentPath.parse(path), request))
            text = result_of(content.read(0, content.info.size)).decode()
            self.assertNotIn("exam", text)
            self.assertIn("local", text)

    def test_right_password(self) -> None:
        """The script of that one entry."""
        text = self.open(ANNA)
        self.assertIn("kernel http://10.0.0.1/exam/linux", text)
        self.assertIn("anna may pass", self.boot.events[-1].summary)

    def test_wrong_or_none(self) -> None:
        """No login, a wrong one, an empty password: all need a (better) one."""
        for login in (None, Login("anna", "wrong"), Login("anna", ""), Login("", "s3cret")):
            self.assertRaises(LoginNeeded, self.open, login)

    def test_admitted_groups(self) -> None:
        """A right password of somebody who is not admitted opens nothing."""
        self.assertIn("exam/linux", self.open(ANNA, admit=("teach*",)))
        self.assertRaises(LoginNeeded, self.open, ANNA, "exam", ("Admins",))

    def test_guessing(self) -> None:
        """After a few wrong passwords a machine waits, even with the right one."""
        for _ in range(TRIES):
            self.assertRaises(LoginNeeded, self.open, Login("anna", "guess"))
        self.assertRaises(LoginNeeded, self.open, ANNA)
        self.clock.advance(PAUSE + 1)
        self.assertIn("exam/linux", self.open(ANNA))

    def asking(self, login: Login, mac: str = "52:54:00:00:00:01") -> Deferred[object]:
        request = attrs.evolve(self.request(login=login), plan=self.plan(settings()))
        identity = attrs.evolve(request.identity, mac=mac)
        path = ContentPath.parse("menu/exam.ipxe")
        found: Deferred[object] = Deferred.fromCoroutine(
            self.store().open(path, attrs.evolve(request, identity=identity))
        )
        found.addErrback(lambda failure: failure.trap(LoginNeeded))
        return found

    def test_guessing_many_at_once(self) -> None:
        """Who does not wait for an answer may guess no more than others."""
        asked: list[Deferred[None]] = []

        async def authenticate(boot: FakeBoot, guard: str, login: Login) -> None:
            asked.append(Deferred())
            await asked[-1]

        self.patch(FakeBoot, "authenticate", authenticate)
        for _ in range(3 * TRIES):
            self.asking(Login("anna", "guess"))
        self.assertEqual(len(asked), TRIES)
        for each in asked:
            each.callback(None)
        self.asking(Login("anna", "guess"))
        self.assertEqual(len(asked), TRIES)

    def test_guessing_as_many_machines(self) -> None:
        """Another MAC in each question is no way around it."""
        for number in range(TRIES_OF_ADDRESS):
            self.asking(Login("anna", "guess"), f"52:54:00:00:01:{number:02x}")
        self.assertRaises(LoginNeeded, self.open, ANNA)
        self.clock.advance(PAUSE + 1)
        self.assertIn("exam/linux", self.open(ANNA))

    def test_right_passwords_do_not_count(self) -> None:
        """Nor do those that could not be checked."""
        for _ in range(TRIES_OF_ADDRESS + 1):
            self.assertIn("exam/linux", self.open(ANNA))

        async def authenticate(boot: FakeBoot, guard: str, login: Login) -> None:
            raise DirectoryUnavailable("away")

        patched = self.patch(FakeBoot, "authenticate", authenticate)
        for _ in range(TRIES_OF_ADDRESS + 1):
            self.assertRaises(LoginNeeded, self.open, ANNA)
        patched.restore()
        self.assertIn("exam/linux", self.open(ANNA))

    def test_unlocked_and_unknown(self) -> None:
        """An entry without a lock needs no login; one that is not in the menu is not found."""
        self.assertIn("sanboot", self.open(None, "local"))
        self.assertRaises(ContentNotFound, self.open, ANNA, "choice")

    def test_password_is_never_shown(self) -> None:
        """Neither a printed request nor an event holds it."""
        self.assertRaises(LoginNeeded, self.open, Login("anna", "hunter2"))
        self.assertNotIn("hunter2", repr(self.request(login=Login("anna", "hunter2"))))
        self.assertNotIn("hunter2", repr(self.boot.events))
