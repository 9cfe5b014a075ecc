"""What a profile says for one architecture."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pxetwist.errors import PolicyError
from pxetwist.wire.iana import Architecture

#: Values per architecture name; the empty name is the value for all others.
PerArchitecture = Mapping[str, str]


@attrs.frozen
class ArchitectureValues:
    """The values of a profile, by option, as they are for an architecture (`None`: not known yet).

    An architecture that has no value of its own takes the general one. `short` is the
    architecture's name in the INI; empty if it is not known.
    """

    profile: str
    architecture: Architecture | None
    values: Mapping[str, PerArchitecture]
    short: str = attrs.field(init=False)

    @short.default
    def _named(self) -> str:
        return self.architecture.short if self.architecture is not None else ""

    def __getitem__(self, option: str) -> str:
        """Return a value; empty if there is none."""
        values = self.values[option]
        if self.short in values:
            return values[self.short]
        return values.get("", "")

    def words(self, option: str) -> tuple[str, ...]:
        """Return what white space separates."""
        return tuple(self[option].split())

    def needed(self, option: str) -> str:
        """Return a value that it cannot do without.

        :raises PolicyError: if there is none.
        """
        value = self[option]
        if not value:
            name = self.short or "an unknown architecture"
            raise PolicyError(f"profile {self.profile!r} has no {option} for {name}")
        return value

    def spelled(self, option: str) -> str:
        """Return the name, in the INI, of the option that the value is from."""
        own = self.short and self.short in self.values[option]
        return f"{option}.{self.short}" if own else option
