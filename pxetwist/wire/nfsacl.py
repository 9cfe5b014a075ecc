"""Lists of access beside NFS 3, a program that no RFC describes (Solaris, nfs_acl.x; Linux,
fs/nfs_common/nfsacl.c). What is written here is a file's mode as a list.

An overlay of Linux asks the file system below it for these lists whenever somebody else than the
owner opens a file, and takes a server that knows none for a refusal.
"""

from __future__ import annotations

import struct

from pxetwist.wire.iana import OpenIntEnum
from pxetwist.wire.nfs3 import NO_ATTRIBUTES, OK, PRESENT, Status
from pxetwist.wire.xdr import uints

PROGRAM, VERSION = 100227, 3
#: What is asked for: the list of a file, and how long it is; the other two are those that files
#: made in a directory would have.
_LIST = 1
_USER, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20


class Procedure(OpenIntEnum):
    """The procedures."""

    NULL = 0
    GETACL = 1
    SETACL = 2


def take_wanted(data: bytes, at: int) -> int:
    """Read what a call asks for, behind its handle.

    :raises WireError: if there is nothing.
    """
    return uints(data, at, 1)[0]


def mode_as_list(fattr: bytes, wanted: int, mode: int, uid: int, gid: int) -> bytes:
    """Write the result for a file: its attributes, its list, and an empty one for new files."""
    user, group, other = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    entries = ((_USER, uid, user), (_GROUP, gid, group), (_MASK, 0, group), (_OTHER, 0, other))
    words = [entry for each in entries for entry in each] if wanted & _LIST else []
    head = OK + PRESENT + fattr + struct.pack("!3I", wanted, len(entries), len(words) // 3)
    return head + struct.pack(f"!{len(words)}I", *words) + bytes(8)


def failure(status: Status) -> bytes:
    """Return the whole result of a call that failed."""
    return struct.pack("!I", status) + NO_ATTRIBUTES
