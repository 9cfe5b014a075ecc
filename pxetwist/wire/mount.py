"""The mount protocol, versions 1 and 3 (RFC 1094 appendix A, RFC 1813 appendix I)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pxetwist.wire.iana import OpenIntEnum
from pxetwist.wire.oncrpc import AuthFlavor
from pxetwist.wire.xdr import opaque, take_opaque

PROGRAM = 100005
PORT = 20048
_PATH_LIMIT = 1024


class Mount(OpenIntEnum):
    """Procedures; those of both versions have the same numbers."""

    NULL = 0
    MNT = 1
    DUMP = 2
    UMNT = 3
    UMNTALL = 4
    EXPORT = 5


class MountStatus(OpenIntEnum):
    """What became of MNT (RFC 1813 §5.1.5)."""

    OK = 0
    NOENT = 2
    IO = 5
    ACCES = 13
    NOTDIR = 20
    NAMETOOLONG = 63
    SERVERFAULT = 10006


def decode_path(data: bytes, at: int) -> bytes:
    """Read the argument of MNT and UMNT.

    :raises WireError: if it is none.
    """
    return take_opaque(data, at, _PATH_LIMIT)[0]


def encode_mounted(handle: bytes) -> bytes:
    """Write the result of MNT: a handle, and that AUTH_SYS will do."""
    return (
        struct.pack("!I", MountStatus.OK) + opaque(handle) + struct.pack("!II", 1, AuthFlavor.SYS)
    )


def encode_refused(status: MountStatus) -> bytes:
    """Write the result of a MNT that failed."""
    return struct.pack("!I", status)


def encode_mounts(mounts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write the result of DUMP: hosts, and what they have mounted."""
    entries = [b"\0\0\0\1" + opaque(host) + opaque(path) for host, path in mounts]
    return b"".join([*entries, bytes(4)])


def encode_exports(paths: Iterable[bytes]) -> bytes:
    """Write the result of EXPORT: paths, without groups that may mount them."""
    entries = [b"\0\0\0\1" + opaque(path) + bytes(4) for path in paths]
    return b"".join([*entries, bytes(4)])
