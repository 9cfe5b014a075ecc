"""The right side of a rule: a profile, and what of it is different for those who match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from pxetwist.errors import PolicyError
from pxetwist.model.boot import BootRequest
from pxetwist.model.families import LOADER_FAMILIES, WISHES, Setting, checked
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile
from pxetwist.policies import suggestion
from pxetwist.policies.grammar import Word, words

#: Outcomes that are no profiles.
NEXT, SILENCE = "next", "silence"
#: What may stand behind a profile, as ``name=value``, and how profiles call it.
_NAMES = {name: name for name in ("loader", "arguments", *WISHES)} | {
    "arguments+": "arguments-add"
}
#: Labels of a machine that may win over a rule; its label `loader` always does.
_LABELS = ("arguments", "arguments-add", *WISHES)


@attrs.frozen
class Outcome:
    """What a rule leads to: the name of a profile, ``@label``, ``next`` or ``silence``."""

    target: str
    settings: tuple[Setting, ...] = ()

    @property
    def label(self) -> str:
        """The label that names the profile; empty if the rule does it itself."""
        return self.target[1:] if self.target.startswith("@") else ""

    def profile_name(self, request: BootRequest) -> str:
        """Return the profile that it names for this request; empty if none."""
        if not self.label:
            return self.target
        return label(request.machine, self.label) if request.machine else ""


def label(machine: Machine, wanted: str) -> str:
    """Return a label of a machine, whatever the case of its name; empty if it has none."""
    name = wanted.lower()
    return next((value for key, value in machine.labels.items() if key.lower() == name), "")


def parse(text: str, profiles: Mapping[str, BootProfile], origin: str) -> Outcome:
    """Read a right side; `origin` says for people where its settings come from.

    :raises ValueError: if there is no such profile, or it cannot take a setting.
    """
    target, *rest = words(text)
    settings = tuple(_settings(rest, origin))
    outcome = Outcome(target.text, settings)
    if target.text in (NEXT, SILENCE):
        if rest:
            raise rest[0].error(f"{target.text} is no profile, nothing can be set for it")
    elif target.text.startswith("@"):
        if not outcome.label:
            raise ValueError("expected @label, got '@'")
        for setting in settings:
            misfits = [profile.misfit(setting.name) for profile in profiles.values()]
            if misfits and all(misfits):
                raise ValueError(f"no profile can take {setting.name}: {misfits[0]}")
    elif target.text not in profiles:
        hint = suggestion(target.text, [*profiles, SILENCE, NEXT])
        raise ValueError(f"unknown profile {target.text!r}{hint}")
    else:
        check_profile(profiles[target.text])
        for setting in settings:
            if misfit := profiles[target.text].misfit(setting.name):
                raise ValueError(misfit)
    return outcome


def check_profile(profile: BootProfile) -> None:
    """Check that a profile is no mere base of others.

    :raises ValueError: if it is.
    """
    if profile.lacks:
        raise ValueError(
            f"profile {profile.name!r} has no {profile.lacks}: it is but a base of others"
        )


def _settings(found: list[Word], origin: str) -> Iterator[Setting]:
    values: dict[str, str] = {}
    for word in found:
        name, *value = word.split("=", 1)
        if name.text not in _NAMES:
            hint = suggestion(name.text, _NAMES)
            raise word.error(f"expected one profile and name=value behind it{hint}")
        if not value or not value[0].text.strip():
            raise word.error(f"expected {name.text}=value")
        if name.text in values and name.text != "console":
            raise word.error(f"{name.text} is set twice")
        try:
            text = _value(name.text, value[0].text)
        except ValueError as error:
            raise word.error(str(error)) from error
        values[name.text] = f"{values.get(name.text, '')} {text}".strip()
    for key, text in values.items():
        yield Setting(_NAMES[key], text, origin)


def _value(name: str, text: str) -> str:
    if name in WISHES:
        return checked(name, text)
    if name == "loader" and text not in LOADER_FAMILIES:
        raise ValueError(f"expected {', '.join(LOADER_FAMILIES)}, got {text!r}")
    return " ".join(text.split())


def own_settings(machine: Machine) -> Iterator[Setting]:
    """Yield what a machine's labels say of how it boots.

    :raises PolicyError: if one of them cannot stand on a kernel's command line.
    """
    for name in _LABELS:
        value = label(machine, name)
        if not value:
            continue
        try:
            text = checked(name, value) if name in WISHES else " ".join(value.split())
            if not text.isprintable():
                raise ValueError(f"expected arguments of a kernel, got {value!r}")
        except ValueError as error:
            raise PolicyError(f"machine {machine.name!r}, label {name}: {error}") from error
        # Arguments are templates; what a directory says is none.
        plain = text.replace("{", "{{'{'}}")
        yield Setting(name, plain, f"label of {machine.name}")
