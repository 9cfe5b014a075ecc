"""What the names mean that firmware and loaders ask for by themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pxetwist.boot.loaders import Loaders
from pxetwist.model.boot import BootRequest
from pxetwist.model.boots import RaspberryPi
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.installers import Windows

#: The folder that a Raspberry Pi asks in: its serial number (the low 32 bits of it), or its MAC.
_SERIAL = re.compile(r"[0-9a-f]{8}", re.IGNORECASE)
_MAC = re.compile(r"(?:[0-9a-f]{2}-){5}[0-9a-f]{2}", re.IGNORECASE)
#: What shim starts, and its key manager; the name tells the architecture.
_OF_SHIM = re.compile(r"(?:grub|mm)(x64|aa64|ia32|riscv64)\.efi", re.IGNORECASE)
_SUFFIXES = {"x64": "x64", "arm64": "aa64", "ia32": "ia32", "riscv64": "riscv64"}


def meant(path: ContentPath, request: BootRequest, loaders: Loaders) -> Sequence[ContentPath]:
    """Return the content paths that a name may mean, the likeliest first."""
    names = _meant(path, request, loaders)
    if path.name.endswith(".0"):
        # The PXE layer of some ROMs appends the number of the menu item (quirk T13).
        names = (*names, *(ContentPath((*n.parts[:-1], n.name[:-2])) for n in names))
    return names


def _meant(path: ContentPath, request: BootRequest, loaders: Loaders) -> tuple[ContentPath, ...]:
    match request.plan.boot if request.plan else None:
        case Windows(media=media) if media and "://" not in media:
            # Its boot managers ask for ``\\Boot\\BCD``, as if their medium were all that there is.
            return _within(ContentPath.parse(media), path, path)
        case RaspberryPi(folder=folder):
            return _within(ContentPath.parse(folder), path, _for_board(path, request.identity))
    return _for_shim(path, request.identity, loaders)


def _within(
    folder: ContentPath, asked: ContentPath, below: ContentPath
) -> tuple[ContentPath, ...]:
    """Look in a folder first, unless it is asked by its name."""
    root = folder.parts
    if [part.lower() for part in asked.parts[: len(root)]] == [part.lower() for part in root]:
        return (asked,)
    return (ContentPath((*root, *below.parts)), asked)


def _for_board(path: ContentPath, identity: ClientIdentity) -> ContentPath:
    """Take away the board's own folder; that of another board stays."""
    first, *rest = path.parts
    mine = _SERIAL.fullmatch(first) is not None
    if _MAC.fullmatch(first):
        mine = first.lower().replace("-", ":") == identity.mac
    return ContentPath(tuple(rest)) if rest and mine else path


def _for_shim(
    path: ContentPath, identity: ClientIdentity, loaders: Loaders
) -> tuple[ContentPath, ...]:
    """shim looks for its second stage beside wherever it came from; it may be that only the
    loaders' folder has one. Some boards hand it garbage for a name (quirks B1, B3).
    """
    named = _OF_SHIM.fullmatch(path.name)
    if named is not None:
        suffix, name = named[1].lower(), path.name.lower()
    elif identity.firmware is Firmware.UEFI and not _is_plain(path.name):
        suffix = _SUFFIXES.get(identity.architecture.short, "") if identity.architecture else ""
        name = f"grub{suffix}.efi"
    else:
        return (path,)
    architectures = [each for each, word in _SUFFIXES.items() if word == suffix]
    shim = loaders.find(architectures[0], "grub") if architectures else ""
    if not shim or "://" in shim:
        return (path,)
    return (path, ContentPath((*ContentPath.parse(shim).parts[:-1], name)))


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable()
