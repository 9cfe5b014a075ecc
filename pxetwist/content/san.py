"""Disks of iSCSI targets, in the words of loaders and of DHCP (RFC 4173)."""

from __future__ import annotations

import re
from collections.abc import Callable

from pxetwist.errors import PolicyError
from pxetwist.model.boots import Iscsi, SanDisk

#: Fills in a text of a profile for the machine that asks.
Fill = Callable[[str], str]


def word(fill: Fill, text: str) -> str:
    """Fill in a name of iSCSI, which nothing in a script may go beyond.

    :raises PolicyError: if that makes something else.
    """
    filled = fill(text).strip()
    if not re.fullmatch(r"[\w.:\[\]-]+", filled):
        raise PolicyError(f"{text!r} makes {filled!r}, which is no name for iSCSI")
    return filled


def uri(fill: Fill, boot: Iscsi) -> str:
    """Return the root path of a disk."""
    server = word(fill, boot.server)
    host = f"[{server}]" if server.count(":") > 1 else server
    return f"iscsi:{host}::{boot.port}:{boot.lun:x}:{word(fill, boot.target)}"


def disk(fill: Fill, boot: Iscsi) -> SanDisk:
    """Return where a disk is, and as whom it is asked for."""
    return SanDisk(uri(fill, boot), word(fill, boot.initiator) if boot.initiator else "")
