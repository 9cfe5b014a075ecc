"""File handles: opaque to clients, good for one machine, the same after a restart (RFC 1813 §2.4).

A handle is a version, the export, a mark of the root that the machine was given, the key of the
file, and a signature over all of it and the machine.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import attrs

from pxetwist.model.file_tree import KEY_SIZE

_VERSION = b"\1"
_MARK, _SIGNATURE = 4, 12
_HEAD = len(_VERSION) + 2 * _MARK

#: Signs bytes for a machine: with the same secret, the same 12 bytes.
Sign = Callable[[bytes, str], bytes]


def mark(text: bytes) -> bytes:
    """Return four bytes for an export's name or a root's key."""
    return hashlib.blake2b(text, digest_size=_MARK).digest()


@attrs.frozen
class Place:
    """What a handle says: the mark of an export, that of the root, and the key of a file."""

    export: bytes
    top: bytes
    key: bytes


def seal(place: Place, machine: str, sign: Sign) -> bytes:
    """Make the handle of a file for a machine."""
    body = _VERSION + place.export + place.top + place.key
    return body + sign(body, machine)


def unseal(handle: bytes, machine: str, sign: Sign) -> Place | None:
    """Return what a handle means; `None`: it is none of ours, or was made for somebody else."""
    body = handle[:-_SIGNATURE]
    if not _HEAD < len(body) <= _HEAD + KEY_SIZE or body[:1] != _VERSION:
        return None
    if not hmac.compare_digest(handle[-_SIGNATURE:], sign(body, machine)):
        return None
    return Place(body[1 : 1 + _MARK], body[1 + _MARK : _HEAD], body[_HEAD:])
