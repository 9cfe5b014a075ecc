"""Rules: what each condition looks at, what each outcome gives, and every mistake of a person."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.fields import Line
from pxetwist.errors import ConfigErrors, Location, PolicyError
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Files, LocalDisk, Protocol
from pxetwist.model.identity import ClientIdentity, Firmware
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
}
WS12 = Machine(
    "ws12",
    ("52:54:00:00:00:12", "52:54:00:00:01:12"),
    address=IPv4Address("10.0.0.12"),
    labels={"room": "B12", "profile": "debian12", "Vendor-Note": "Dell Inc."},
    directory="rack",
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
    return attrs.evolve(make_site(name="default"), profiles=PROFILES)


class RulesTestCase(SynchronousTestCase):
    def policy(self, *texts: str) -> rules.RulesPolicy:
        lines = (Line(text, Location("pxe.ini", 12 + n)) for n, text in enumerate(texts, 1))
        return rules.build(rules.Settings(rules=tuple(lines)), site())

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
            "vendor-note=dell*",
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


class MistakeTests(RulesTestCase):
    def test_each_with_its_line(self) -> None:
        for text, message in (
            ("room=b12", "expected conditions -> profile, got 'room=b12'"),
            ("-> local", "expected conditions -> profile"),
            ("any -> ", "expected conditions -> profile"),
            ("any -> debian12 local", "expected conditions -> profile"),
            ("any -> @", "expected @label"),
            ("any -> debian21", "unknown profile 'debian21'; did you mean 'debian12'?"),
            ("any -> silent", "did you mean 'silence'?"),
            ("any -> x", "(known: debian12, local, next, silence)"),
            ("knwon -> local", "expected known, unknown, any or label=value, got 'knwon'"),
            ("knwon -> local", "did you mean 'known'?"),
            ("room= -> local", "got 'room='"),
            ("room=a,,b -> local", "got 'room=a,,b'"),
            ("=b12 -> local", "got '=b12'"),
            ("! -> local", "got '!'"),
            ("!any -> local", "matches no machine"),
            ("arch=x46 -> local", "unknown architecture 'x46'; did you mean 'x64'?"),
            ("arch=q* -> local", "unknown architecture 'q*'"),
            ("firmware=efi -> local", "unknown firmware 'efi'; did you mean 'uefi'?"),
            ("mac=52:54 -> local", "expected a MAC address"),
            ("mac=52:5g:* -> local", "expected a MAC address or its beginning"),
            ("address=10.0.0.1/24 -> local", "has host bits set"),
            ("address=10.0.0.* -> local", "expected a network like 10.0.0.0/24"),
            ("room=a !room=a -> local", "never matches: it asks for room=a and for its opposite"),
            ("known unknown -> local", "never matches"),
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
        ):
            [mistake] = self.mistakes(f"{earlier} -> local", f"{later} -> debian12")
            self.assertIn(f"never matches: rule 1 (line 13): {earlier} -> local", mistake)
        self.policy("any -> @profile", "room=a -> local", "any -> @image", "!room=a -> next")
        self.policy("room=a arch=x64 -> local", "room=a -> local", "!room=a -> local")

    def test_no_rules(self) -> None:
        self.assertRaises(ValueError, rules.rule_lines, "\n")
