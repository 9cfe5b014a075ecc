"""The language of rules, held against any text and many machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.fields import Line
from pxetwist.errors import ConfigErrors, Location
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import grammar, reach, rules
from pxetwist.policies.conditions import Expression, Vocabulary, holds, why
from pxetwist.policies.patterns import Share
from pxetwist.policies.times import Dates, Window
from pxetwist.testing import make_site

BERLIN = ZoneInfo("Europe/Berlin")
PROFILES = {
    "local": BootProfile("local", ProfileKind.LOCAL),
    "live": BootProfile("live", ProfileKind.LINUX, kernel={"": "k"}, family="debian-live"),
}
VOCABULARY = Vocabulary()

_SIGNS = st.sampled_from([*'()!"\\= ', "->", "or", "not", "and", "any", "known", "unknown"])
_WORDS = st.sampled_from(
    [
        "room=a",
        "room=b*",
        'group="x y"',
        "time=mon-fri/22:00-06:00",
        "date=2026-01-01..",
        "arch=x64",
    ]
)
_RIGHT = st.sampled_from(["local", "live", "@profile", "console=tty0", 'arguments+="a b"'])
_TOKENS = st.one_of(_SIGNS, _WORDS, _RIGHT)
#: Texts that look like rules, and texts that look like nothing.
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(_TOKENS, max_size=12).map(" ".join),
    st.lists(st.one_of(_TOKENS, st.text(max_size=5)), max_size=12).map("".join),
)
_VALUES = st.text(min_size=1, max_size=6).map(grammar.quoted)
_LEAVES = st.one_of(
    st.sampled_from(["any", "known", "unknown", "room=a", "room=a,b", "floor=1", "arch=x64"]),
    st.sampled_from(["group=x", "mac=52:54:00:*", "time=sat/22:00-02:00", "share=30%/k"]),
    st.tuples(st.sampled_from(["room", "note"]), st.lists(_VALUES, min_size=1, max_size=3)).map(
        lambda pair: f"{pair[0]}={','.join(pair[1])}"
    ),
)
EXPRESSIONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"!({text})"),
        st.lists(inner, min_size=2, max_size=3).map(" ".join),
        st.lists(inner, min_size=2, max_size=3).map(" or ".join),
    ),
    max_leaves=8,
)
MACHINES = st.builds(
    Machine,
    name=st.sampled_from(["ws1", "ws2", "ws3"]),
    labels=st.dictionaries(st.sampled_from(["room", "floor"]), st.sampled_from(["a", "b", "1"])),
    groups=st.sampled_from([(), ("x",), ("x", "y")]),
)
REQUESTS = st.builds(
    BootRequest,
    st.builds(ClientIdentity, mac=st.sampled_from(["52:54:00:00:00:01", "02:00:00:00:00:01"])),
    st.just(BootStage.FIRMWARE),
    st.just(Protocol.DHCP),
    machine=st.none() | MACHINES,
)


def parsed(text: str) -> Expression | None:
    """Parse, if it can be: ``!any`` and what is nested too deep cannot."""
    try:
        return VOCABULARY.parse(text)
    except ValueError:
        return None


class LanguageTests(SynchronousTestCase):
    @given(st.lists(TEXTS, min_size=1, max_size=3))
    def test_any_text_is_rules_or_mistakes_of_a_person(self, texts: list[str]) -> None:
        lines = tuple(Line(text, Location("pxe.ini", n)) for n, text in enumerate(texts, 1))
        site = make_site(profiles=PROFILES)
        try:
            policy = rules.build(rules.Settings(rules=lines), site)
        except ConfigErrors as mistakes:
            for error in mistakes.errors:
                self.assertTrue(str(error).startswith(f"pxe.ini:{error.location.line}: rule "))
        else:
            request = BootRequest(ClientIdentity(), BootStage.FIRMWARE, Protocol.DHCP)
            self.assertTrue(policy.explain(request))

    @given(EXPRESSIONS)
    def test_what_is_printed_is_read_as_the_same(self, text: str) -> None:
        expression = parsed(text)
        if expression is not None:
            again = VOCABULARY.parse(str(expression))
            self.assertEqual(again, expression)
            self.assertEqual(str(again), str(expression))

    @given(EXPRESSIONS, REQUESTS)
    def test_either_it_holds_or_its_opposite(self, text: str, request: BootRequest) -> None:
        expression, opposite = parsed(text), parsed(f"!({text})")
        if expression is None or opposite is None:
            return
        self.assertNotEqual(holds(expression, request, 0), holds(opposite, request, 0))
        failing = opposite if holds(expression, request, 0) else expression
        self.assertTrue(why(failing, request, 0))

    @given(EXPRESSIONS, REQUESTS)
    def test_the_ways_say_the_same(self, text: str, request: BootRequest) -> None:
        expression = parsed(text)
        ways = reach.ways(expression) if expression is not None else None
        if expression is None or ways is None:
            return
        held = [
            all(each.condition.holds(request, 0) == each.wanted for each in way) for way in ways
        ]
        self.assertEqual(any(held), holds(expression, request, 0))

    @given(EXPRESSIONS, EXPRESSIONS, REQUESTS)
    def test_what_is_called_dead_never_matches(
        self, first: str, second: str, request: BootRequest
    ) -> None:
        """No machine is kept from a rule by a mistaken proof."""
        ways = [reach.ways(found) for text in (first, second) if (found := parsed(text))]
        if len(ways) < 2 or ways[0] is None or ways[1] is None:
            return
        for way in ways[1]:
            held = all(each.condition.holds(request, 0) == each.wanted for each in way)
            if reach.contradiction(way):
                self.assertFalse(held)
            elif reach.catches(ways[0], way) and held:
                earlier = VOCABULARY.parse(first)
                self.assertTrue(holds(earlier, request, 0))


class ShareTests(SynchronousTestCase):
    names = tuple(f"ws{n}.lab.example" for n in range(10_000))

    def chosen(self, text: str) -> set[str]:
        share = Share.parse(text)
        return {name for name in self.names if share.passes(name)}

    def test_it_is_near_its_percentage(self) -> None:
        """Within five standard deviations."""
        for percent in (0.5, 1, 10, 25, 50, 75, 99):
            for rollout in ("", "/kernel-6.12"):
                count = len(self.chosen(f"{percent}%{rollout}"))
                deviation = (10_000 * percent / 100 * (1 - percent / 100)) ** 0.5
                self.assertLess(abs(count - 100 * percent), 5 * deviation, percent)
        self.assertEqual(len(self.chosen("100%")), 10_000)
        self.assertEqual(self.chosen("0%"), set())

    @given(st.text(), st.text(max_size=5), st.integers(0, 100), st.integers(0, 100))
    def test_it_only_grows(self, name: str, rollout: str, one: int, other: int) -> None:
        small, large = sorted((one, other))
        if Share("", small, rollout).passes(name):
            self.assertTrue(Share("", large, rollout).passes(name))

    def test_rollouts_choose_other_machines(self) -> None:
        """Of two quarters, a sixteenth is in both."""
        both = self.chosen("25%/kernel") & self.chosen("25%/grub")
        self.assertLess(abs(len(both) - 625), 125)

    def test_it_is_the_same_for_ever(self) -> None:
        """These places must never change: a rollout would take other machines overnight."""
        for rollout, place in (("", 92.08), ("kernel-6.12", 36.28)):
            self.assertAlmostEqual(Share("", 0, rollout).place("ws12"), place, 2)


class TimeTests(SynchronousTestCase):
    def at(self, text: str, moment: str, zone: ZoneInfo = BERLIN) -> bool:
        """Ask at a moment of UTC."""
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
        return Window.parse(text, zone).passes(now)

    def test_over_midnight_it_belongs_to_the_day_of_its_begin(self) -> None:
        utc = ZoneInfo("UTC")
        for moment, expected in (
            ("2026-12-04T21:59", False),  # a Friday
            ("2026-12-04T22:00", True),
            ("2026-12-05T05:59", True),
            ("2026-12-05T06:00", False),
            ("2026-12-05T22:30", False),
            ("2026-12-04T03:00", False),
        ):
            self.assertEqual(self.at("fri/22:00-06:00", moment, utc), expected, moment)
        self.assertTrue(self.at("sun/22:00-06:00", "2026-12-07T01:00", utc))
        self.assertTrue(self.at("22:00-00:00", "2026-12-07T23:59", utc))
        self.assertFalse(self.at("22:00-00:00", "2026-12-07T00:00", utc))

    def test_days_may_go_over_the_end_of_the_week(self) -> None:
        utc = ZoneInfo("UTC")
        found = [self.at("sat-mon", f"2026-12-{day:02}T12:00", utc) for day in range(4, 9)]
        self.assertEqual(found, [False, True, True, True, False])

    def test_the_hour_that_is_missing_and_the_one_that_comes_twice(self) -> None:
        """In Berlin 02:00 is skipped on 2026-03-29, and is there twice on 2026-10-25."""
        for text, moment, expected in (
            ("02:00-03:00", "2026-03-29T00:59", False),  # 01:59
            ("02:00-03:00", "2026-03-29T01:00", False),  # 03:00
            ("01:00-04:00", "2026-03-29T01:00", True),
            ("02:00-03:00", "2026-10-25T00:30", True),  # 02:30, in summer time
            ("02:00-03:00", "2026-10-25T01:30", True),  # 02:30 again
            ("02:00-03:00", "2026-10-25T02:00", False),  # 03:00
        ):
            self.assertEqual(self.at(text, moment), expected, moment)

    def test_the_nights_when_clocks_change_have_another_length(self) -> None:
        for day, hours in (("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-10", 8)):
            start = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=BERLIN).timestamp()
            window = Window.parse("22:00-06:00", BERLIN)
            inside = sum(window.passes(start + 60 * n) for n in range(24 * 60))
            self.assertEqual(inside, hours * 60, day)

    @given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), st.integers(1, 7 * 24 * 60))
    def test_windows_that_exclude_each_other_never_meet(self, moment: datetime, n: int) -> None:
        texts = ["mon-fri/08:00-18:00", "18:00-08:00", "sat/22:00-10:00", "sun", "fri/20:00-24:00"]
        now = (moment + timedelta(minutes=n)).replace(tzinfo=BERLIN).timestamp()
        windows = [Window.parse(text, BERLIN) for text in texts]
        for one in windows:
            for other in windows:
                if one.excludes(other):
                    self.assertFalse(one.passes(now) and other.passes(now))
                if one.covers(other) and other.passes(now):
                    self.assertTrue(one.passes(now))

    def test_dates_begin_and_end_at_midnight_here(self) -> None:
        dates = Dates.parse("2026-12-01..2026-12-24", BERLIN)
        for moment, expected in (
            ("2026-11-30T22:59", False),
            ("2026-11-30T23:00", True),
            ("2026-12-24T22:59", True),
            ("2026-12-24T23:00", False),
        ):
            now = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
            self.assertEqual(dates.passes(now), expected, moment)
