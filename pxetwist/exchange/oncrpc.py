"""The rules of RPC: records out of a stream, and which procedure a call is for (RFC 5531)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.oncrpc import (
    LAST_FRAGMENT,
    RPC_VERSION,
    AcceptStatus,
    AuthFlavor,
    AuthStatus,
    Call,
    auth_error,
    program_mismatch,
    reply_head,
    rpc_mismatch,
)

#: So large may a call be: what it may write is less, and nothing is written here.
MAX_RECORD = 128 << 10
_NULL = 0
_MARK = struct.Struct("!I")
_BELIEVED = (int(AuthFlavor.NONE), int(AuthFlavor.SYS))

C = TypeVar("C")
#: What is sent one after the other, and joined by nobody.
Pieces = tuple[bytes | memoryview, ...]
#: The result of a call.
Body = bytes | Pieces
#: A procedure of a program, for callers of some kind.
Handler = Callable[[C, Call], Body | Coroutine[Any, Any, Body]]


class Records:
    """Puts records together from what a stream brings (§11)."""

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._limit = limit
        self._stream = b""
        self._at = 0
        self._record = b""  # fragments of a record whose last one has not come

    @property
    def partial(self) -> bool:
        """Whether something has come of a record that is not whole."""
        return bool(len(self._stream) > self._at or self._record)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        rest = self._stream[self._at :]
        self._stream = rest + data if rest else data
        self._at = 0

    def next(self) -> bytes | None:
        """Return a record, if one is whole.

        :raises WireError: if it is larger than the limit, or a fragment has nothing in it.
        """
        while len(self._stream) >= self._at + 4:
            start = self._at + 4
            mark = _MARK.unpack_from(self._stream, self._at)[0]
            size = mark & ~LAST_FRAGMENT
            if not size or size + len(self._record) > self._limit:
                raise WireError(f"a fragment of {size} bytes", self._at)
            if len(self._stream) < start + size:
                break
            self._at = start + size
            fragment = self._stream[start : self._at]
            if mark & LAST_FRAGMENT:
                whole, self._record = self._record + fragment, b""
                return whole
            self._record += fragment
        return None


@attrs.frozen
class Program(Generic[C]):
    """The procedures of each version of a program, but for NULL, which all have."""

    number: int
    versions: Mapping[int, Mapping[int, Handler[C]]]


class Refused(Exception):
    """A call gets no further; `reply` is what to say to it."""

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self.reply = reply


def choose(programs: Mapping[int, Program[C]], call: Call) -> Handler[C]:
    """Find the procedure that a call is for (§9).

    :raises Refused: if there is none, or nothing is to be done.
    """
    if call.rpc_version != RPC_VERSION:
        raise Refused(rpc_mismatch(call.xid))
    program = programs.get(call.program)
    if program is None:
        raise Refused(reply_head(call.xid, AcceptStatus.PROG_UNAVAIL))
    procedures = program.versions.get(call.version)
    if procedures is None:
        raise Refused(program_mismatch(call.xid, min(program.versions), max(program.versions)))
    if call.procedure == _NULL:
        raise Refused(reply_head(call.xid))
    if call.flavor not in _BELIEVED:
        raise Refused(auth_error(call.xid, AuthStatus.BAD_CREDENTIALS))
    handler = procedures.get(call.procedure)
    if handler is None:
        raise Refused(reply_head(call.xid, AcceptStatus.PROC_UNAVAIL))
    return handler
