"""Rules, one a line, tried in the order of the file: ``room=b12 !arch=arm* -> debian12``.

Left are conditions, all of which must hold: ``known``, ``unknown``, ``any``, and ``key=value``
with ``*`` and ``?`` and with commas between several values; ``!`` in front negates. The keys
``name``, ``mac``, ``arch``, ``firmware``, ``interface``, ``address``, ``vendor`` and ``directory``
look at machine and request, every other one is a label of the machine. Right is a profile,
``@label`` (the profile that the machine's label names), ``next`` (let the next policy decide) or
``silence``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
from zope.interface import implementer

from pxetwist.config.fields import Line, lines, option
from pxetwist.errors import ConfigError, ConfigErrors, PolicyError
from pxetwist.interfaces import IBootPolicy, IExplains, Site
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.profile import BootProfile
from pxetwist.policies import suggestion
from pxetwist.policies.conditions import Condition, parse


def rule_lines(value: str) -> tuple[Line, ...]:
    """Expect one rule a line: ``conditions -> profile``."""
    found = lines(value)
    if not found:
        raise ValueError("expected one rule a line: conditions -> profile")
    return found


@attrs.frozen
class Settings:
    """The rules."""

    rules: tuple[Line, ...] = option(
        rule_lines, doc="Tried in this order; the first whose conditions all hold decides."
    )


@attrs.frozen
class Rule:
    """One line: what must hold, and what it leads to."""

    conditions: tuple[Condition, ...]
    outcome: str
    title: str  # for people: "rule 2 (line 14): room=b12 -> debian12"

    def obstacle(self, request: BootRequest) -> str:
        """Say why the rule does not match this request; empty if it does."""
        for condition in self.conditions:
            if not condition.holds(request):
                return condition.finding(request)
        if self.outcome.startswith("@") and not self.profile_name(request):
            return f"the machine has no label {self.outcome[1:]!r}"
        return ""

    def profile_name(self, request: BootRequest) -> str:
        """Return the profile that it names for this request; empty if none."""
        if not self.outcome.startswith("@"):
            return self.outcome
        labels = request.machine.labels if request.machine else {}
        wanted = self.outcome[1:].lower()
        return next((value for name, value in labels.items() if name.lower() == wanted), "")

    def catches(self, other: Rule) -> bool:
        """Whether whatever matches the other rule matches this one."""
        return not self.outcome.startswith("@") and set(_meaning(self)) <= set(_meaning(other))


@implementer(IBootPolicy, IExplains)
@attrs.frozen
class RulesPolicy:
    """Decides by the first rule that matches."""

    name: str
    rules: Sequence[Rule]
    profiles: Mapping[str, BootProfile]

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the plan of the first rule that matches; `None` if none does or it says next.

        :raises PolicyError: if the profile is unknown or lacks the architecture.
        """
        for rule in self.rules:
            if not rule.obstacle(request):
                return self._plan(rule, request)
        return None

    def explain(self, request: BootRequest) -> list[str]:
        """Say of each rule tried why it does not match, and which one decides."""
        report = []
        for rule in self.rules:
            obstacle = rule.obstacle(request)
            report.append(f"{rule.title}: {f'no, {obstacle}' if obstacle else 'matches'}")
            if not obstacle:
                return report
        return [*report, "no rule matches: the next policy decides"]

    def _plan(self, rule: Rule, request: BootRequest) -> BootPlan | None:
        if rule.outcome == "next":
            return None
        if rule.outcome == "silence":
            return BootPlan.ignore(rule.title)
        name = rule.profile_name(request)
        profile = self.profiles.get(name)
        if profile is None:
            machine = request.machine.name if request.machine else request.identity
            hint = suggestion(name, self.profiles)
            raise PolicyError(f"machine '{machine}': unknown profile {name!r}{hint}; {rule.title}")
        return profile.plan(request.identity.architecture, rule.title)


def build(settings: Settings, site: Site) -> RulesPolicy:
    """Make the policy.

    :raises ConfigErrors: with all malformed rules, unknown words, and rules without effect.
    """
    rules: list[Rule] = []
    errors: list[ConfigError] = []
    for number, line in enumerate(settings.rules, 1):
        try:
            rule = _rule(number, line, site.profiles)
            _check_reachable(rule, rules)
        except ValueError as error:
            errors.append(ConfigError(line.location, f"rule {number}: {error}"))
        else:
            rules.append(rule)
    if errors:
        raise ConfigErrors(errors)
    return RulesPolicy(site.name, tuple(rules), site.profiles)


def _rule(number: int, line: Line, profiles: Mapping[str, BootProfile]) -> Rule:
    words, arrow, outcome = (part.strip() for part in line.text.rpartition("->"))
    if not arrow or not words or len(outcome.split()) != 1:
        raise ValueError(f"expected conditions -> profile, got {line.text!r}")
    if outcome.startswith("@"):
        if outcome == "@":
            raise ValueError("expected @label, got '@'")
    elif outcome not in ("silence", "next") and outcome not in profiles:
        hint = suggestion(outcome, [*profiles, "silence", "next"])
        raise ValueError(f"unknown profile {outcome!r}{hint}")
    conditions = tuple(c for c in map(parse, words.split()) if c is not None)
    return Rule(conditions, outcome, f"rule {number} (line {line.location.line}): {line.text}")


def _check_reachable(rule: Rule, earlier: Sequence[Rule]) -> None:
    meanings = set(_meaning(rule))
    for negated, meaning in meanings:
        if (not negated, meaning) in meanings:
            raise ValueError(f"never matches: it asks for {meaning} and for its opposite")
    for other in earlier:
        if other.catches(rule):
            raise ValueError(f"never matches: {other.title} comes first and catches all of it")


def _meaning(rule: Rule) -> Iterator[tuple[bool, str]]:
    return ((condition.negated, condition.meaning) for condition in rule.conditions)
