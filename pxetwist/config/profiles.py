"""The sections ``[profile:NAME]``: what machines may boot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import attrs

from pxetwist.config.answers import read_answer, read_credentials, read_values
from pxetwist.config.bind import bind, did_you_mean
from pxetwist.config.heritage import Heir, heirs
from pxetwist.config.ini import Section
from pxetwist.config.profile_mistakes import fits, template_mistakes
from pxetwist.config.profile_settings import ProfileSettings
from pxetwist.errors import ConfigError
from pxetwist.model.boots import Iscsi, Script
from pxetwist.model.families import WISHES
from pxetwist.model.profile import INSTALLERS, BootProfile, ProfileKind


def read_profiles(
    sections: Iterable[Section], errors: list[ConfigError]
) -> dict[str, BootProfile]:
    """Make the profiles of all their sections, in their order; the menus come last."""
    sections = list(sections)
    for section in sections:
        errors += template_mistakes(section)
    names = [section.name for section in sections]
    found = _bound(sections, errors)
    profiles: dict[str, BootProfile] = {}
    menus = [name for name, (_, each) in found.items() if each.kind == ProfileKind.MENU.value]
    for name in names:
        if name in found and name not in menus:
            profiles[name] = _profile(*found[name], errors)
    for name in (each for each in names if each in menus):
        heir, menu = found[name]
        if _known_entries(found[name], names, menus, profiles, errors):
            entries = tuple(profiles[entry] for entry in menu.entries if entry in profiles)
            profiles[name] = attrs.evolve(_profile(heir, menu, errors), entries=entries)
    return profiles


def _bound(
    sections: list[Section], errors: list[ConfigError]
) -> dict[str, tuple[Heir, ProfileSettings]]:
    """Bind each section, with what it takes over; what extends a wrong one is left out."""
    found: dict[str, tuple[Heir, ProfileSettings]] = {}
    all_heirs = heirs(sections, errors)
    bases = {heir.base for heir in all_heirs}
    for heir in all_heirs:
        section = heir.section
        if heir.base and heir.base not in found:
            continue
        settings = bind(ProfileSettings, section, errors)
        if settings and fits(settings, section, section.name in bases, errors):
            found[section.name] = (heir, settings)
    return found


def _known_entries(
    found: tuple[Heir, ProfileSettings],
    names: Collection[str],
    menus: Collection[str],
    profiles: Mapping[str, BootProfile],
    errors: list[ConfigError],
) -> bool:
    before = len(errors)
    section, menu = found[0].section, found[1]
    for entry in menu.entries:
        if entry not in names:
            hint = did_you_mean(entry, names)
            errors.append(section.error(f"there is no [profile:{entry}]{hint}", "entries"))
        elif entry in menus:
            errors.append(section.error(f"{entry} is a menu; menus hold no menus", "entries"))
        elif entry in profiles and profiles[entry].kind is ProfileKind.RASPBERRY_PI:
            errors.append(section.error(f"{entry} is for boards that show no menu", "entries"))
        elif entry in profiles and profiles[entry].lacks:
            word = f"{entry} has no {profiles[entry].lacks}: it is but a base of others"
            errors.append(section.error(word, "entries"))
    if menu.default and menu.default not in menu.entries:
        hint = did_you_mean(menu.default, menu.entries)
        errors.append(section.error(f"{menu.default!r} is not among the entries{hint}", "default"))
    return len(errors) == before


def _profile(heir: Heir, found: ProfileSettings, errors: list[ConfigError]) -> BootProfile:
    section = heir.section

    def content(file: Path | None, option: str) -> str:
        try:
            return file.read_text("utf-8") if file else ""
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            errors.append(section.error(f"cannot read {file}: {reason}", option))
            return ""

    kind = ProfileKind(found.kind)
    return BootProfile(
        name=section.name,
        kind=kind,
        title=found.title,
        loader=found.loader,
        kernel=found.kernel,
        initrds={name: _one_line(value) for name, value in found.initrds.items()},
        arguments={name: _one_line(value) for name, value in found.arguments.items()},
        nbp=found.nbp,
        image=found.image,
        script=Script(
            ipxe=content(found.ipxe, "ipxe"),
            grub=content(found.grub, "grub"),
            pxelinux=content(found.pxelinux, "pxelinux"),
        ),
        memdisk=found.memdisk,
        iscsi=_iscsi(found) if kind is ProfileKind.ISCSI and found.target else None,
        media=found.media,
        wim=found.wim,
        share=found.share,
        folder=found.folder,
        texts={name: content(file, f"files.{name}") for name, file in found.files.items()},
        default=found.default,
        timeout=int(found.timeout),
        family=found.family,
        wishes={name: value for name in WISHES if (value := getattr(found, name))},
        origins=heir.origins,
        extends=heir.base,
        answer=read_values(found, section, errors)
        if kind in INSTALLERS
        else read_credentials(found, section, errors)
        if kind is ProfileKind.ISCSI
        else read_answer(found, section, found.family, found.arguments.values(), errors),
    )


def _iscsi(found: ProfileSettings) -> Iscsi:
    return Iscsi(found.server, found.target, found.target_port, found.lun, found.initiator)


def _one_line(value: str) -> str:
    return " ".join(value.split())
