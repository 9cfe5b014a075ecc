"""Texts for one machine, made of templates in the language of those for loaders (Jinja2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import attrs
import jinja2

from pxetwist.content.answers import filters
from pxetwist.errors import ConfigError, Location, TreeError
from pxetwist.exports.machine_folders import Source
from pxetwist.model.boot import BootRequest
from pxetwist.model.machine import Machine
from pxetwist.model.recent import Recent

#: So many templates are kept compiled.
_COMPILED = 1024


@attrs.frozen
class Subject:
    """The machine whose files are made, as far as they may depend on it."""

    machine: Machine | None
    mac: str

    @classmethod
    def of(cls, request: BootRequest) -> Subject:
        """Return that of a resolved request."""
        return cls(request.machine, request.identity.mac)

    @property
    def facts(self) -> Mapping[str, object]:
        """What templates may look at."""
        name = self.machine.name if self.machine else f"host-{self.mac.replace(':', '')}"
        return {"machine": self.machine, "mac": self.mac, "hostname": name}


class MachineTexts:
    """Fills templates in."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # these are configuration files
        )
        self._environment.filters.update(filters())
        self._compiled: Recent[Source, jinja2.Template] = Recent(_COMPILED)

    def render(self, source: Source, subject: Subject) -> bytes:
        """Return what a machine finds in its file.

        :raises ValueError: if the template is wrong, or says more than is known of the machine.
        """
        try:
            return self._template(source).render(subject.facts).encode()
        except (jinja2.TemplateError, TreeError, OSError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def mistakes(self, sources: Iterable[Source]) -> list[ConfigError]:
        """Return what is wrong with templates, whatever the machine."""
        found = []
        for source in sources:
            file = os.fsdecode(source.file)
            try:
                self._template(source)
            except jinja2.TemplateSyntaxError as error:
                found.append(ConfigError(Location(file, error.lineno), error.message or ""))
            except (TreeError, OSError, ValueError) as error:
                found.append(ConfigError(Location(file), str(error)))
        return found

    def _template(self, source: Source) -> jinja2.Template:
        template = self._compiled.get(source)
        if template is None:
            data = source.open()
            try:
                text = data.read(0, data.size).decode()
            finally:
                data.close()
            template = self._environment.from_string(text)
            self._compiled.put(source, template)
        return template
