"""The other side of NFS: what clients write and read, for tests and benchmarks."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import attrs

from pxetwist.wire.nfs3 import FATTR_SIZE, PRESENT, Procedure
from pxetwist.wire.oncrpc import ACCEPTED_SIZE, RPC_VERSION, AuthFlavor, record_mark
from pxetwist.wire.xdr import opaque, take_opaque, uints


def auth_sys(
    machine: bytes = b"client",
    uid: int = 0,
    gid: int = 0,
    gids: tuple[int, ...] = (),
    stamp: int = 0,
) -> bytes:
    """Write the credentials of AUTH_SYS."""
    numbers = struct.pack(f"!{3 + len(gids)}I", uid, gid, len(gids), *gids)
    return struct.pack("!I", stamp) + opaque(machine) + numbers


def rpc_call(
    program: int,
    version: int,
    procedure: int,
    arguments: bytes = b"",
    *,
    xid: int = 1,
    credentials: bytes | None = None,
) -> bytes:
    """Write a call; without credentials it is of nobody (AUTH_NONE)."""
    flavor = AuthFlavor.NONE if credentials is None else AuthFlavor.SYS
    head = struct.pack("!6I", xid, 0, RPC_VERSION, program, version, procedure)
    return head + struct.pack("!I", flavor) + opaque(credentials or b"") + bytes(8) + arguments


def as_record(message: bytes) -> bytes:
    """Write a message as TCP has it."""
    return record_mark(len(message)) + message


def records(stream: bytes) -> Iterator[bytes]:
    """Yield the messages of a stream, each of one fragment."""
    at = 0
    while at < len(stream):
        size = uints(stream, at, 1)[0] & 0x7FFFFFFF
        yield stream[at + 4 : at + 4 + size]
        at += 4 + size


def result_of(reply: bytes) -> bytes:
    """Return the result in a reply to a call that was accepted and went well."""
    head, result = reply[:ACCEPTED_SIZE], reply[ACCEPTED_SIZE:]
    if uints(head, 4, 5) != (1, 0, 0, 0, 0):
        raise AssertionError(f"the call failed: {head.hex()}")
    return result


@attrs.frozen
class Found:
    """An entry of a directory; attributes and handle are there if READDIRPLUS was asked for."""

    fileid: int
    name: bytes
    cookie: int
    fattr: bytes = b""
    handle: bytes = b""


def entries_of(result: bytes, *, plus: bool) -> tuple[list[Found], bool]:
    """Read the result of a reading of a directory; return entries, and whether that was all."""
    at = 4 + 4 + FATTR_SIZE + 8
    found = []
    while uints(result, at, 1)[0]:
        fileid = int.from_bytes(result[at + 4 : at + 12], "big")
        name, at = take_opaque(result, at + 12)
        cookie = int.from_bytes(result[at : at + 8], "big")
        at += 8
        fattr = handle = b""
        if plus:
            fattr = result[at + 4 : at + 4 + FATTR_SIZE]
            handle, at = take_opaque(result, at + 4 + FATTR_SIZE + 4)
        found.append(Found(fileid, name, cookie, fattr, handle))
    return found, bool(uints(result, at + 4, 1)[0])


@attrs.frozen
class NfsCaller:
    """Calls NFS by some way: `call` takes program, version, procedure and arguments, and returns
    the result.
    """

    call: Callable[[int, int, int, bytes], bytes]

    def nfs(self, procedure: Procedure, handle: bytes, more: bytes = b"") -> tuple[int, bytes]:
        """Call NFS 3 with a handle; return status and what comes after that."""
        result = self.call(100003, 3, procedure, opaque(handle) + more)
        return uints(result, 0, 1)[0], result[4:]

    def mount(self, path: bytes) -> tuple[int, bytes]:
        """Mount a path; return status and handle."""
        result = self.call(100005, 3, 1, opaque(path))
        status = uints(result, 0, 1)[0]
        return status, b"" if status else take_opaque(result, 4)[0]

    def look_up(self, directory: bytes, name: bytes) -> tuple[int, bytes]:
        """Look a name up; return status and handle."""
        status, rest = self.nfs(Procedure.LOOKUP, directory, opaque(name))
        return status, b"" if status else take_opaque(rest, 0)[0]

    def read(self, handle: bytes, offset: int, count: int) -> tuple[int, bytes, bool]:
        """Read; return status, bytes, and whether they are the last ones."""
        status, rest = self.nfs(Procedure.READ, handle, struct.pack("!QI", offset, count))
        if status:
            return status, b"", False
        at = len(PRESENT) + FATTR_SIZE
        _, end = uints(rest, at, 2)
        return status, take_opaque(rest, at + 8)[0], bool(end)

    def entries(
        self, directory: bytes, cookie: int = 0, size: int = 4096, *, plus: bool = False
    ) -> tuple[list[Found], bool]:
        """Read a directory once from a cookie on; return entries and whether that was all."""
        more = struct.pack("!QQ", cookie, 0) + struct.pack("!I", size) * (2 if plus else 1)
        procedure = Procedure.READDIRPLUS if plus else Procedure.READDIR
        result = self.call(100003, 3, procedure, opaque(directory) + more)
        if uints(result, 0, 1)[0]:
            raise AssertionError(f"{procedure.name}: status {uints(result, 0, 1)[0]}")
        return entries_of(result, plus=plus)
