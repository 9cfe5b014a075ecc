"""NFS version 3: arguments in, results out (RFC 1813).

Results are made of pieces that are kept written: `fattr3` is 84 bytes, a handle is as XDR has it.
"""

from __future__ import annotations

import struct

import attrs

from pxetwist.wire.iana import OpenIntEnum
from pxetwist.wire.xdr import take, take_opaque, uints

PROGRAM, VERSION, PORT = 100003, 3, 2049
HANDLE_SIZE, NAME_SIZE = 64, 255
#: How many bytes the attributes of a file have.
FATTR_SIZE = 84


class Procedure(OpenIntEnum):
    """The procedures (§3.3)."""

    NULL = 0
    GETATTR = 1
    SETATTR = 2
    LOOKUP = 3
    ACCESS = 4
    READLINK = 5
    READ = 6
    WRITE = 7
    CREATE = 8
    MKDIR = 9
    SYMLINK = 10
    MKNOD = 11
    REMOVE = 12
    RMDIR = 13
    RENAME = 14
    LINK = 15
    READDIR = 16
    READDIRPLUS = 17
    FSSTAT = 18
    FSINFO = 19
    PATHCONF = 20
    COMMIT = 21


class FileType(OpenIntEnum):
    """What a file is (§2.5)."""

    REGULAR = 1
    DIRECTORY = 2
    BLOCK = 3
    CHARACTER = 4
    SYMLINK = 5
    SOCKET = 6
    FIFO = 7


class Status(OpenIntEnum):
    """What became of a call (§2.6)."""

    OK = 0
    PERM = 1
    NOENT = 2
    IO = 5
    ACCES = 13
    NOTDIR = 20
    ISDIR = 21
    INVAL = 22
    ROFS = 30
    NAMETOOLONG = 63
    STALE = 70
    BADHANDLE = 10001
    TOOSMALL = 10005
    SERVERFAULT = 10006
    JUKEBOX = 10008


#: Bytes of zeros behind the status of a failure: no attributes before, none after (§3.3).
FAILURES = {
    Procedure.GETATTR: 0,
    Procedure.LOOKUP: 4,
    Procedure.ACCESS: 4,
    Procedure.READLINK: 4,
    Procedure.READ: 4,
    Procedure.READDIR: 4,
    Procedure.READDIRPLUS: 4,
    Procedure.FSSTAT: 4,
    Procedure.FSINFO: 4,
    Procedure.PATHCONF: 4,
    Procedure.RENAME: 16,
    Procedure.LINK: 12,
}
#: Of all others: weak cache consistency without anything in it.
_WCC = 8

_FATTR = struct.Struct("!5I2Q2I2Q6I")
_READ = struct.Struct("!QI")
_READDIR = struct.Struct("!QQI")
_READDIRPLUS = struct.Struct("!QQII")
_SECOND = 1_000_000_000
_U32 = 0xFFFFFFFF

OK = b"\0\0\0\0"
NO_ATTRIBUTES = b"\0\0\0\0"
#: What stands before attributes that are there (post_op_attr), and before a handle.
PRESENT = b"\0\0\0\1"


def failure(procedure: int, status: Status) -> bytes:
    """Return the whole result of a call that failed."""
    return struct.pack("!I", status) + bytes(FAILURES.get(Procedure(procedure), _WCC))


def fattr3(
    kind: FileType,
    numbers: tuple[int, int, int, int],
    sizes: tuple[int, int],
    ids: tuple[int, int, int, int],
    times: tuple[int, int, int],
) -> bytes:
    """Write the attributes of a file (§2.5): mode, links, uid, gid; size and used bytes; major and
    minor number of a device, fsid and fileid; nanoseconds of access, change of content and of
    status. What does not fit is cut to the largest number.
    """
    mode, links, uid, gid = numbers
    return _FATTR.pack(
        kind,
        mode & 0o7777,
        min(links, _U32),
        min(uid, _U32),
        min(gid, _U32),
        *sizes,
        *ids,
        *_time(times[0]),
        *_time(times[1]),
        *_time(times[2]),
    )


def _time(nanoseconds: int) -> tuple[int, int]:
    seconds, rest = divmod(nanoseconds, _SECOND)
    return max(0, min(seconds, _U32)), rest


# Arguments


def take_handle(data: bytes, at: int) -> tuple[bytes, int]:
    """Read the handle with which most arguments begin.

    :raises WireError: if there is none.
    """
    return take_opaque(data, at, HANDLE_SIZE)


@attrs.frozen
class Page:
    """What READDIR and READDIRPLUS ask for: entries behind a cookie, so many bytes of names with
    their numbers and cookies (`names`), and so many of the whole result.
    """

    cookie: int
    names: int
    whole: int


def take_name(data: bytes, at: int) -> bytes:
    """Read the name behind a directory's handle, however long.

    :raises WireError: if there is none.
    """
    return take_opaque(data, at)[0]


def take_access(data: bytes, at: int) -> int:
    """Read which rights ACCESS asks for.

    :raises WireError: if it does not say.
    """
    return uints(data, at, 1)[0]


def take_read(data: bytes, at: int) -> tuple[int, int]:
    """Read offset and count of READ.

    :raises WireError: if they are not there.
    """
    offset, count = take(_READ, data, at)
    return offset, count


def take_page(procedure: int, data: bytes, at: int) -> Page:
    """Read what a reading of a directory asks for.

    :raises WireError: if it does not say.
    """
    if procedure == Procedure.READDIR:
        cookie, _, whole = take(_READDIR, data, at)
        return Page(cookie, whole, whole)
    cookie, _, names, whole = take(_READDIRPLUS, data, at)
    return Page(cookie, names, whole)


# Results

_FSINFO = struct.Struct("!7IQ3I")
#: Symbolic links, one kind of file system, times that can be said exactly (§3.3.19).
_PROPERTIES = 0x2 | 0x8
_LARGEST_FILE = (1 << 63) - 1


def fsinfo(fattr: bytes, read: int, write: int, directory: int) -> bytes:
    """Write the result of FSINFO: the largest READ, WRITE and good READDIR, in bytes."""
    sizes = _FSINFO.pack(
        *(read, read, 4096), *(write, write, 4096), directory, _LARGEST_FILE, 0, 1, _PROPERTIES
    )
    return OK + PRESENT + fattr + sizes


def pathconf(fattr: bytes) -> bytes:
    """Write the result of PATHCONF: names are not cut, and keep their case."""
    return OK + PRESENT + fattr + struct.pack("!6I", 32000, NAME_SIZE, 1, 1, 0, 1)


def fsstat(fattr: bytes) -> bytes:
    """Write the result of FSSTAT: nothing is free, and how much there is nobody needs to know."""
    return OK + PRESENT + fattr + bytes(52)


def commit() -> bytes:
    """Write the result of COMMIT: nothing was written, all of it is safe."""
    return OK + bytes(_WCC + 8)


def entry(fileid: int, name: bytes, cookie: int) -> bytes:
    """Write an entry of READDIR, with the word that there is one."""
    padded = name + bytes(-len(name) % 4)
    return struct.pack("!IQI", 1, fileid, len(name)) + padded + struct.pack("!Q", cookie)
