"""The names by which loaders ask for texts, and a Raspberry Pi for its command line."""

from __future__ import annotations

import re

from pxetwist.model.content import ContentPath

#: `menu/NAME.ipxe` is one entry of the machine's own menu.
#: `grub.cfg-01-52-54-00-12-34-56` and `pxelinux.cfg/01-52-54-00-12-34-56` name a machine.
_LOCKED = re.compile(r"menu/[^/]+\.ipxe")
NAMED = re.compile(r"(?:grub\.cfg-(?:01-)?|01-)((?:[0-9a-f]{2}[-:]){5}[0-9a-f]{2})", re.IGNORECASE)
#: The file from which a Raspberry Pi takes the command line of its kernel.
COMMAND_LINE = "cmdline.txt"


def flavour_of(path: ContentPath) -> str:
    """Return which loader asks for such a name; empty: it is no generated text."""
    if path.name in ("boot.ipxe", "autoexec.ipxe") or is_locked(path):
        return "ipxe"
    if path.name == "grub.cfg" or (
        path.name.startswith("grub.cfg-") and NAMED.fullmatch(path.name)
    ):
        return "grub"
    if path.folder.endswith("pxelinux.cfg") and (
        path.name == "default" or NAMED.fullmatch(path.name)
    ):
        return "pxelinux"
    return ""


def is_locked(path: ContentPath) -> bool:
    """Whether a path is that of one entry of the machine's menu."""
    return path.parts[0] == "menu" and _LOCKED.fullmatch(str(path)) is not None
