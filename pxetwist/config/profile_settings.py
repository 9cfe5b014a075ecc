"""The options of ``[profile:NAME]``."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import attrs

from pxetwist.config.answers import AnswerOptions
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
from pxetwist.model.content import ContentPath
from pxetwist.model.families import FAMILIES, LOADER_FAMILIES, WISHES, checked
from pxetwist.model.profile import ProfileKind


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
        " in loaders. Of esxi: that of mboot, if it is elsewhere than in the medium. Only iPXE can"
        " start one with a blank in its path.",
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
