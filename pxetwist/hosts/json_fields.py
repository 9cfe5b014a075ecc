"""Which parts of a JSON document are the machine, its fields and its labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from pxetwist.config.fields import OptionText
from pxetwist.errors import ConfigError
from pxetwist.hosts.facts import FIELDS

#: There is no such part. A list that is too short has no machine; all else is a mistake.
MISSING = object()
TOO_SHORT = object()

_LABEL = re.compile(r"label\.([\w.-]+)")


@attrs.frozen
class JsonPath:
    """The way to a part of a document: keys, numbers of elements from 0, ``*`` for all."""

    text: str = ""

    def find(self, document: Any) -> Any:
        """Return that part; `MISSING` or `TOO_SHORT` if there is none."""
        return _find(document, self.text.split(".") if self.text else [])


def _find(part: Any, path: list[str]) -> Any:
    if not path:
        return part
    step, rest = path[0], path[1:]
    if isinstance(part, dict):
        return _find(part[step], rest) if step in part else MISSING
    if isinstance(part, list) and step == "*":
        every = (_find(each, rest) for each in part)
        return [found for found in every if found is not MISSING and found is not TOO_SHORT]
    if isinstance(part, list) and step.isdecimal():
        return _find(part[int(step)], rest) if int(step) < len(part) else TOO_SHORT
    return MISSING


@attrs.frozen
class JsonFields:
    """Where in a document each field and label is, by its name."""

    paths: Mapping[str, JsonPath]

    def machines(self, document: Any, where: JsonPath) -> list[dict[str, Any]]:
        """Return the facts of every machine of a document: none or one, if all is well.

        :raises ValueError: if the document is not of this form.
        """
        found = where.find(document)
        if found is MISSING:
            raise ValueError(f"the answer has no {where.text!r}")
        if found is None or found is TOO_SHORT:
            return []
        facts = (self._facts(each) for each in (found if isinstance(found, list) else [found]))
        return [each for each in facts if each is not None]

    def _facts(self, part: Any) -> dict[str, Any] | None:
        facts = {name: path.find(part) for name, path in self.paths.items()}
        if facts["name"] is TOO_SHORT:
            return None
        if facts["name"] is MISSING:
            raise ValueError(f"the answer has no {self.paths['name'].text!r}")
        there = (item for item in facts.items() if item[1] not in (MISSING, TOO_SHORT))
        return dict(there)


def json_path(value: str) -> JsonPath:
    """Expect the path of a part of a document, like results.0.name."""
    if not re.fullmatch(r"[^.\s]+(\.[^.\s]+)*", value):
        raise ValueError(f"expected a path like results.0.name, got {str(value)!r}")
    return JsonPath(str(value))


def json_fields(value: str) -> JsonFields:
    """Expect one field a line: name = results.0.name, or label.role = results.0.role.slug."""
    paths: dict[str, JsonPath] = {}
    for line in OptionText.of(value).lines:
        left, _, right = (part.strip() for part in line.text.partition("="))
        label = _LABEL.fullmatch(left)
        name = label[1].lower() if label else left.replace("-", "_")
        try:
            if not label and name not in FIELDS:
                known = ", ".join(FIELDS)
                raise ValueError(f"unknown field {left!r} (known: {known}, and label.NAME)")
            if label and name in FIELDS:
                raise ValueError(f"{name!r} is a field, not a label")
            if name in paths:
                raise ValueError(f"{left} is given twice")
            paths[name] = json_path(right)
        except ValueError as error:
            raise ConfigError(line.location, f"fields: {error}") from None
    if "name" not in paths:
        raise ValueError("one line must say where the machine's name is: name = results.0.name")
    return JsonFields(paths)
