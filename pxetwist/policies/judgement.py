"""What is no mistake in a rule, and yet looks like one: for ``pxetwist check``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pxetwist.errors import PolicyError
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile
from pxetwist.policies import reach, suggestion
from pxetwist.policies.conditions import Condition, Expression, conditions
from pxetwist.policies.outcomes import Outcome, label
from pxetwist.policies.patterns import Glob
from pxetwist.wire.iana import Architecture


def strange_names(
    expression: Expression, outcome: Outcome, machines: Collection[Machine]
) -> Iterator[str]:
    """Find labels and groups that no machine has."""
    if not machines:
        return
    names = {name.lower() for machine in machines for name in machine.labels}
    groups = {group for machine in machines for group in machine.groups}
    asked = {each.key: None for each in conditions(expression) if each.is_label}
    if outcome.label:
        asked[outcome.label.lower()] = None
    for name in asked:
        if name not in names:
            yield f"no machine has a label {name!r}{suggestion(name, names)}"
    if "group" in names:
        return
    for condition in conditions(expression):
        for pattern in condition.patterns if condition.key == "group" else ():
            if not any(map(pattern.passes, groups)):
                hint = suggestion(pattern.text, groups)
                yield f"no machine is in a group {pattern.text!r}{hint}"


def strange_profiles(
    outcome: Outcome, machines: Collection[Machine], profiles: Collection[str]
) -> Iterator[str]:
    """Find labels that should name a profile, and name none."""
    wrong: dict[str, list[Machine]] = {}
    for machine in machines if outcome.label else ():
        name = label(machine, outcome.label)
        if name and name not in profiles:
            wrong.setdefault(name, []).append(machine)
    for name, those in wrong.items():
        who = f"machine {those[0].name}"
        who += f" ({those[0].provenance})" if those[0].provenance else ""
        who += f" and {len(those) - 1} more" if those[1:] else ""
        yield (
            f"label {outcome.label!r} of {who}: there is no profile {name!r}"
            f"{suggestion(name, profiles)}; such machines get no answer from this rule"
        )


def passed(ways: Sequence[reach.Way] | None, now: float) -> Iterator[str]:
    """Find rules whose days are over."""
    if ways and all(reach.is_over(way, now) for way in ways):
        yield "never matches any more: its dates have passed"


def lacking(
    profile: BootProfile | None,
    architectures: Collection[str],
    ways: Sequence[reach.Way] | None,
    earlier: Sequence[Sequence[reach.Way] | None],
) -> Iterator[str]:
    """Find architectures that reach a rule whose profile has nothing for them."""
    missing = [
        name
        for name in sorted(architectures)
        if profile and _lacks(profile, name) and _reached(name, ways or (), earlier)
    ]
    if profile and missing:
        yield (
            f"profile {profile.name!r} has nothing for {', '.join(missing)}: such machines get no"
            " answer; a rule with arch=… may give them another profile"
        )


def _lacks(profile: BootProfile, name: str) -> bool:
    architecture = next((each for each in Architecture if each.short == name), None)
    try:
        profile.plan(architecture)
    except PolicyError:
        return True
    return False


def _reached(
    architecture: str,
    ways: Sequence[reach.Way],
    earlier: Sequence[Sequence[reach.Way] | None],
) -> bool:
    literal = reach.Literal(Condition("arch", (Glob(architecture),)))
    narrowed = [(*way, literal) for way in ways]
    return any(
        not reach.contradiction(way) and not any(reach.catches(other, way) for other in earlier)
        for way in narrowed
    )
