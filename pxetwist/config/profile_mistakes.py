"""What is wrong with a ``[profile:NAME]`` whose options each look right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import jinja2

from pxetwist.config.disks import disk_mistakes
from pxetwist.config.ini import Section
from pxetwist.config.profile_settings import ProfileSettings
from pxetwist.errors import ConfigError
from pxetwist.model.families import BY_ANSWER, FAMILIES, WISHES, unknown_wish
from pxetwist.model.nfs_root import by_nfs, own_root, rootless
from pxetwist.model.profile import NEEDED, ProfileKind

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


def fits(
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


def template_mistakes(section: Section) -> Iterator[ConfigError]:
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
