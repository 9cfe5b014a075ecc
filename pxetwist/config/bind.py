"""From the text of a section to its settings class."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import attrs

from pxetwist.config.fields import Keyed
from pxetwist.config.ini import Option, Section
from pxetwist.errors import ConfigError

S = TypeVar("S")


def ini_name(field: attrs.Attribute[Any]) -> str:
    """Return the name of a field as the INI spells it; a keyed one by its prefix."""
    return _prefix(field) or field.name.replace("_", "-")


def _prefix(field: attrs.Attribute[Any]) -> str:
    convert = field.metadata["convert"]
    return convert.prefix if isinstance(convert, Keyed) else ""


def options_of(settings: type) -> dict[str, attrs.Attribute[Any]]:
    """Return the fields of a settings class that are options, by their name in the INI."""
    return {
        ini_name(field): field for field in attrs.fields(settings) if "convert" in field.metadata
    }


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` if one of the known names is close, else an empty text."""
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def bind(
    settings: type[S], section: Section, errors: list[ConfigError], besides: Collection[str] = ()
) -> S | None:
    """Make the settings of a section; on mistakes append them all to `errors` and return `None`.

    Options named in `besides` are not the settings' concern.
    """
    found = len(errors)
    fields = options_of(settings)
    values: dict[str, Any] = {}
    for option in section.options.values():
        if option.name not in besides:
            _bind_option(option, section, fields, values, errors)
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in _given(section):
            errors.append(section.error(f"{name} is missing: {field.metadata['doc']}"))
    if len(errors) > found:
        return None
    try:
        return settings(**values)
    except ValueError as error:  # of several options; it may begin with the name of one
        name, _, rest = str(error).partition(": ")
        errors.append(section.error(*(rest, name) if name in section.options else (str(error),)))
        return None


def _given(section: Section) -> set[str]:
    return set(section.options) | {name.partition(".")[0] for name in section.options}


def _bind_option(
    option: Option,
    section: Section,
    fields: dict[str, attrs.Attribute[Any]],
    values: dict[str, Any],
    errors: list[ConfigError],
) -> None:
    name, dot, key = option.name.partition(".")
    field = fields.get(name)
    keyed = isinstance(field.metadata["convert"], Keyed) if field else False
    if field is None or (dot and not keyed):
        names = [f"{each}.NAME" if _prefix(fields[each]) else each for each in fields]
        hint = did_you_mean(option.name, fields)
        known = f"(known: {', '.join(names) or 'none'})"
        message = f"[{section.title}] unknown option {option.name!r}{hint} {known}"
        errors.append(ConfigError(option.location, message))
        return
    convert = field.metadata["convert"]
    try:
        if keyed:
            index, value = convert.entry(key, option.text)
            entries = values.setdefault(field.name, {})
            if index in entries:
                raise ValueError("it stands there already, by another name")
            entries[index] = value
        else:
            values[field.name] = convert(option.text)
    except ConfigError as error:  # it knows the line
        title = f"[{section.title}] {option.name}: "
        message = error.message.removeprefix(title).removeprefix(f"{option.name}: ")
        errors.append(ConfigError(error.location, title + message))
    except ValueError as error:
        errors.append(section.error(str(error), option.name))
    except Exception as error:  # a converter of somebody's plugin
        errors.append(section.error(bug(error), option.name))


def bug(error: Exception, module: str = "") -> str:
    """Name what the code of a plugin raised, and its place: in the module, if it went there."""
    frames = traceback.extract_tb(error.__traceback__)
    file = getattr(sys.modules.get(module), "__file__", None)
    last = next((each for each in reversed(frames) if each.filename == file), frames[-1])
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
