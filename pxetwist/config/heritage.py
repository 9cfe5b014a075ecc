"""``extends``: a section that takes over the options of another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from pxetwist.config.bind import did_you_mean
from pxetwist.config.fields import OptionText
from pxetwist.config.ini import Option, Section
from pxetwist.errors import ConfigError
from pxetwist.model.families import with_arguments
from pxetwist.wire.iana import ARCHITECTURE_NAMES

#: What a section says of itself alone.
_OWN = ("extends", "title")
_ADD = "arguments-add"


@attrs.frozen
class Heir:
    """A section with all that it takes over; `origins` say where each option stands.

    `base` is the name of the section that it extends, if it does. What stands in
    ``arguments-add`` was appended to ``arguments`` already.
    """

    section: Section
    base: str = ""
    origins: Mapping[str, str] = attrs.field(factory=dict)


def heirs(sections: Iterable[Section], errors: list[ConfigError]) -> list[Heir]:
    """Resolve what sections extend, bases first; those whose line of bases is broken are left out.

    Each option is taken over by itself, so ``kernel.x64`` stays beside a new ``kernel.arm64``.
    """
    by_name = {section.name: section for section in sections}
    lines = [_line(section, by_name, errors) for section in by_name.values()]
    lines.sort(key=len)
    return [_merged(line) for line in lines if line and _agree(line, errors)]


def _line(
    section: Section, by_name: Mapping[str, Section], errors: list[ConfigError]
) -> list[Section]:
    """Return all that a section extends, the farthest first, and itself; empty on a mistake."""
    line = [section]
    while base := _base(line[0]):
        if base not in by_name:
            if len(line) == 1:
                hint = did_you_mean(base, by_name)
                errors.append(section.error(f"there is no [profile:{base}]{hint}", "extends"))
            return []
        if by_name[base] in line:
            circle = line[: line.index(by_name[base]) + 1]
            first = min(circle, key=list(by_name.values()).index)
            if section is first:  # one mistake, one message
                errors.append(_circle(circle, section))
            return []
        line.insert(0, by_name[base])
    return line


def _base(section: Section) -> str:
    extends = section.options.get("extends")
    return str(extends.text).strip() if extends else ""


def _circle(circle: list[Section], section: Section) -> ConfigError:
    steps = []
    for each in reversed(circle):
        location = each.options["extends"].location
        steps.append(f"{each.name} extends {_base(each)} ({location})")
    return section.error(f"goes in a circle: {', '.join(steps)}", "extends")


def _agree(line: list[Section], errors: list[ConfigError]) -> bool:
    """Check that all are of one kind; the one to blame gets the message, those behind none."""
    kinds = [(section, kind) for section in line if (kind := section.options.get("kind"))]
    for section, kind in kinds:
        first = kinds[0][1]
        if kind.text != first.text:
            if section is line[-1]:
                reason = f"{_base(section)} is of kind {first.text} ({first.location})"
                message = f"{reason}, and so is what extends it; leave kind out"
                errors.append(section.error(message, "kind"))
            return False
    return True


def _merged(line: list[Section]) -> Heir:
    section = line[-1]
    options: dict[str, Option] = {}
    origins: dict[str, str] = {}
    for each in line:
        for name, option in each.options.items():
            if each is section or (name not in _OWN and not name.startswith(_ADD)):
                options[name] = option
                origins[name] = f"[{each.title}] {option.location}"
        _append_arguments(each, options, origins)
    origins = {name: origin for name, origin in origins.items() if not name.startswith(_ADD)}
    return Heir(attrs.evolve(section, options=options), _base(section), origins)


def _append_arguments(
    section: Section, options: dict[str, Option], origins: dict[str, str]
) -> None:
    """Fold the section's ``arguments-add`` into the arguments, architecture by architecture."""
    adds = {
        key: o for key in ("", *ARCHITECTURE_NAMES) if (o := section.options.get(_at(_ADD, key)))
    }
    if not adds:
        return
    old = {
        key: o for key in ("", *ARCHITECTURE_NAMES) if (o := options.get(_at("arguments", key)))
    }
    places = {key: origins[_at("arguments", key)] for key in old}
    for key in old.keys() | adds.keys():
        before, more = old.get(key, old.get("")), adds.get(key, adds.get(""))
        if more is None:
            continue
        text = with_arguments(before.text if before else "", more.text)
        name, source = _at("arguments", key), before or more
        added = OptionText(text, more.text.folder, more.text.lines)
        options[name] = attrs.evolve(source, name=name, text=added)
        found = places.get(key, places.get("", ""))
        origin = f"[{section.title}] {more.location}"
        origins[name] = f"{found}; {origin}" if found else origin


def _at(name: str, architecture: str) -> str:
    return f"{name}.{architecture}" if architecture else name
