"""XDR, the primitives that RPC programs are made of (RFC 4506)."""

from __future__ import annotations

import struct

from pxetwist.errors import WireError

_U32 = struct.Struct("!I")
#: The largest opaque that is not counted by its own rule.
_ANY = 0x7FFFFFFF


def opaque(data: bytes) -> bytes:
    """Write bytes of variable length (§4.10, §4.11): their number, they, and zeros up to 4."""
    return _U32.pack(len(data)) + data + bytes(-len(data) % 4)


def take_opaque(data: bytes, at: int, limit: int = _ANY) -> tuple[bytes, int]:
    """Read bytes of variable length from `at` on; return them and where the next value begins.

    :raises WireError: if there are fewer, or more than `limit`.
    """
    start = at + 4
    if start > len(data):
        raise WireError("a length expected", at)
    size = _U32.unpack_from(data, at)[0]
    end = start + size
    after = end + (-size % 4)
    if size > limit or after > len(data):
        raise WireError(f"{size} bytes expected, at most {limit}", at)
    return data[start:end], after


def take(form: struct.Struct, data: bytes, at: int) -> tuple[int, ...]:
    """Read numbers in a fixed form from `at` on.

    :raises WireError: if there are too few bytes.
    """
    try:
        return form.unpack_from(data, at)
    except struct.error:
        raise WireError(f"{form.size} bytes expected", at) from None


def uints(data: bytes, at: int, count: int) -> tuple[int, ...]:
    """Read unsigned integers (§4.2).

    :raises WireError: if there are too few.
    """
    return take(struct.Struct(f"!{count}I"), data, at)
