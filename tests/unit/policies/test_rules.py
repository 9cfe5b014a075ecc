"""Rules: what each condition looks at, what each outcome gives, and every mistake of a person."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from zoneinfo import ZoneInfo

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.fields import Line
from pxetwist.errors import ConfigErrors, Location, PolicyError
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.boots import Files, LocalDisk, Menu
from pxetwist.model.families import Setting
from pxetwist.model.identity import ClientIdentity, Firmware, Relay
from pxetwist.model.lease import Network
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import rules
from pxetwist.testing import make_site, result_of
from pxetwist.wire.iana import Architecture

PROFILES: Mapping[str, BootProfile] = {
    "debian12": BootProfile(
        "debian12", ProfileKind.LINUX, loader="grub", kernel={"x64": "vmlinuz"}
    ),
    "local": BootProfile("local", ProfileKind.LOCAL),
    "base": BootProfile("base", ProfileKind.LINUX),
    "live": BootProfile(
        "live",
        ProfileKind.LINUX,
        kernel={"": "live"},
        arguments={"": "boot=live", "x64": "boot=live x64"},
        family="debian-live",
        wishes={"console": "tty0"},
        origins={"kernel": "[profile:live] 3", "arguments.x64": "[profile:live] 5"},
    ),
}
LAB = Network("lab", IPv4Network("10.0.0.0/24"))
WS12 = Machine(
    "ws12",
    ("52:54:00:00:00:12", "52:54:00:00:01:12"),
    address=IPv4Address("10.0.0.12"),
    labels={"room": "B12", "profile": "debian12", "Vendor-Note": "Dell Inc."},
    directory="rack",
    groups=("Exam PCs", "all"),
    serial="SN42",
)
X64 = ClientIdentity(
    mac="52:54:00:00:00:12",
    architecture=Architecture.X64_UEFI,
    firmware=Firmware.UEFI_HTTP,
    vendor_class="HTTPClient:Arch:00016:UNDI:003001",
    interface="eth1",
    address=IPv4Address("192.168.7.9"),
)
#: Conditions on what a stranger has not.
EMPTY = ("room=*", "interface=*", "directory=*", "address=0.0.0.0/0")


def request(identity: ClientIdentity = X64, machine: Machine | None = WS12) -> BootRequest:
    return BootRequest(identity, BootStage.FIRMWARE, Protocol.DHCP, machine=machine)


def site() -> Site:
    site = make_site(name="default", profiles=PROFILES, networks={"lab": LAB})
    return attrs.evolve(site, directories=["rack"], exports={"desktop": "directory"})


class RulesTestCase(SynchronousTestCase):
    def policy(
        self, *texts: str, zone: str = "UTC", now: float = 0, labels: bool = False
    ) -> rules.RulesPolicy:
        lines = tuple(Line(text, Location("pxe.ini", 12 + n)) for n, text in enumerate(texts, 1))
        settings = rules.Settings(rules=lines, timezone=ZoneInfo(zone), labels_override=labels)
        clock = Clock()
        clock.advance(now)
        return rules.build(settings, attrs.evolve(site(), reactor=clock))

    def plan(self, asked: BootRequest, *texts: str) -> BootPlan | None:
        return result_of(self.policy(*texts).plan_boot(asked))

    def mistakes(self, *texts: str) -> list[str]:
        return [str(e) for e in self.assertRaises(ConfigErrors, self.policy, *texts).errors]


class ConditionTests(RulesTestCase):
    def matches(self, conditions: str, asked: BootRequest) -> bool:
        return self.plan(asked, f"{conditions} -> local") is not None

    def test_what_holds(self) -> None:
        for condition in (
            "any known !unknown room=b12 room=B1? room=a1,b* ROOM=* !room=b13 !floor=3 name=WS*",
            "mac=52-54-00-00-00-12 mac=525400:00:01:* mac=52540000??12 !mac=02*",
            "arch=x64 arch=arm64,x64 arch=x* !arch=bios firmware=uefi-http firmware=uefi*",
            "interface=eth1 interface=eth? vendor=httpclient:* directory=rack",
            "address=10.0.0.0/24 address=10.0.0.12 address=192.168.7.0/24 !address=10.1.0.0/16",
            "vendor-note=dell* serial=sn* group=all GROUP=exam* !group=staff",
            "subnet=192.168.7.0/24 !subnet=lab",
        ):
            for word in condition.split():
                self.assertTrue(self.matches(word, request()), word)
                opposite = word.removeprefix("!") if word.startswith("!") else f"!{word}"
                if word != "any":
                    self.assertFalse(self.matches(opposite, request()), opposite)
            self.assertTrue(self.matches(condition, request()), condition)

    def test_all_must_hold(self) -> None:
        self.assertFalse(self.matches("known arch=x64 room=b13", request()))

    def test_an_unknown_machine_has_nothing(self) -> None:
        stranger = request(ClientIdentity(), None)
        for word in [
            "known",
            "room=*",
            "name=*",
            "mac=*",
            "arch=*",
            "address=0.0.0.0/0",
            "vendor=*",
            "interface=*",
            "directory=*",
        ]:
            self.assertFalse(self.matches(word, stranger), word)
            self.assertTrue(self.matches(f"!{word}", stranger), word)
        self.assertTrue(self.matches("unknown firmware=unknown", stranger))

    def test_quotes_keep_white_space(self) -> None:
        quoted = attrs.evolve(WS12, labels={"note": 'a "b", (c)', "plain": "x(y)"})
        for text in (
            'group="Exam PCs"',
            'group="exam p*"',
            'group=staff,"Exam PCs"',
            'group=Exam" "PCs',
            'note="a \\"b\\", (c)"',
            "plain=x(y)",
            '(plain=x(y) group="Exam PCs")',
        ):
            self.assertTrue(self.matches(text, request(machine=attrs.evolve(quoted))), text)
        self.assertFalse(self.matches('group="Exam"', request()))

    def test_combinations(self) -> None:
        for text, expected in (
            ("room=b13 or room=b12", True),
            ("room=b13 or floor=2", False),
            ("room=b12 (arch=bios or arch=x64)", True),
            ("room=b12 (arch=bios or arch=arm64)", False),
            ("room=b13 arch=x64 or known", True),  # and binds stronger
            ("room=b13 (arch=x64 or known)", False),
            ("not room=b12 or unknown", False),
            ("not (room=b13 or unknown)", True),
            ("!(room=b12 known)", False),
            ("!!room=b12", True),
            ("NOT unknown OR room=x", True),
            ("any or room=x", True),
        ):
            self.assertEqual(self.matches(text, request()), expected, text)

    def test_subnet_is_where_the_client_is(self) -> None:
        """The relay agent's word before the client's own, that before what is reserved."""
        there, here = IPv4Address("10.1.0.9"), IPv4Address("10.0.0.9")
        bare = attrs.evolve(X64, address=None)
        for identity, server in (
            (attrs.evolve(X64, relay=Relay(there, link_selection=here)), ""),
            (attrs.evolve(X64, relay=Relay(here)), "10.1.0.1"),
            (attrs.evolve(X64, address=here), "10.1.0.1"),
            (bare, "10.0.0.1"),
            (bare, ""),  # WS12 has a reservation there
        ):
            asked = attrs.evolve(request(identity), endpoints=Endpoints(server))
            self.assertTrue(self.matches("subnet=lab subnet=10.0.0.0/24", asked), identity)
            self.assertFalse(self.matches("subnet=10.1.0.0/16", asked), identity)
        self.assertFalse(self.matches("subnet=0.0.0.0/0", request(ClientIdentity(), None)))

    def test_organizational_units(self) -> None:
        for label, text, expected in (
            ("OU=Exam,OU=Rooms,DC=lab", "ou=exam", True),
            ("OU=Exam,OU=Rooms,DC=lab", "ou=Rooms", True),
            ("OU=Exam,OU=Rooms,DC=lab", 'ou="ou=rooms,dc=lab"', True),
            ("OU=Exam,OU=Rooms,DC=lab", "ou=lab", False),
            ("Rooms/Exam", "ou=Exam", True),
            ("Rooms/Exam", "ou=Rooms", True),
            ("Rooms/Exam", "ou=rooms/exam", True),
            ("Rooms/Exam", "ou=am", False),
        ):
            for name in ("OU", "ou-path"):
                machine = attrs.evolve(WS12, labels={name: label})
                self.assertEqual(self.matches(text, request(machine=machine)), expected, text)

    def test_serial_and_asset_of_request_and_machine(self) -> None:
        asked = request(attrs.evolve(X64, serial="C7", asset="A1"))
        for text in ("serial=C7", "serial=SN42", "asset=a?"):
            self.assertTrue(self.matches(text, asked), text)
        self.assertFalse(self.matches("asset=*", request()))

    def test_time_and_date_by_the_clock_of_the_site(self) -> None:
        """2026-12-04 was a Friday; 22:30 in Berlin is 21:30 UTC."""
        now = 1796419800.0
        for zone, text, expected in (
            ("Europe/Berlin", "time=22:00-23:00", True),
            ("UTC", "time=22:00-23:00", False),
            ("Europe/Berlin", "time=mon-fri date=2026-12-01..2026-12-24", True),
            ("Europe/Berlin", "time=sat or date=..2026-12-03", False),
            ("Asia/Tokyo", "time=sat/06:30-06:31 date=2026-12-05", True),
        ):
            policy = self.policy(f"{text} -> local", zone=zone, now=now)
            found = result_of(policy.plan_boot(request()))
            self.assertEqual(found is not None, expected, text)

    def test_an_edition_ends_where_a_time_does(self) -> None:
        """Where the editions of two moments are the same, so are the decisions."""
        texts = (
            "time=08:00-10:00 room=b12 -> local",
            "!time=09:00-11:00 -> debian12",
            "date=2026-12-05 -> live",
        )
        decided: dict[int, str] = {}
        for hour in range(48):
            policy = self.policy(*texts, now=1796342400.0 + hour * 3600)
            plan = result_of(policy.plan_boot(request()))
            profile = plan.profile if plan else ""
            self.assertEqual(decided.setdefault(policy.edition(), profile), profile, hour)
        self.assertEqual(set(decided.values()), {"", "local", "debian12", "live"})
        self.assertEqual(self.policy("room=b12 -> local").edition(), 0)

    def test_the_zone_must_exist(self) -> None:
        convert = attrs.fields(rules.Settings).timezone.metadata["convert"]
        self.assertEqual(convert("Europe/Berlin"), ZoneInfo("Europe/Berlin"))
        for name in ("Europe/Berlim", "", "../etc/passwd", "/etc/passwd", "Europe", "\0"):
            self.assertRaises(ValueError, convert, name)

    def test_a_share_is_of_names_or_keys(self) -> None:
        stranger = request(X64, None)
        for asked in (request(), stranger):
            self.assertTrue(self.matches("share=100%", asked))
            self.assertFalse(self.matches("share=0%", asked))
        self.assertFalse(self.matches("share=100%", request(ClientIdentity(), None)))

    def test_brackets_and_dots_are_plain(self) -> None:
        self.assertFalse(self.matches("room=[b]12", request()))
        self.assertFalse(self.matches("vendor-note=Dell?Inc?.", request()))


class OutcomeTests(RulesTestCase):
    def test_the_first_that_matches(self) -> None:
        plan = self.plan(request(), "room=b13 -> local", "room=b12 -> debian12", "any -> local")
        self.assertEqual(
            plan,
            BootPlan(
                Files("vmlinuz"),
                profile="debian12",
                reason="rule 2 (line 14): room=b12 -> debian12",
                loader="grub",
            ),
        )

    def test_no_rule_or_next_is_no_opinion(self) -> None:
        self.assertIsNone(self.plan(request(), "unknown -> local"))
        self.assertIsNone(self.plan(request(), "known -> next", "any -> local"))

    def test_silence(self) -> None:
        plan = self.plan(request(), "any -> silence")
        assert plan is not None
        self.assertTrue(plan.ignored)
        self.assertEqual(plan.reason, "rule 1 (line 13): any -> silence")

    def test_the_profile_of_a_label(self) -> None:
        for text in ("any -> @profile", "any -> @Profile"):
            plan = self.plan(request(), text, "any -> local")
            self.assertEqual(plan and plan.profile, "debian12")
        for machine in (None, Machine("bare"), Machine("empty", labels={"profile": ""})):
            plan = self.plan(request(machine=machine), "any -> @profile", "any -> local")
            self.assertEqual(plan and plan.boot, LocalDisk())

    def test_a_label_with_an_unknown_profile(self) -> None:
        machine = Machine("ws13", labels={"profile": "debian21"})
        with self.assertRaises(PolicyError) as caught:
            self.plan(request(machine=machine), "any -> @profile")
        for part in ("ws13", "debian21", "did you mean 'debian12'?", "rule 1 (line 13)"):
            self.assertIn(part, str(caught.exception))

    def test_a_missing_architecture(self) -> None:
        arm = attrs.evolve(X64, architecture=Architecture.ARM64_UEFI)
        with self.assertRaises(PolicyError):
            self.plan(request(arm), "any -> debian12")

    def test_explain(self) -> None:
        policy = self.policy(
            "unknown -> silence",
            "!room=b12 known -> local",
            "floor=3 -> local",
            "known !mac=52* -> local",
            "any -> @image",
            "room=b12 -> debian12",
            "any -> local",
        )
        self.assertEqual(
            policy.explain(request()),
            [
                "rule 1 (line 13): unknown -> silence: no, the machine is known",
                "rule 2 (line 14): !room=b12 known -> local: no, room is 'B12'",
                "rule 3 (line 15): floor=3 -> local: no, floor is not set",
                "rule 4 (line 16): known !mac=52* -> local: no, mac is '52:54:00:00:00:12' or "
                "'52:54:00:00:01:12'",
                "rule 5 (line 17): any -> @image: no, the machine has no label 'image'",
                "rule 6 (line 18): room=b12 -> debian12: matches",
            ],
        )
        self.assertEqual(
            self.policy("unknown -> local").explain(request())[-1],
            "no rule matches: the next policy decides",
        )

    def test_explain_inside_of_combinations(self) -> None:
        policy = self.policy(
            "room=b13 or (known floor=3) -> local",
            "!(room=b12 arch=x64) -> local",
            "not (floor=1 or group=all) -> local",
            "share=0%/kernel -> local",
            "time=mon date=2026-01-01 -> local",
            "name=ws12 (subnet=10.0.0.0/8 or !room=b12 or floor=3) -> local",
        )
        reasons = [line.partition(": no, ")[2] for line in policy.explain(request())]
        self.assertEqual(
            reasons[:3] + reasons[4:],
            [
                "room is 'B12', and floor is not set",
                "room is 'B12', and arch is 'x64'",
                "group is 'Exam PCs' or 'all'",
                "time is thu 00:00",
                "subnet is '192.168.7.9', and room is 'B12', and floor is not set",
                "",
            ],
        )
        self.assertRegex(reasons[3], r"^share is [0-9]+\.[0-9]{2}%$")


class SettingTests(RulesTestCase):
    """What stands behind a profile."""

    def test_it_changes_the_profile(self) -> None:
        plan = self.plan(
            request(),
            'any -> live console=ttyS1,115200n8 arguments+="quiet splash" loader=grub'
            " locale=de_DE.UTF-8 console=ttyS2",
        )
        assert plan is not None
        arguments = "boot=live x64 quiet splash console=ttyS1,115200n8 console=ttyS2"
        self.assertEqual(plan.boot, Files("live", (), f"{arguments} locales=de_DE.UTF-8"))
        self.assertEqual(plan.loader, "grub")
        place = "rule 1 (line 13)"
        self.assertEqual(
            plan.settings,
            (
                Setting("kernel", "live", "[profile:live] 3"),
                Setting("arguments", "boot=live x64 quiet splash", f"[profile:live] 5; {place}"),
                Setting("console", "ttyS1,115200n8 ttyS2", place),
                Setting("locale", "de_DE.UTF-8", place),
                Setting("loader", "grub", place),
            ),
        )

    def test_arguments_are_replaced(self) -> None:
        for text, arguments in (
            ("arguments=nothing", "nothing console=tty0"),
            ('arguments+=a arguments="b -> c"', "b -> c console=tty0"),
        ):
            plan = self.plan(request(), f"any -> live {text}")
            assert plan is not None
            assert isinstance(plan.boot, Files)
            self.assertEqual(plan.boot.arguments, arguments)

    def test_rules_do_not_change_each_other(self) -> None:
        policy = self.policy("room=b13 -> live console=ttyS1", "any -> live")
        other = request(machine=attrs.evolve(WS12, labels={"room": "b13"}))
        plans = [result_of(policy.plan_boot(each)) for each in (other, request(), other)]
        texts = [plan.boot.arguments for plan in plans if plan and isinstance(plan.boot, Files)]
        first = "boot=live x64 console=ttyS1"
        self.assertEqual(texts, [first, "boot=live x64 console=tty0", first])

    def test_behind_a_label_what_does_not_fit_is_left_out(self) -> None:
        text = "any -> @profile locale=de_DE.UTF-8 console=ttyS1"
        for profile, arguments in (
            ("live", "boot=live x64 console=ttyS1 locales=de_DE.UTF-8"),
            ("debian12", "console=ttyS1"),
        ):
            machine = attrs.evolve(WS12, labels={"profile": profile})
            plan = self.plan(request(machine=machine), text)
            assert plan is not None
            assert isinstance(plan.boot, Files)
            self.assertEqual(plan.boot.arguments, arguments)
        machine = attrs.evolve(WS12, labels={"profile": "local"})
        plan = self.plan(request(machine=machine), text)
        self.assertEqual(plan and plan.boot, LocalDisk())

    def test_a_menu_hands_it_on(self) -> None:
        menu = BootProfile(
            "menu", ProfileKind.MENU, entries=(PROFILES["local"], PROFILES["live"]), timeout=5
        )
        changed = menu.changed([Setting("console", "ttyS1", "rule 1")])
        plan = changed.plan(Architecture.X64_UEFI)
        assert isinstance(plan.boot, Menu)
        self.assertEqual(
            [entry.boot for entry in plan.boot.entries],
            [LocalDisk(), Files("live", (), "boot=live x64 console=ttyS1")],
        )
        self.assertIn(Setting("live: console", "ttyS1", "rule 1"), plan.settings)

    def test_labels_win_if_they_may(self) -> None:
        labels = {"console": "ttyS3", "Arguments": "boot=live {{ 7*7 }} {% x %}", "locale": "C"}
        asked = request(machine=attrs.evolve(WS12, labels=labels))
        text = "any -> live console=ttyS1"
        for allowed, arguments in (
            (False, "boot=live x64 console=ttyS1"),
            (True, "boot=live {{'{'}}{{'{'}} 7*7 }} {{'{'}}% x %} console=ttyS3 locales=C"),
        ):
            plan = result_of(self.policy(text, labels=allowed).plan_boot(asked))
            assert plan is not None
            assert isinstance(plan.boot, Files)
            self.assertEqual(plan.boot.arguments, arguments)
        assert plan is not None
        self.assertIn(Setting("console", "ttyS3", "label of ws12"), plan.settings)

    def test_a_label_that_is_no_argument(self) -> None:
        for labels in ({"console": "ttyS0; shell"}, {"arguments": "a\x1b[1m"}, {"root": "a b"}):
            asked = request(machine=attrs.evolve(WS12, labels=labels))
            with self.assertRaises(PolicyError) as caught:
                result_of(self.policy("any -> live", labels=True).plan_boot(asked))
            self.assertIn(f"machine 'ws12', label {next(iter(labels))}", str(caught.exception))


class AdviceTests(RulesTestCase):
    """What looks wrong, without being a mistake."""

    def advice(self, *texts: str, architectures: tuple[str, ...] = ()) -> list[str]:
        return self.policy(*texts, now=1796419800.0).advice([WS12], architectures)

    def test_labels_and_groups_that_nobody_has(self) -> None:
        self.assertEqual(
            self.advice(
                "roon=b12 -> local",
                'known !(profil=x or group="Exam PC") -> local',
                "group=Exam* room=b12 ou=x name=y -> @image",
            ),
            [
                "pxe.ini:13: [policy:default] rule 1: no machine has a label 'roon'; did you mean"
                " 'room'?",
                "pxe.ini:14: [policy:default] rule 2: no machine has a label 'profil'; did you"
                " mean 'profile'?",
                "pxe.ini:14: [policy:default] rule 2: no machine is in a group 'Exam PC'; did you"
                " mean 'Exam PCs'?",
                "pxe.ini:15: [policy:default] rule 3: no machine has a label 'image' (known:"
                " profile, room, vendor-note)",
            ],
        )

    def test_nothing_is_said_of_machines_that_cannot_be_listed(self) -> None:
        policy = self.policy("roon=b12 group=x -> local")
        nobody: list[Machine] = []
        for machines in (None, nobody):
            self.assertEqual(policy.advice(machines, ()), [])

    def test_dates_that_have_passed(self) -> None:
        self.assertEqual(
            self.advice(
                "date=2026-12-01..2026-12-03 -> local",
                "date=2026-12-01..2026-12-04 -> local",
                "date=2026-01-01 or room=b12 -> local",
                "!date=2026-01-01 -> local",
            ),
            ["pxe.ini:13: [policy:default] rule 1: never matches any more: its dates have passed"],
        )

    def test_architectures_that_get_nothing(self) -> None:
        found = self.advice(
            "arch=arm64 -> local",
            "room=b12 -> debian12",
            "arch=x64 name=a -> debian12",
            "arch=x64,bios name=b -> debian12",
            "any -> live",
            architectures=("x64", "arm64", "bios"),
        )
        says = "profile 'debian12' has nothing for bios: such machines get no answer"
        self.assertEqual(
            [line.partition(";")[0] for line in found],
            [
                f"pxe.ini:14: [policy:default] rule 2: {says}",
                f"pxe.ini:16: [policy:default] rule 4: {says}",
            ],
        )

    def test_the_profiles_that_it_may_give(self) -> None:
        policy = self.policy("room=b12 -> live", "any -> @profile")
        self.assertLessEqual({"live", "debian12"}, set(policy.profiles_named([WS12]) or ()))
        self.assertIsNone(policy.profiles_named(None))
        named = self.policy("room=b12 -> live").profiles_named(None)
        self.assertEqual(named, {"live"})


class MistakeTests(RulesTestCase):
    def test_each_with_its_line(self) -> None:
        for text, message in (
            ("room=b12", "expected conditions -> profile, got 'room=b12'"),
            ("-> local", "expected conditions -> profile"),
            ("any -> ", "expected conditions -> profile"),
            ("any -> debian12 local", "local (character 17): expected one profile and name=value"),
            ("any -> @", "expected @label"),
            ("any -> debian21", "unknown profile 'debian21'; did you mean 'debian12'?"),
            ("any -> silent", "did you mean 'silence'?"),
            ("any -> x", "(known: base, debian12, live, local, next, silence)"),
            ("knwon -> local", "expected known, unknown, any or label=value; did"),
            ("knwon -> local", "did you mean 'known'?"),
            ("known roon -> local", "roon (character 7): expected known, unknown, any"),
            ("room= -> local", "room= (character 1): expected label=value or label=value,value"),
            ("room=a,,b -> local", "expected label=value or label=value,value"),
            ("=b12 -> local", "=b12 (character 1): expected label=value"),
            ("! -> local", "! (character 1): a condition must follow"),
            ("not -> local", "not (character 1): a condition must follow"),
            ("room=a or -> local", "or (character 8): a condition must follow"),
            ("or room=a -> local", "or (character 1): a condition must stand before it"),
            ("room=a and room=b -> local", "and (character 8): leave it out"),
            ("(room=a room=b -> local", "( (character 1): it is not closed; add )"),
            ("(room=a)) -> local", ") (character 9): there is no '(' for it; quote it"),
            ("() -> local", ") (character 2): a condition must stand before it"),
            ('group="Exam PCs -> local', 'group="Exam PCs -> local (character 1): the quote is'),
            (f"{'(' * 30}known{')' * 30} -> local", "nested too deep; 20 levels are the most"),
            ("subnet=labb -> local", "no [subnet:labb]; did you mean 'lab'?; or a network like"),
            ("subnet=10.0.0.0/8/9 -> local", "expected a network like 10.0.0.0/24"),
            ("share=25 -> local", "expected a share like 25% or 25%/new-kernel, got '25'"),
            ("share=101% -> local", "expected a share"),
            ("time=mon-fry/08:00-18:00 -> local", "unknown day 'fry' (known: mon, tue, wed"),
            ("time=08:00 -> local", "expected a span of time like 08:00-18:00, got '08:00'"),
            ("time=mon/ -> local", "expected a time like mon-fri/08:00-18:00, got 'mon/'"),
            ("time=08:00-24:01 -> local", "expected a time of the day from 00:00 to 24:00"),
            ("time=08:00-08:00 -> local", "08:00-08:00 is empty; leave it out"),
            ("date=2026-02-30 -> local", "expected a day like 2026-12-24, got '2026-02-30'"),
            ("date=2026-12-24..2026-12-01 -> local", "ends before it begins"),
            ("date=.. -> local", "expected dates like 2026-12-01..2026-12-24"),
            ("any -> silence loader=grub", "silence is no profile, nothing can be set for it"),
            ("any -> debian12 cnsole=tty0", "did you mean 'console'?"),
            ("any -> debian12 console", "console (character 17): expected console=value"),
            ("any -> debian12 console=", "expected console=value"),
            ("any -> debian12 console=a;b", "expected consoles like tty0 ttyS0,115200n8"),
            ("any -> debian12 root=a root=b", "root=b (character 24): root is set twice"),
            ("any -> debian12 root=export:desktpo/x", "no [export:desktpo]; did you mean 'desk"),
            ("directory=rakc -> local", "names no directory 'rakc'; did you mean 'rack'?"),
            ("any -> debian12 loader=lilo", "expected ipxe, grub, pxelinux, got 'lilo'"),
            ("any -> debian12 timezone=UTC", "cannot be told their timezone: give the profile"),
            ("any -> local console=tty0", "'local' is of kind local, which has no console"),
            ("any -> base", "profile 'base' has no kernel: it is but a base of others"),
            ("!any -> local", "matches no machine"),
            ("arch=x46 -> local", "unknown architecture 'x46'; did you mean 'x64'?"),
            ("arch=q* -> local", "unknown architecture 'q*'"),
            ("firmware=efi -> local", "unknown firmware 'efi'; did you mean 'uefi'?"),
            ("mac=52:54 -> local", "expected a MAC address"),
            ("mac=52:5g:* -> local", "expected a MAC address or its beginning"),
            ("address=10.0.0.1/24 -> local", "has host bits set"),
            ("address=10.0.0.* -> local", "expected a network like 10.0.0.0/24"),
            ("room=a !room=a -> local", "no machine has both room=a and !room=a"),
            ("known unknown -> local", "never matches: no machine has both known and !known"),
            ("room=a room=b -> local", "no machine has both room=a and room=b"),
            ("unknown room=* -> local", "no machine has both !known and room=*"),
            ("arch=x64 arch=arm* -> local", "no machine has both arch=x64 and arch=arm*"),
            ("share=10% !share=25% -> local", "no machine has both share=10% and !share=25%"),
            ("subnet=lab subnet=10.1.0.0/16 -> local", "no machine has both subnet=lab and"),
            ("time=sat time=mon-fri/8:00-24:00 -> local", "no machine has both time=sat and"),
            ("date=2026-01-01 date=2026-01-02 -> local", "no machine has both date=2026-01-01"),
            ("(name=a name=b) or !(room=a or !room=a) -> local", "no machine has both name=a"),
        ):
            [mistake] = self.mistakes("floor=1 -> local", text)
            self.assertTrue(mistake.startswith("pxe.ini:14: rule 2: "), mistake)
            self.assertIn(message, mistake)

    def test_all_at_once(self) -> None:
        mistakes = self.mistakes("a -> local", "any -> local", "b -> local", "c=1 -> x")
        self.assertEqual([m.split(":")[1] for m in mistakes], ["13", "15", "16"])

    def test_rules_that_an_earlier_one_catches(self) -> None:
        for earlier, later in (
            ("any", "room=b12"),
            ("any", "any"),
            ("room=b12", "ROOM=b12"),
            ("room=a,b", "room=b,a arch=x64"),
            ("unknown", "!known mac=52*"),
            ("known", "room=b12"),
            ("room=b*", "room=b12,b13"),
            ("mac=52:54:00:*", "mac=52:54:00:00:00:01"),
            ("address=10.0.0.0/8", "address=10.1.0.0/16"),
            ("subnet=10.0.0.0/8", "subnet=lab"),
            ("share=50%/k", "share=25%/k"),
            ("room=a or floor=1", "floor=1 known"),
            ("room=a", "(room=a floor=1) or (room=a floor=2)"),
            ("!(room=a or room=b)", "!room=a,b known"),
            ("time=mon-fri", "time=tue/08:00-10:00"),
            ("time=20:00-06:00", "time=sat/22:00-05:00"),
            ("date=2026-01-01..", "date=2026-03-01..2026-04-01"),
            ("!arch=bios", "arch=x64"),
        ):
            [mistake] = self.mistakes(f"{earlier} -> local", f"{later} -> debian12")
            self.assertIn(f"never matches: rule 1 (line 13): {earlier} -> local", mistake)
        self.policy("any -> @profile", "room=a -> local", "any -> @image", "!room=a -> next")
        self.policy("room=a arch=x64 -> local", "room=a -> local", "!room=a -> local")
        for earlier, later in (
            ("room=b12", "room=b*"),
            ("room=b?", "room=b*"),
            ("group=a", "group=b"),
            ("mac=52*", "!mac=52*"),
            ("share=25%", "share=50%"),
            ("share=25%/k", "share=25%/l"),
            ("time=22:00-06:00", "time=05:00-07:00"),
            ("time=mon/22:00-06:00", "time=tue/00:00-05:00"),
            ("room=a floor=1", "room=a or floor=1"),
            ("serial=x", "unknown"),
        ):
            self.policy(f"{earlier} -> local", f"{later} -> debian12")

    def test_several_together_catch_a_rule(self) -> None:
        [mistake] = self.mistakes("room=a -> local", "room=b -> live", "room=a or room=b -> local")
        self.assertIn("rule 1 (line 13): room=a -> local and rule 2 (line 14): room=b", mistake)

    def test_too_many_ways_to_look_at(self) -> None:
        many = " ".join(f"(a{n}=1 or b{n}=1)" for n in range(20))
        self.policy(f"{many} -> local", f"{many} room=x -> local")

    def test_no_rules(self) -> None:
        self.assertRaises(ValueError, rules.rule_lines, "\n")
