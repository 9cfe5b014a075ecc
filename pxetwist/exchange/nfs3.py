"""The procedures of NFS version 3, for files that nobody may change (RFC 1813 §3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from pxetwist.exchange.nfs_nodes import ASKING_DIRECTORY, ASKING_FILE, NfsError, Node, Nodes, View
from pxetwist.exchange.oncrpc import Body
from pxetwist.model.file_tree import FileAttributes, FileKind
from pxetwist.wire import nfs3, nfsacl
from pxetwist.wire.nfs3 import OK, PRESENT, Page, Procedure, Status
from pxetwist.wire.oncrpc import Call, Caller
from pxetwist.wire.xdr import opaque

#: The largest READ over a stream, and in one datagram.
STREAM_READ, DATAGRAM_READ = 1 << 20, 32 << 10
_WRITE, _DIRECTORY = 64 << 10, 64 << 10
#: Rights that can be asked for (§3.3.4); the others are those of writing.
_READ, _LOOK_UP, _EXECUTE = 1, 2, 0x20
#: Bytes of a result that is not its entries: attributes, verifier, the two words at the end.
_AROUND = 4 + 88 + 8 + 8
_SELF, _ABOVE = 1, 2  # cookies of . and ..


class Reads(Protocol):
    """Reads from an open file of a node."""

    def __call__(self, node: Node, offset: int, count: int) -> bytes | memoryview:
        """Return `count` bytes from `offset`; fewer only at the end."""


@attrs.define(eq=False)
class Session:
    """A machine that calls: `key` is its name in handles, `view_of` gives the view of the marks
    of an export and a root, `largest_read` is what one answer to it may carry.
    """

    key: str
    view_of: Callable[[bytes, bytes], View]
    largest_read: int = STREAM_READ


class Nfs3:
    """Answers calls of machines."""

    def __init__(self, nodes: Nodes, read: Reads) -> None:
        self.nodes = nodes
        self._read = read
        self._procedures: dict[int, Callable[[Session, Node, Call, int, float], Body]] = {
            Procedure.GETATTR: self._getattr,
            Procedure.LOOKUP: self._lookup,
            Procedure.ACCESS: self._access,
            Procedure.READLINK: self._readlink,
            Procedure.READ: self._read_file,
            Procedure.READDIR: self._readdir,
            Procedure.READDIRPLUS: self._readdir,
            Procedure.FSSTAT: self._fsstat,
            Procedure.FSINFO: self._fsinfo,
            Procedure.PATHCONF: self._pathconf,
            Procedure.COMMIT: self._commit,
        }

    def answer(self, session: Session, call: Call, now: float) -> Body:
        """Return the result of a call, also if it failed.

        :raises WireError: if its arguments are no such ones.
        """
        procedure = self._procedures.get(call.procedure)
        if procedure is None:  # whatever would change something
            return nfs3.failure(call.procedure, Status.ROFS)
        handle, at = nfs3.take_handle(call.data, call.at)
        try:
            node = self.nodes.find(handle, session.key, session.view_of, now)
            return procedure(session, node, call, at, now)
        except NfsError as error:
            return nfs3.failure(call.procedure, error.status)

    def access_list(self, session: Session, call: Call, now: float) -> Body:
        """Answer a call of the program NFSACL: files have no lists but their modes.

        :raises WireError: if its arguments are no such ones.
        """
        if call.procedure != nfsacl.Procedure.GETACL:
            return nfsacl.failure(Status.ROFS)
        handle, at = nfs3.take_handle(call.data, call.at)
        wanted = nfsacl.take_wanted(call.data, at)
        try:
            node = self.nodes.find(handle, session.key, session.view_of, now)
        except NfsError as error:
            return nfsacl.failure(error.status)
        facts = node.facts
        return nfsacl.mode_as_list(node.fattr, wanted, facts.mode, facts.uid, facts.gid)

    def _getattr(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        return OK + node.fattr

    def _lookup(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        name = nfs3.take_name(call.data, at)
        if len(name) > nfs3.NAME_SIZE:
            raise NfsError(Status.NAMETOOLONG)
        if name in (b".", b".."):
            if node.facts.kind is not FileKind.DIRECTORY:
                raise NfsError(Status.NOTDIR)
            found = node if name == b"." else self.nodes.above(node, now)
        else:
            found = self.nodes.child(node, name, now)
        return b"".join((OK, found.sealed, PRESENT, found.fattr, PRESENT, node.fattr))

    def _access(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        granted = nfs3.take_access(call.data, at) & rights(node.facts, call.caller)
        return OK + PRESENT + node.fattr + granted.to_bytes(4, "big")

    def _readlink(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        with ASKING_FILE:
            target = node.view.tree.link_target(node.key)
        return OK + PRESENT + node.fattr + opaque(target)

    def _read_file(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        offset, count = nfs3.take_read(call.data, at)
        if node.facts.kind is not FileKind.REGULAR:
            directory = node.facts.kind is FileKind.DIRECTORY
            raise NfsError(Status.ISDIR if directory else Status.INVAL)
        size = node.facts.size
        count = min(count, session.largest_read, max(0, size - offset))
        with ASKING_FILE:
            data = self._read(node, offset, count) if count else b""
        count = len(data)
        end = (offset + count >= size).to_bytes(4, "big")
        length = count.to_bytes(4, "big")
        head = b"".join((OK, PRESENT, node.fattr, length, end, length))
        return head, data, bytes(-count % 4)

    def _readdir(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        page = nfs3.take_page(call.procedure, call.data, at)
        reading = _Reading(self.nodes, node, page, call.procedure == Procedure.READDIRPLUS, now)
        return reading.result()

    def _fsstat(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        return nfs3.fsstat(node.fattr)

    def _fsinfo(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        return nfs3.fsinfo(node.fattr, session.largest_read, _WRITE, _DIRECTORY)

    def _pathconf(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        return nfs3.pathconf(node.fattr)

    def _commit(self, session: Session, node: Node, call: Call, at: int, now: float) -> Body:
        return nfs3.commit()


def rights(facts: FileAttributes, caller: Caller) -> int:
    """Return what a caller may do with a file, by its mode (§3.3.4): machines keep their own users
    apart by it. Their root may read all, and execute what somebody may.
    """
    bits = facts.mode & 7
    if caller.uid == 0:
        bits = 6 | bool(facts.mode & 0o111) | (facts.kind is FileKind.DIRECTORY)
    elif caller.uid == facts.uid:
        bits = facts.mode >> 6 & 7
    elif facts.gid in caller.gids:
        bits = facts.mode >> 3 & 7
    granted = _READ if bits & 4 else 0
    if bits & 1:
        granted |= _LOOK_UP if facts.kind is FileKind.DIRECTORY else _EXECUTE
    return granted


class _Reading:
    """One answer to READDIR or READDIRPLUS (§3.3.16, §3.3.17), as large as it may be."""

    def __init__(self, nodes: Nodes, node: Node, page: Page, plus: bool, now: float) -> None:
        if node.facts.kind is not FileKind.DIRECTORY:
            raise NfsError(Status.NOTDIR)
        self._nodes, self._node, self._plus, self._now = nodes, node, plus, now
        self._cookie = page.cookie
        self._whole = min(page.whole, _DIRECTORY) - _AROUND
        self._names = min(page.names, _DIRECTORY)
        self._entries: list[bytes] = []

    def result(self) -> bytes:
        """Return the whole result.

        :raises NfsError: if not one entry has room in it.
        """
        full = not self._fill()
        if full and not self._entries:
            raise NfsError(Status.TOOSMALL)
        end = b"\0\0\0\0\0\0\0\0" if full else b"\0\0\0\0\0\0\0\1"
        head = OK + PRESENT + self._node.fattr + bytes(8)
        return b"".join((head, *self._entries, end))

    def _fill(self) -> bool:
        """Take entries while there is room; return whether that was enough for all."""
        node, after = self._node, self._cookie
        if after < _SELF and not self._add(b".", _SELF, node):
            return False
        if after < _ABOVE:
            above = self._nodes.above(node, self._now)
            if not self._add(b"..", _ABOVE, above):
                return False
        with ASKING_DIRECTORY:
            for each in node.view.tree.entries(node.key, max(after, _ABOVE)):
                try:
                    found = self._nodes.of(node.view, each.key, self._now)
                except NfsError:
                    continue  # it is gone since
                if not self._add(each.name, each.cookie, found):
                    return False
        return True

    def _add(self, name: bytes, cookie: int, found: Node) -> bool:
        entry = nfs3.entry(found.facts.fileid, name, cookie)
        names = len(entry) - 4
        if self._plus:
            entry = b"".join((entry, PRESENT, found.fattr, PRESENT, found.sealed))
        if len(entry) > self._whole or (self._plus and names > self._names):
            return False
        self._whole -= len(entry)
        self._names -= names
        self._entries.append(entry)
        return True
