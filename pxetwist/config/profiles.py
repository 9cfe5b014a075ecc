"""The sections ``[profile:NAME]``: what machines may boot."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs
import jinja2

from pxetwist.config.answers import AnswerOptions, read_answer, read_credentials, read_values
from pxetwist.config.bind import bind, did_you_mean
from pxetwist.config.disks import disk_mistakes
from pxetwist.config.fields import (
    Converter,
    Keyed,
    boolean,
    choice,
    integer,
    list_of,
    option,
    path,
    per_architecture,
    port,
    seconds,
    text,
)
from pxetwist.config.heritage import Heir, heirs
from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError
from pxetwist.model.boots import Iscsi, Script
from pxetwist.model.content import ContentPath
from pxetwist.model.families import (
    BY_ANSWER,
    FAMILIES,
    LOADER_FAMILIES,
    WISHES,
    checked,
    unknown_wish,
)
from pxetwist.model.nfs_root import by_nfs, own_root, rootless
from pxetwist.model.profile import INSTALLERS, NEEDED, BootProfile, ProfileKind


def _wish(name: str) -> Converter[str]:
    return Converter(WISHES[name][1], partial(checked, name))


def _content_folder(value: str) -> str:
    return str(ContentPath.parse(value))


content_folder = Converter("a content folder like rpi/bookworm", _content_folder)


def _made_file(name: str, value: str) -> tuple[str, Path]:
    if not re.fullmatch(r"[\w-][\w.-]*", name, re.ASCII):
        raise ValueError(f"{name!r} is no name of a file, such as unattend.xml")
    return name, path(value)


@attrs.frozen
class ProfileSettings(AnswerOptions):
    """``[profile:NAME]``: one thing that a machine may boot."""

    kind: str = option(choice(*(kind.value for kind in ProfileKind)), doc="What it does.")
    extends: str = option(
        text,
        default="",
        doc="A profile whose options it takes over, but for those that it has itself.",
    )
    title: str = option(text, default="", doc="Its line in a menu; the name if not given.")
    loader: str = option(
        choice(*LOADER_FAMILIES),
        default="",
        doc="Of linux, script, menu, and of image with memdisk: the loader family that must do"
        " it; else any may.",
    )
    kernel: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of linux: content path or URL, or nfs:/boot/vmlinuz, a file in root = export:NAME"
        " that iPXE loads by NFS. Of windows: that of wimboot, if it is elsewhere than"
        " in loaders. Of esxi: that of mboot, if it is elsewhere than in the medium.",
    )
    initrds: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of linux: content paths, URLs or files in the root, white space between them. Of"
        " windows: further files for its System32.",
    )
    arguments: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of linux, raspberry-pi: the kernel's command line. Of windows: that of wimboot. Of"
        " esxi: added to its kernel's.",
    )
    arguments_add: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of linux, windows, esxi, raspberry-pi: appended to the arguments that it takes over.",
    )
    family: str = option(
        choice(*FAMILIES),
        default="generic",
        doc="Of linux, raspberry-pi: how root, console, locale, keymap and timezone are spelled as"
        " arguments.",
    )
    root: str = option(
        text, default="", doc="Of linux, raspberry-pi: where the root file system is."
    )
    console: str = option(
        _wish("console"),
        default="",
        doc="Of linux, raspberry-pi: its consoles, the main one last.",
    )
    locale: str = option(
        _wish("locale"), default="", doc="Of linux, raspberry-pi: language and country."
    )
    keymap: str = option(
        _wish("keymap"), default="", doc="Of linux, raspberry-pi: the keyboard's layout."
    )
    timezone: str = option(
        _wish("timezone"), default="", doc="Of linux, raspberry-pi: the time zone."
    )
    nbp: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of nbp: content path or URL of the network boot program. Of windows and esxi: the"
        " program that firmware starts itself; else it gets iPXE.",
    )
    media: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of windows and esxi: the content folder that holds the installation medium.",
    )
    wim: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of windows: content path of the image to start; else the medium's sources/boot.wim.",
    )
    share: str = option(
        text,
        default="",
        doc="Of windows: where Setup is, as \\\\10.0.0.2\\win11; else in the image.",
    )
    folder: str = option(
        content_folder,
        default="",
        doc="Of raspberry-pi: the content folder with the files of its boot partition.",
    )
    files: dict[str, Path] = option(
        Keyed("files.NAME: the file of a template", _made_file),
        default=attrs.Factory(dict),
        doc="Of windows and esxi: templates of what is made for each machine, such as"
        " files.unattend.xml or files.ks.cfg, in the place of the built-in ones.",
    )
    image: dict[str, str] = option(
        per_architecture(text),
        default=attrs.Factory(dict),
        doc="Of image: content path or URL (HTTP) of an image of a disk or CD.",
    )
    memdisk: bool = option(
        boolean,
        default=False,
        doc="Of image: let memdisk take all of it into memory, instead of iPXE read it piece by"
        " piece. It needs BIOS. kernel is the path of memdisk, arguments are what it is told.",
    )
    server: str = option(
        text, default="", doc="Of iscsi: name or address of the target's server; a template."
    )
    target: str = option(
        text,
        default="",
        doc="Of iscsi: the target's name, as iqn.2026-01.net.example:ws1; a template.",
    )
    target_port: int = option(port, default=3260, doc="Of iscsi: TCP port of the server.")
    lun: int = option(
        integer(0, 16383), default=0, doc="Of iscsi: number of the disk at the target."
    )
    initiator: str = option(
        text,
        default="",
        doc="Of iscsi: the name of the machine for the target; a template. Left out: iPXE's own.",
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


_ANSWER = ("answer", "secret", "secret-plain", "secret-once", "secret-life")
_INSTALLERS = ("kernel", "arguments", "arguments-add", "nbp", "media", "files", *_ANSWER)
_LINUX = (
    *("loader", "kernel", "initrds", "arguments", "arguments-add", "family"),
    *WISHES,
    *_ANSWER,
)
#: Which options fit which kind; those named by none fit all.
_FITTING = {
    ProfileKind.LINUX: _LINUX,
    ProfileKind.WINDOWS: (*_INSTALLERS, "initrds", "wim", "share"),
    ProfileKind.ESXI: _INSTALLERS,
    ProfileKind.LOCAL: (),
    ProfileKind.SCRIPT: ("loader", "ipxe", "grub", "pxelinux"),
    ProfileKind.NBP: ("nbp",),
    ProfileKind.IMAGE: ("loader", "image", "memdisk", "kernel", "arguments", "arguments-add"),
    ProfileKind.ISCSI: (
        *("server", "target", "target-port", "lun", "initiator"),
        *("kernel", "initrds", "arguments", "arguments-add"),
        *("answer", "secret-plain", "secret-once", "secret-life"),
    ),
    ProfileKind.RASPBERRY_PI: ("folder", "arguments", "arguments-add", "family", *WISHES),
    ProfileKind.MENU: ("loader", "entries", "default", "timeout"),
    ProfileKind.SILENCE: (),
}


#: Options whose values are filled in for each machine.
_TEMPLATES = ("arguments", "arguments-add", "answer", "server", "target", "initiator", *WISHES)
_SYNTAX = jinja2.Environment(autoescape=False)  # nothing is rendered


def read_profiles(
    sections: Iterable[Section], errors: list[ConfigError]
) -> dict[str, BootProfile]:
    """Make the profiles of all their sections, in their order; the menus come last."""
    sections = list(sections)
    for section in sections:
        errors += _template_mistakes(section)
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
        if settings and _fits(settings, section, section.name in bases, errors):
            found[section.name] = (heir, settings)
    return found


def _fits(
    found: ProfileSettings, section: Section, is_base: bool, errors: list[ConfigError]
) -> bool:
    """Check that each option belongs to the kind, and that the kind has what it needs; a base
    may leave that to those who extend it.
    """
    before = len(errors)
    kind = ProfileKind(found.kind)
    for name in section.options:
        plain = name.partition(".")[0]
        owners = [owner.value for owner, options in _FITTING.items() if plain in options]
        if owners and kind.value not in owners:
            word = "only a profile of kind " + " or ".join(owners) + " has one"
            errors.append(section.error(word, name))
        elif plain in BY_ANSWER and found.answer:
            continue
        elif plain in WISHES and plain not in FAMILIES[found.family]:
            errors.append(section.error(unknown_wish(found.family, plain), name))
    given = {name.partition(".")[0] for name, each in section.options.items() if each.text}
    needed = NEEDED.get(kind, ())
    starting = ("", "ipxe", "pxelinux") if found.memdisk else ("", "ipxe")
    if kind is ProfileKind.IMAGE and found.loader not in starting:
        errors.append(section.error(f"{found.loader} starts no images", "loader"))
    if kind is ProfileKind.IMAGE and not found.memdisk:
        for name in section.options:
            if name.partition(".")[0] in ("kernel", "arguments", "arguments-add"):
                errors.append(section.error("only memdisk = yes needs it", name))
    errors += _nfs_mistakes(found, section, is_base)
    if kind is ProfileKind.ISCSI:
        errors += disk_mistakes(section)
    if kind is ProfileKind.ISCSI and "server" not in given and not is_base:
        errors.append(section.error("a profile of kind iscsi needs a server"))
    if needed and not given.intersection(needed) and not is_base:
        errors.append(section.error(f"a profile of kind {kind.value} needs {' or '.join(needed)}"))
    return len(errors) == before


def _template_mistakes(section: Section) -> Iterator[ConfigError]:
    """Yield the values that no machine could be given, for they are no templates."""
    for name, each in section.options.items():
        if name.partition(".")[0] not in _TEMPLATES or "{" not in each.text:
            continue
        try:
            _SYNTAX.parse(each.text)
        except jinja2.TemplateSyntaxError as error:
            yield section.error(f"a template that is wrong: {error.message}", name)


def _nfs_mistakes(
    found: ProfileSettings, section: Section, is_base: bool
) -> Iterator[ConfigError]:
    """Yield what hinders files from being loaded by NFS."""
    for plain, values in (("kernel", found.kernel), ("initrds", found.initrds)):
        for architecture, value in values.items():
            files = value.split()
            name = f"{plain}.{architecture}" if architecture else plain
            with suppress(ValueError):  # of a root that cannot be read, which is said elsewhere
                root = own_root(found.root)
                mistake = rootless(files, root)
                if mistake and not (is_base and not found.root):
                    yield section.error(mistake, name)
            if found.loader not in ("", "ipxe") and any(map(by_nfs, files)):
                word = f"{found.loader} loads nothing by NFS, only iPXE does"
                yield section.error(word, "loader")


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
