"""What a loader can start of a plan: a menu shows nothing else."""

from __future__ import annotations

import attrs

from pxetwist.content.text_names import flavour_of
from pxetwist.errors import ContentError
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.boots import (
    Boot,
    Files,
    Image,
    Iscsi,
    LocalDisk,
    Menu,
    Nbp,
    RaspberryPi,
    Script,
)
from pxetwist.model.content import ContentPath
from pxetwist.model.installers import Esxi, Windows
from pxetwist.model.nfs_root import by_nfs


async def startable(plan: BootPlan, flavour: str, request: BootRequest, boot: IBoot) -> BootPlan:
    """Return the plan with a menu of what can be started: an entry is left out if no content
    store has one of its files, or if it has no text for this loader. The local disk is started
    if nothing is left. wimboot is given what is there. Any other plan is returned as it is.
    """
    menu = plan.boot
    if isinstance(menu, Windows):
        return attrs.evolve(plan, boot=await _complete(menu, request, boot))
    if not isinstance(menu, Menu):
        return plan
    entries = []
    for listed in menu.entries:
        entry = listed
        if isinstance(listed.boot, Windows):
            entry = attrs.evolve(listed, boot=await _complete(listed.boot, request, boot))
        there = [await _has(boot, request, file) for file in _files_of(entry.boot)]
        openable = not entry.locked or _asks_passwords(menu, flavour, request)
        if all(there) and not lacks_text(entry.boot, flavour) and openable:
            entries.append(entry)
    if not entries:
        return attrs.evolve(plan, boot=LocalDisk())
    names = [entry.name for entry in entries]
    default = menu.default if menu.default in names else names[0]
    return attrs.evolve(plan, boot=attrs.evolve(menu, entries=tuple(entries), default=default))


async def _complete(windows: Windows, request: BootRequest, boot: IBoot) -> Windows:
    """Leave out files of the medium that no store has: wimboot takes its own out of the WIM."""
    there = [
        (name, file)
        for name, file in windows.files
        if file == windows.wim or await _has(boot, request, file)
    ]
    return attrs.evolve(windows, files=tuple(there))


def _files_of(boot: Boot) -> tuple[str, ...]:
    match boot:
        case Windows():
            return (boot.wimboot, boot.wim)
        case Esxi():
            return (boot.mboot,)
        case Files():
            return (boot.kernel, *boot.initrds)
        case Image():
            return (boot.path, boot.memdisk) if boot.memdisk else (boot.path,)
        case Iscsi():
            return (boot.kernel, *boot.initrds) if boot.kernel else ()
        case Nbp():
            return (boot.path,)
    return ()


def _asks_passwords(menu: Menu, flavour: str, request: BootRequest) -> bool:
    """Only iPXE asks people for a password that we can check, and few of them know HTTPS."""
    return flavour == "ipxe" and (menu.plain or request.endpoints.secure is not None)


def lacks_text(boot: Boot, flavour: str) -> bool:
    """Whether there is no text by which this loader (`ipxe`, `grub`, `pxelinux`) starts it."""
    if isinstance(boot, Script):
        return not getattr(boot, flavour)
    if isinstance(boot, RaspberryPi):
        return True
    if flavour == "ipxe":
        return False
    if isinstance(boot, Image) and boot.memdisk:
        return flavour == "grub"
    if isinstance(boot, Files):
        return boot.by_nfs
    return isinstance(boot, Windows | Esxi | Image | Iscsi)


async def _has(boot: IBoot, request: BootRequest, file: str) -> bool:
    """Whether a content store has a file; URLs are believed, and so are files in
    roots and texts of our own.
    """
    if "://" in file or by_nfs(file):
        return True
    try:
        path = ContentPath.parse(file)
        if not flavour_of(path):
            (await boot.open(path, attrs.evolve(request, wanted=path))).close()
    except (ContentError, ValueError):
        return False
    return True
