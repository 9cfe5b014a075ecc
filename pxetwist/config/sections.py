"""The sections ``[pxe]`` and ``[loader:NAME]``."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import attrs

from pxetwist.boot.loaders import FAMILIES, Loader
from pxetwist.config.bind import bind, options_of
from pxetwist.config.fields import (
    Converter,
    address,
    boolean,
    choice,
    expects,
    integer,
    list_of,
    mac,
    option,
    path,
    text,
)
from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError
from pxetwist.model.content import ContentPath
from pxetwist.wire.iana import ARCHITECTURE_NAMES

_macs = Converter(expects(list_of(mac)), lambda value: frozenset(list_of(mac)(value)))


@attrs.frozen
class MountSettings:
    """Of every ``[content:NAME]``, whatever its plugin."""

    prefix: ContentPath | None = option(
        Converter("a path like debian12", ContentPath.parse),
        default=None,
        doc="Its paths begin below this folder, which need not exist anywhere.",
    )


def plugin_options(kind: str, settings: type) -> dict[str, attrs.Attribute[Any]]:
    """Return what stands in the section of a plugin: its own options, and those of its kind."""
    shared = options_of(MountSettings) if kind == "content" else {}
    return {**options_of(settings), **shared}


@attrs.frozen
class PxeSettings:
    """``[pxe]``: what the server is made of."""

    services: tuple[str, ...] = option(
        list_of(text), doc="What listens; started in this order, stopped in reverse."
    )
    hosts: tuple[str, ...] = option(
        list_of(text), default=(), doc="Directories that know machines, asked in this order."
    )
    boot_address: IPv4Address | None = option(
        address,
        default=None,
        doc="Where machines load from, if that is not our address on their network: a virtual one,"
        " or that in front of a network address translation.",
    )
    merge_hosts: bool = option(
        boolean,
        default=False,
        doc="Ask all directories: later ones add labels, groups, UUID and address to the first.",
    )
    shared_macs: frozenset[str] = option(
        _macs,
        default=frozenset(),
        doc="MAC addresses of docks and adapters: they tell no directory who the machine is.",
    )
    policies: tuple[str, ...] = option(
        list_of(text), default=(), doc="Policies that decide what boots, asked in this order."
    )
    state: str = option(text, default="sqlite", doc="Where leases are kept.")
    content: tuple[str, ...] = option(
        list_of(text), default=(), doc="Stores of files, asked in this order."
    )
    observers: tuple[str, ...] = option(
        list_of(text), default=("log",), doc="Who is told of everything that happens."
    )
    state_folder: Path | None = option(
        path, default=None, doc="Where the server may write; var beside the INI if not given."
    )
    site_plugins: Path | None = option(
        path, default=None, doc="A folder of plugins of your own, one .py file each."
    )
    workers: int = option(
        integer(0, 64),
        default=0,
        doc="So many processes serve contents, for machines with more than two cores; 0: the"
        " one that answers DHCP does.",
    )
    include: tuple[str, ...] = option(
        list_of(text), default=(), doc="Further INI files, like conf.d/*.ini."
    )

    def __attrs_post_init__(self) -> None:
        """Check that there is something to serve."""
        if not self.services:
            raise ValueError("services is empty: nothing would listen")


@attrs.frozen
class LoaderSettings:
    """``[loader:NAME]``: a network boot program of your own, in the place of the built-in one. Of
    several the first is given, and the next one to a machine that did not start with it.
    """

    architecture: str = option(choice(*ARCHITECTURE_NAMES), doc="The machines it runs on.")
    family: str = option(choice(*FAMILIES), doc="Which scripts it understands.")
    file: str = option(text, doc="Its content path.")


def read_loader(section: Section, errors: list[ConfigError]) -> Loader | None:
    """Make the loader of a section."""
    found = bind(LoaderSettings, section, errors)
    return Loader(found.architecture, found.family, found.file, section.name) if found else None
