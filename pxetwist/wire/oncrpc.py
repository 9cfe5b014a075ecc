"""ONC RPC version 2: calls, the heads of replies, record marks (RFC 5531)."""

from __future__ import annotations

import struct
from functools import lru_cache

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.iana import OpenIntEnum
from pxetwist.wire.xdr import take, take_opaque, uints

#: The version of RPC itself (§9).
RPC_VERSION = 2
#: The first bit of a record mark: this fragment is the last one of its record (§11).
LAST_FRAGMENT = 0x80000000
#: The head of a reply that was accepted, without a verifier.
ACCEPTED_SIZE = 24
_CALL, _REPLY, _ACCEPTED, _DENIED = 0, 1, 0, 1
_AUTH_LIMIT = 400  # §8.2
_NAME_LIMIT, _GROUPS_LIMIT = 255, 16  # appendix A
_HEAD = struct.Struct("!8I")
_REPLY_HEAD = struct.Struct("!6I")


class AuthFlavor(OpenIntEnum):
    """Who vouches for the caller (§8.1)."""

    NONE = 0
    SYS = 1
    GSS = 6


class AcceptStatus(OpenIntEnum):
    """What became of an accepted call (§9)."""

    SUCCESS = 0
    PROG_UNAVAIL = 1
    PROG_MISMATCH = 2
    PROC_UNAVAIL = 3
    GARBAGE_ARGS = 4
    SYSTEM_ERR = 5


class AuthStatus(OpenIntEnum):
    """Why a caller was not believed (§9)."""

    BAD_CREDENTIALS = 1
    TOO_WEAK = 5


@attrs.frozen
class Caller:
    """What AUTH_SYS says of who calls (appendix A); without it nobody (65534)."""

    machine: bytes = b""
    uid: int = 65534
    gids: frozenset[int] = frozenset()


@attrs.define(eq=False)
class Call:
    """One call; its arguments begin at `at` in `data`, its message."""

    xid: int
    rpc_version: int
    program: int
    version: int
    procedure: int
    flavor: int
    credentials: bytes
    data: bytes
    at: int

    @property
    def caller(self) -> Caller:
        """Who calls, as far as it says.

        :raises WireError: if it says that wrongly.
        """
        return _caller(self.credentials) if self.flavor == AuthFlavor.SYS else Caller()


def decode_call(data: bytes) -> Call:
    """Read a message that is a call.

    :raises WireError: if it is none.
    """
    xid, kind, rpc_version, program, version, procedure, flavor, size = take(_HEAD, data, 0)
    if kind != _CALL:
        raise WireError("no call", 4)
    if rpc_version != RPC_VERSION:
        return Call(xid, rpc_version, program, version, procedure, flavor, b"", data, len(data))
    if size > _AUTH_LIMIT:
        raise WireError("credentials too long", 28)
    at = 32 + size
    credentials = data[32:at]
    _, at = take_opaque(data, at + (-size % 4) + 4, _AUTH_LIMIT)
    return Call(xid, rpc_version, program, version, procedure, flavor, credentials, data, at)


@lru_cache(maxsize=1024)
def _caller(body: bytes) -> Caller:
    machine, at = take_opaque(body, 4, _NAME_LIMIT)
    uid, gid, count = uints(body, at, 3)
    if count > _GROUPS_LIMIT:
        raise WireError("too many groups", at + 8)
    return Caller(machine, uid, frozenset((gid, *uints(body, at + 12, count))))


def reply_head(xid: int, status: AcceptStatus = AcceptStatus.SUCCESS) -> bytes:
    """Return what comes before the result of an accepted call."""
    return _REPLY_HEAD.pack(xid, _REPLY, _ACCEPTED, AuthFlavor.NONE, 0, status)


def program_mismatch(xid: int, low: int, high: int) -> bytes:
    """Say which versions of a program there are."""
    return reply_head(xid, AcceptStatus.PROG_MISMATCH) + struct.pack("!II", low, high)


def rpc_mismatch(xid: int) -> bytes:
    """Say which version of RPC there is."""
    return struct.pack("!6I", xid, _REPLY, _DENIED, 0, RPC_VERSION, RPC_VERSION)


def auth_error(xid: int, status: AuthStatus) -> bytes:
    """Say that a caller is not believed."""
    return struct.pack("!5I", xid, _REPLY, _DENIED, 1, status)


def record_mark(size: int) -> bytes:
    """Return what comes before a record of one fragment."""
    return (LAST_FRAGMENT | size).to_bytes(4, "big")
