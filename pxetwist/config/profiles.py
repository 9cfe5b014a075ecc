"""The sections ``[profile:NAME]``: what machines may boot."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import attrs

from pxetwist.boot.loaders import FAMILIES
from pxetwist.config.bind import bind, did_you_mean
from pxetwist.config.fields import choice, list_of, option, path, per_architecture, seconds, text
from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError
from pxetwist.model.boot import Script
from pxetwist.model.profile import BootProfile, ProfileKind


@attrs.frozen
class ProfileSettings:
    """``[profile:NAME]``: one thing that a machine may boot."""

    kind: str = option(choice(*(kind.value for kind in ProfileKind)), doc="What it does.")
    title: str = option(text, default="", doc="Its line in a menu; the name if not given.")
    loader: str = option(
        choice(*FAMILIES),
        default="",
        doc="Of linux, script, menu: the loader family that must do it; else any may.",
    )
    kernel: dict[str, str] = option(
        per_architecture(text), default=attrs.Factory(dict), doc="Of linux: content path or URL."
    )
    initrds: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of linux: content paths or URLs, white space between them.",
    )
    arguments: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of linux: the kernel's command line.",
    )
    nbp: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of nbp: content path or URL of the network boot program.",
    )
    ipxe: Path | None = option(
        path, default=None, doc="Of script: the file of your own iPXE script."
    )
    grub: Path | None = option(path, default=None, doc="Of script: the file of your own grub.cfg.")
    pxelinux: Path | None = option(
        path, default=None, doc="Of script: the file of your own PXELINUX text."
    )
    entries: tuple[str, ...] = option(
        list_of(text), default=(), doc="Of menu: the profiles that it offers, in order."
    )
    default: str = option(
        text, default="", doc="Of menu: the entry that starts by itself; else the first."
    )
    timeout: float = option(
        seconds,
        default=0,
        doc="Of menu: after this time the default starts; 0 waits for a person.",
    )


#: Which options fit which kind; kind and title fit all.
_FITTING = {
    ProfileKind.LINUX: ("loader", "kernel", "initrds", "arguments"),
    ProfileKind.LOCAL: (),
    ProfileKind.SCRIPT: ("loader", "ipxe", "grub", "pxelinux"),
    ProfileKind.NBP: ("nbp",),
    ProfileKind.MENU: ("loader", "entries", "default", "timeout"),
    ProfileKind.SILENCE: (),
}
#: Of which options a kind needs at least one.
_NEEDED = {
    ProfileKind.LINUX: ("kernel",),
    ProfileKind.SCRIPT: ("ipxe", "grub", "pxelinux"),
    ProfileKind.NBP: ("nbp",),
    ProfileKind.MENU: ("entries",),
}


def read_profiles(
    sections: Iterable[Section], errors: list[ConfigError]
) -> dict[str, BootProfile]:
    """Make the profiles of all their sections; the menus come last."""
    sections = list(sections)
    names = [section.name for section in sections]
    profiles: dict[str, BootProfile] = {}
    menus: list[tuple[Section, ProfileSettings]] = []
    for section in sections:
        found = bind(ProfileSettings, section, errors)
        if found is None or not _fits(found, section, errors):
            continue
        if found.kind == ProfileKind.MENU.value:
            menus.append((section, found))
        else:
            profiles[section.name] = _profile(section, found, errors)
    menu_names = [section.name for section, _ in menus]
    for section, found in menus:
        if _known_entries(section, found, names, menu_names, errors):
            entries = tuple(profiles[name] for name in found.entries if name in profiles)
            profile = _profile(section, found, errors)
            profiles[section.name] = attrs.evolve(profile, entries=entries)
    return profiles


def _fits(found: ProfileSettings, section: Section, errors: list[ConfigError]) -> bool:
    """Check that each option belongs to the kind, and that the kind has what it needs."""
    before = len(errors)
    kind = ProfileKind(found.kind)
    for name in section.options:
        plain = name.partition(".")[0]
        owners = [owner.value for owner, options in _FITTING.items() if plain in options]
        if owners and kind.value not in owners:
            word = "only a profile of kind " + " or ".join(owners) + " has one"
            errors.append(section.error(word, name))
    given = {name.partition(".")[0] for name in section.options}
    needed = _NEEDED.get(kind, ())
    if needed and not given.intersection(needed):
        errors.append(section.error(f"a profile of kind {kind.value} needs {' or '.join(needed)}"))
    return len(errors) == before


def _known_entries(
    section: Section,
    menu: ProfileSettings,
    names: Collection[str],
    menus: Collection[str],
    errors: list[ConfigError],
) -> bool:
    before = len(errors)
    for entry in menu.entries:
        if entry not in names:
            hint = did_you_mean(entry, names)
            errors.append(section.error(f"there is no [profile:{entry}]{hint}", "entries"))
        elif entry in menus:
            errors.append(section.error(f"{entry} is a menu; menus hold no menus", "entries"))
    if menu.default and menu.default not in menu.entries:
        hint = did_you_mean(menu.default, menu.entries)
        errors.append(section.error(f"{menu.default!r} is not among the entries{hint}", "default"))
    return len(errors) == before


def _profile(section: Section, found: ProfileSettings, errors: list[ConfigError]) -> BootProfile:
    def content(file: Path | None, option: str) -> str:
        try:
            return file.read_text("utf-8") if file else ""
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            errors.append(section.error(f"cannot read {file}: {reason}", option))
            return ""

    return BootProfile(
        name=section.name,
        kind=ProfileKind(found.kind),
        title=found.title,
        loader=found.loader,
        kernel=found.kernel,
        initrds={name: _one_line(value) for name, value in found.initrds.items()},
        arguments={name: _one_line(value) for name, value in found.arguments.items()},
        nbp=found.nbp,
        script=Script(
            ipxe=content(found.ipxe, "ipxe"),
            grub=content(found.grub, "grub"),
            pxelinux=content(found.pxelinux, "pxelinux"),
        ),
        default=found.default,
        timeout=int(found.timeout),
    )


def _one_line(value: str) -> str:
    return " ".join(value.split())
