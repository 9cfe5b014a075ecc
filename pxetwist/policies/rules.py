"""Rules, one a line, tried in the order of the file: ``room=b12 !arch=arm* -> debian12``.

Left is an expression of conditions: see :mod:`pxetwist.policies.grammar` for its shape,
:mod:`pxetwist.policies.conditions` for its words. Right is a profile, ``@label`` (the profile
that the machine's label names), ``next`` (let the next policy decide) or ``silence``; behind a
profile stands what is different for these machines: ``debian12 console=ttyS1 loader=grub``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import tzinfo
from zoneinfo import ZoneInfo

import attrs
from zope.interface import implementer

from pxetwist.config.fields import Converter, Line, boolean, lines, option
from pxetwist.errors import ConfigError, ConfigErrors, Location, PolicyError
from pxetwist.interfaces import IAdvises, IBootPolicy, IExplains, ISteady, Site
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.model.nfs_root import own_root
from pxetwist.model.profile import BootProfile
from pxetwist.policies import grammar, judgement, outcomes, reach, suggestion
from pxetwist.policies.conditions import (
    PASSING,
    Condition,
    Expression,
    Test,
    Vocabulary,
    conditions,
    test_of,
    why,
)
from pxetwist.policies.outcomes import NEXT, SILENCE, Outcome
from pxetwist.wire.iana import ARCHITECTURE_NAMES

#: Times are the same for everybody.
_NOBODY = BootRequest(ClientIdentity(), BootStage.FIRMWARE, Protocol.DHCP)


def rule_lines(value: str) -> tuple[Line, ...]:
    """Expect one rule a line: ``conditions -> profile``."""
    found = lines(value)
    if not found:
        raise ValueError("expected one rule a line: conditions -> profile")
    return found


def _zone(value: str) -> tzinfo:
    try:
        return ZoneInfo(value)
    except (OSError, LookupError) as error:
        raise ValueError(f"unknown time zone {value!r}") from error


@attrs.frozen
class Settings:
    """The rules."""

    rules: tuple[Line, ...] = option(
        rule_lines, doc="Tried in this order; the first whose conditions all hold decides."
    )
    timezone: tzinfo | None = option(
        Converter("a time zone like Europe/Berlin", _zone),
        default=None,
        doc="The time zone of times and dates in rules; the server's if not given.",
    )
    labels_override: bool = option(
        boolean,
        default=False,
        doc="Whether a machine's labels console, root, locale, keymap, timezone, arguments and"
        " arguments-add win over profile and rule.",
    )


@attrs.frozen
class Rule:
    """One line: what must hold, and what it leads to."""

    expression: Expression
    outcome: Outcome
    title: str  # for people: "rule 2 (line 14): room=b12 -> debian12"
    location: Location
    #: In which ways it can match; `None`: in too many to look at.
    ways: list[reach.Way] | None = attrs.field(eq=False, repr=False)
    _holds: Test = attrs.field(
        init=False,
        eq=False,
        repr=False,
        default=attrs.Factory(lambda self: test_of(self.expression), takes_self=True),
    )

    def matches(self, request: BootRequest, now: float) -> bool:
        """Whether it decides about this request."""
        return self._holds(request, now) and bool(self.outcome.profile_name(request))

    def obstacle(self, request: BootRequest, now: float) -> str:
        """Say why it does not match this request."""
        if not self._holds(request, now):
            return why(self.expression, request, now)
        return f"the machine has no label {self.outcome.label!r}"


@implementer(IBootPolicy, IExplains, IAdvises, ISteady)
@attrs.frozen
class RulesPolicy:
    """Decides by the first rule that matches; `clock` tells seconds since the epoch."""

    name: str
    rules: Sequence[Rule]
    profiles: Mapping[str, BootProfile]
    clock: Callable[[], float]
    labels_override: bool = False
    _passing: Sequence[Condition] = attrs.field(init=False)
    _plans: dict[tuple[str, str, str], BootPlan] = attrs.field(factory=dict, eq=False, init=False)

    @_passing.default
    def _that_pass(self) -> Sequence[Condition]:
        named = (each for rule in self.rules for each in conditions(rule.expression))
        return [each for each in named if each.key in PASSING]

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the plan of the first rule that matches; `None` if none does or it says next.

        :raises PolicyError: if the profile is unknown or lacks the architecture, or if a label
            of the machine is no argument for a kernel.
        """
        now = self.clock()
        for rule in self.rules:
            if rule.matches(request, now):
                return self._plan(rule, request)
        return None

    def edition(self) -> int:
        """With rules that look at the time a decision lasts until one of their times begins or
        ends: each of these is a bit.
        """
        if not self._passing:
            return 0
        now = self.clock()
        return sum(each.holds(_NOBODY, now) << bit for bit, each in enumerate(self._passing))

    def explain(self, request: BootRequest) -> list[str]:
        """Say of each rule tried why it does not match, and which one decides."""
        now = self.clock()
        report: list[str] = []
        for rule in self.rules:
            if rule.matches(request, now):
                return [*report, f"{rule.title}: matches"]
            report.append(f"{rule.title}: no, {rule.obstacle(request, now)}")
        return [*report, "no rule matches: the next policy decides"]

    def advice(
        self, machines: Collection[Machine] | None, architectures: Collection[str]
    ) -> list[str]:
        """Say what looks wrong in the rules."""
        found = []
        for number, rule in enumerate(self.rules):
            earlier = [each.ways for each in self.rules[:number] if not each.outcome.label]
            profile = self.profiles.get(rule.outcome.target)
            for sentence in (
                *judgement.strange_names(rule.expression, rule.outcome, machines or ()),
                *judgement.strange_profiles(rule.outcome, machines or (), self.profiles),
                *judgement.passed(rule.ways, self.clock()),
                *judgement.lacking(profile, architectures, rule.ways, earlier),
            ):
                found.append(
                    f"{rule.location}: [policy:{self.name}] rule {number + 1}: {sentence}"
                )
        return found

    def profiles_named(self, machines: Collection[Machine] | None) -> Collection[str] | None:
        """Return what the rules and the labels of machines name."""
        names = set()
        for outcome in (rule.outcome for rule in self.rules):
            if outcome.label and machines is None:
                return None
            names |= {outcomes.label(each, outcome.label) for each in machines or ()}
            names.add(outcome.target)
        return names

    def _plan(self, rule: Rule, request: BootRequest) -> BootPlan | None:
        if rule.outcome.target == NEXT:
            return None
        if rule.outcome.target == SILENCE:
            return BootPlan.ignore(rule.title)
        name, architecture = rule.outcome.profile_name(request), request.identity.architecture
        machine = request.machine if self.labels_override else None
        own = tuple(outcomes.own_settings(machine)) if machine else ()
        key = (rule.title, name, architecture.short if architecture is not None else "")
        if not own and key in self._plans:
            return self._plans[key]
        profile = self._profile(name, rule, request).changed((*rule.outcome.settings, *own))
        plan = profile.plan(architecture, rule.title)
        if not own and key[2] in ("", *ARCHITECTURE_NAMES):  # peers may send any number
            self._plans[key] = plan
        return plan

    def _profile(self, name: str, rule: Rule, request: BootRequest) -> BootProfile:
        profile = self.profiles.get(name)
        if profile is None:
            machine = request.machine.name if request.machine else request.identity
            hint = suggestion(name, self.profiles)
            raise PolicyError(f"machine '{machine}': unknown profile {name!r}{hint}; {rule.title}")
        return profile


def build(settings: Settings, site: Site) -> RulesPolicy:
    """Make the policy.

    :raises ConfigErrors: with all malformed rules, unknown words, and rules without effect.
    """
    vocabulary = Vocabulary(site.networks, settings.timezone, site.directories)
    rules: list[Rule] = []
    errors: list[ConfigError] = []
    for number, line in enumerate(settings.rules, 1):
        try:
            rule = _rule(number, line, site.profiles, vocabulary)
            _check_root(rule.outcome, site.exports)
            _check_reachable(rule, rules)
        except ValueError as error:
            errors.append(ConfigError(line.location, f"rule {number}: {error}"))
        else:
            rules.append(rule)
    if errors:
        raise ConfigErrors(errors)
    return RulesPolicy(
        site.name, tuple(rules), site.profiles, site.reactor.seconds, settings.labels_override
    )


def _rule(
    number: int, line: Line, profiles: Mapping[str, BootProfile], vocabulary: Vocabulary
) -> Rule:
    left, right = grammar.cut(line.text, "->") or ("", "")
    if not left.strip() or not right.strip():
        grammar.words(line.text)  # an open quote is the likelier mistake
        raise ValueError(f"expected conditions -> profile, got {line.text!r}")
    place = f"rule {number} (line {line.location.line})"
    expression = vocabulary.parse(left)
    in_place = right.rjust(len(line.text))  # so that mistakes show where they stand in the line
    outcome = outcomes.parse(in_place, profiles, place)
    ways = reach.ways(expression)
    return Rule(expression, outcome, f"{place}: {line.text}", line.location, ways)


def _check_root(outcome: Outcome, exports: Collection[str]) -> None:
    """Look for a root of an export that is not there."""
    for setting in outcome.settings:
        root = own_root(setting.value) if setting.name == "root" else None
        if root is not None and root.export not in exports:
            hint = suggestion(root.export, exports)
            raise ValueError(f"root: there is no [export:{root.export}]{hint}")


def _check_reachable(rule: Rule, earlier: Sequence[Rule]) -> None:
    if rule.ways is None:
        return
    contradictions = [reach.contradiction(way) for way in rule.ways]
    if found := contradictions[0] if all(contradictions) else None:
        raise ValueError(f"never matches: no machine has both {found[0]} and {found[1]}")
    catching = [
        next(
            (
                other
                for other in earlier
                if not other.outcome.label and reach.catches(other.ways, way)
            ),
            None,
        )
        for way, dead in zip(rule.ways, contradictions, strict=True)
        if not dead
    ]
    if all(catching):
        titles = " and ".join(dict.fromkeys(other.title for other in catching if other))
        raise ValueError(f"never matches: {titles} comes first and catches all of it")
