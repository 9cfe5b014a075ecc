"""What an operating system needs to start, per architecture, before it is a plan."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from pxetwist.errors import PolicyError
from pxetwist.model.boot import (
    Boot,
    BootPlan,
    Files,
    Ignored,
    LocalDisk,
    Menu,
    MenuEntry,
    Nbp,
    Script,
)
from pxetwist.wire.iana import Architecture


class ProfileKind(enum.Enum):
    """What a profile does; the words of the INI."""

    LINUX = "linux"
    LOCAL = "local"
    SCRIPT = "script"
    NBP = "nbp"
    MENU = "menu"
    SILENCE = "silence"


#: Values per architecture name; the empty name is the value for all others.
PerArchitecture = Mapping[str, str]


def for_architecture(values: PerArchitecture, architecture: Architecture | None) -> str:
    """Pick the value of an architecture, else the general one, else an empty text."""
    name = architecture.short if architecture is not None else ""
    return values.get(name, values.get("", ""))


@attrs.frozen
class BootProfile:
    """A named way to boot. Only the fields of its `kind` are set.

    `initrds` hold their paths separated by white space. `entries` are the profiles of a menu.
    """

    name: str
    kind: ProfileKind
    title: str = ""
    loader: str = ""
    kernel: PerArchitecture = attrs.field(factory=dict)
    initrds: PerArchitecture = attrs.field(factory=dict)
    arguments: PerArchitecture = attrs.field(factory=dict)
    nbp: PerArchitecture = attrs.field(factory=dict)
    script: Script = attrs.field(factory=Script)
    entries: tuple[BootProfile, ...] = ()
    default: str = ""
    timeout: int = 0

    def plan(self, architecture: Architecture | None, reason: str = "") -> BootPlan:
        """Turn the profile into a plan for one architecture (`None`: not known yet).

        :raises PolicyError: if the profile has nothing for that architecture.
        """
        return BootPlan(
            self._boot(architecture), profile=self.name, reason=reason, loader=self.loader
        )

    def _boot(self, architecture: Architecture | None) -> Boot:
        match self.kind:
            case ProfileKind.LOCAL:
                return LocalDisk()
            case ProfileKind.SILENCE:
                return Ignored()
            case ProfileKind.SCRIPT:
                return self.script
            case ProfileKind.NBP:
                return Nbp(self._needed(self.nbp, architecture, "nbp"))
            case ProfileKind.MENU:
                return self._menu(architecture)
            case ProfileKind.LINUX:
                return Files(
                    self._needed(self.kernel, architecture, "kernel"),
                    tuple(for_architecture(self.initrds, architecture).split()),
                    for_architecture(self.arguments, architecture),
                )

    def _menu(self, architecture: Architecture | None) -> Menu:
        entries = []
        for profile in self.entries:
            try:
                boot = profile._boot(architecture)
            except PolicyError:
                continue  # a menu shows what this machine can start
            if not isinstance(boot, Menu | Ignored):
                entries.append(MenuEntry(profile.name, profile.title or profile.name, boot))
        if not entries:
            raise PolicyError(f"menu {self.name!r} has no entry for this architecture")
        names = [entry.name for entry in entries]
        default = self.default if self.default in names else names[0]
        return Menu(self.title or self.name, tuple(entries), default, self.timeout)

    def _needed(
        self, values: PerArchitecture, architecture: Architecture | None, option: str
    ) -> str:
        value = for_architecture(values, architecture)
        if not value:
            name = architecture.short if architecture is not None else "an unknown architecture"
            raise PolicyError(f"profile {self.name!r} has no {option} for {name}")
        return value
