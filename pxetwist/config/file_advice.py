"""Files and folders that an INI names and that are not there, or not what they should be."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pxetwist.boot.loaders import BUILT_IN, FAMILIES
from pxetwist.config.bind import did_you_mean
from pxetwist.config.folders import content_folders, files_in_content
from pxetwist.config.load import Configuration
from pxetwist.errors import ConfigErrors
from pxetwist.exports.iso_volume import image_gap
from pxetwist.exports.machine_folders import FOLDERS
from pxetwist.hosts.hostfile import read
from pxetwist.hosts.sql_sessions import SqliteFile
from pxetwist.model.content import ContentPath
from pxetwist.model.nfs_root import by_nfs, own_root
from pxetwist.model.profile import ARGUMENTED, INSTALLERS, BootProfile, ProfileKind

_NEED_LOADER = (*ARGUMENTED, ProfileKind.IMAGE, ProfileKind.MENU, ProfileKind.LOCAL)
#: A line of authorized_keys without options (sshd(8)).
_PUBLIC_KEY = re.compile(rb"^(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]{40}", re.MULTILINE)
_ROOM = 1 << 20  # a start with less (bytes) may not even make its databases


def loaders_missing(configuration: Configuration) -> Iterator[str]:
    """Whatever firmware cannot start by itself needs a boot loader."""
    has = files_in_content(configuration)
    families = {
        profile.loader or FAMILIES[0]
        for profile in configuration.profiles.values()
        if profile.kind in _NEED_LOADER
    }
    table = (*configuration.loaders, *BUILT_IN)
    for family in sorted(families):
        if not any(has(loader.file) for loader in table if loader.family == family):
            install = f"pxetwist loaders {configuration.file} --install"
            yield f"no content folder has the boot loader {family}; run: {install}"


def content_missing(configuration: Configuration) -> Iterator[str]:
    """Files that profiles and loaders name, and no folder has; menus leave such entries out."""
    has = files_in_content(configuration)
    profiles = configuration.profiles
    entries = {entry.name for menu in profiles.values() for entry in menu.entries}
    for name, profile in profiles.items():
        files = [file for each in _files_by_architecture(profile) for file in each]
        for file in dict.fromkeys(files) if name not in entries else ():
            if not has(file):
                yield f"profile {name!r} names {file}, which no content folder has"
    for loader in configuration.loaders:
        if not has(loader.file):
            who = f"the {loader.family} loader for {loader.architecture}"
            yield f"{who} names {loader.file}, which no content folder has"


def content_unreadable(configuration: Configuration) -> Iterator[str]:
    """Files that profiles and loaders name, which are there and yet not served."""
    folders = content_folders(configuration)
    profiles = configuration.profiles.values()
    named = [file for p in profiles for files in _files_by_architecture(p) for file in files]
    named += [loader.file for loader in (*configuration.loaders, *BUILT_IN)]
    for file in dict.fromkeys(file for file in named if "://" not in file and not by_nfs(file)):
        with suppress(ValueError):
            path = ContentPath.parse(file)
            holder = next((folder for folder in folders if folder.has(path)), None)
            if holder and (why := holder.hindrance(path)):
                yield f"{file} is in {holder.directory.root}, and is not served: {why}"


def menus_shortened(configuration: Configuration) -> Iterator[str]:
    """Entries that a menu leaves out on every machine."""
    has = files_in_content(configuration)
    for name, menu in configuration.profiles.items():
        wanted = {entry.name: list(_files_by_architecture(entry)) for entry in menu.entries}
        left_out = [
            f"{entry} ({next(file for file in choices[0] if not has(file))})"
            for entry, choices in wanted.items()
            if choices and not any(all(map(has, files)) for files in choices)
        ]
        if left_out:
            yield f"menu {name!r} leaves out {', '.join(left_out)}: no folder has their files"
        over_nfs = [entry.name for entry in menu.entries if entry.by_nfs]
        if over_nfs and menu.loader not in ("", "ipxe"):
            why = f"{menu.loader} loads nothing by NFS, only iPXE does"
            yield f"menu {name!r} leaves out {', '.join(over_nfs)}: {why}"


def hosts_left_out(configuration: Configuration) -> Iterator[str]:
    """What files of other servers say that is not taken over; mistakes are found elsewhere."""
    for instance in configuration.of_kind("hosts"):
        if instance.factory.name == "static":
            with suppress(ConfigErrors):
                settings = instance.settings
                yield from read(settings.file, instance.name, settings.format).warnings


def databases_missing(configuration: Configuration) -> Iterator[str]:
    """Files of SQLite that are not there; the server waits for them."""
    for instance in configuration.of_kind("hosts"):
        database = instance.settings.database if instance.factory.name == "sql" else None
        if isinstance(database, SqliteFile) and (gap := database.gap()):
            yield f"[{instance.title}] database: {gap}"


def exports_missing(configuration: Configuration) -> Iterator[str]:
    """Roots that are not there, or not what they are said to be; machines wait for them."""
    paths: dict[str, Path] = {}
    for instance in configuration.of_kind("export"):
        if instance.factory.name == "directory":
            paths[instance.name] = path = instance.settings.path
            if not path.is_dir():
                yield f"[{instance.title}] path: there is no folder {path}"
        if instance.factory.name == "machines":
            inside = sorted(each.name for each in instance.settings.path.glob("*"))
            for name in inside:
                if name not in FOLDERS:
                    hint = did_you_mean(name, FOLDERS)
                    yield f"[{instance.title}] path: no machine sees {name!r} in it{hint}"
        if instance.factory.name == "iso" and (gap := image_gap(instance.settings.path)):
            yield f"[{instance.title}] path: {gap}"
    for profile in configuration.profiles.values():
        root = own_root(profile.wishes.get("root", ""))
        path = paths.get(root.export) if root else None
        if root and root.path and path and path.is_dir() and not (path / root.path).is_dir():
            yield f"[profile:{profile.name}] root: {path} has no folder {root.path}"


def keys_missing(configuration: Configuration) -> Iterator[str]:
    """Files of operators in which there is no key, so far."""
    for instance in configuration.of_kind("service"):
        keys = instance.settings.keys if instance.factory.name == "sftp" else {}
        for name, file in keys.items():
            with suppress(OSError):
                if not _PUBLIC_KEY.search(file.read_bytes()):
                    why = f"{file} has no public key: nobody can log in by it"
                    yield f"[{instance.title}] keys.{name}: {why}"


def state_unwritable(configuration: Configuration) -> Iterator[str]:
    """Where leases, orders and keys are to be kept, but cannot be. The server makes the folder."""
    folder = configuration.state_folder
    present = next(each for each in (folder, *folder.parents) if os.path.exists(each))
    room = os.statvfs(present)
    if room.f_bavail * room.f_frsize < _ROOM:
        yield f"the disk of the state folder {folder} is full: no lease and no order can be stored"
    elif not os.access(present, os.W_OK | os.X_OK):
        readonly = "; its file system is read-only" if room.f_flag & os.ST_RDONLY else ""
        yield f"the user {_user()} may not write to the state folder {folder}{readonly}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _files_by_architecture(profile: BootProfile) -> Iterator[list[str]]:
    """Yield the files that each architecture needs which the profile is for."""
    if profile.kind in INSTALLERS:
        return  # see installers_incomplete
    if profile.folder:
        yield [f"{profile.folder}/config.txt"]
    for main in (profile.kernel, profile.nbp, profile.image):
        for architecture, file in main.items():
            initrds = profile.initrds.get(architecture, profile.initrds.get("", ""))
            yield [file, *initrds.split()]
