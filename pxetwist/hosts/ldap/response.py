"""What servers answer to a search, from bytes (RFC 4511 §4.5.2, BER of X.690 §8.1).

ldap3's reader makes dictionaries of everything, which takes longer than the server's own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import attrs
from ldap3.core.results import RESULT_CODES

from pxetwist.hosts.ldap.schema import Entry

_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = 0x02, 0x04, 0x0A, 0x30, 0x31
_ENTRY, _DONE, _REFERENCE, _EXTENDED = 0x64, 0x65, 0x73, 0x78
#: A message that claims to be longer (bytes) is not waited for.
LONGEST = 16 * 1024 * 1024


class Malformed(ValueError):
    """This is not what a directory says."""


@attrs.frozen
class Result:
    """The end of an answer: its code (RFC 4511 appendix A), and what the server says of it."""

    code: int
    message: str

    def __str__(self) -> str:
        """Say it in the words of the RFC and of the server."""
        words = (str(RESULT_CODES.get(self.code, self.code)), self.message.strip("\0 "))
        return ", ".join(word for word in words if word)


#: The number of the question, and an entry or the end; 0 is what the server says unasked.
Answer = tuple[int, Entry | Result]


class Responses:
    """Takes pieces of a connection's bytes and returns the answers that are whole."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Answer]:
        """Return what has become whole with this piece; references to servers are left out.

        :raises Malformed: if it is no answer to a search.
        """
        data = self._rest + piece if self._rest else piece
        found: list[Answer] = []
        at = 0
        while (end := _end(data, at)) <= len(data):
            try:
                answer = _answer(data, at, end)
            except IndexError:
                raise Malformed("a value is cut off") from None
            if answer is not None:
                found.append(answer)
            at = end
        self._rest = data[at:]
        return found


def _end(data: bytes, at: int) -> int:
    """Return where the message ends that begins here; past the data if that is not yet known."""
    beyond = len(data) + 1
    if len(data) < at + 2:
        return beyond
    if data[at] != _SEQUENCE:
        raise Malformed(f"a message begins with {data[at]:#04x}")
    size = data[at + 1]
    start = at + 2
    if size & 0x80:
        octets = size & 0x7F
        if not 0 < octets <= 4:
            raise Malformed("a length is out of bounds")
        if len(data) < start + octets:
            return beyond
        size = int.from_bytes(data[start : start + octets], "big")
        start += octets
    if size > LONGEST:
        raise Malformed(f"a message of {size} bytes is too long")
    return start + size


def _answer(data: bytes, at: int, end: int) -> Answer | None:
    at, _ = _open(data, at, end, _SEQUENCE)
    start, stop = _open(data, at, end, _INTEGER)
    number = int.from_bytes(data[start:stop], "big")
    kind = data[stop]
    at, end = _open(data, stop, end, kind)
    if kind == _ENTRY:
        return number, _entry(data, at, end)
    if kind in (_DONE, _EXTENDED):
        return number, _result(data, at, end)
    if kind == _REFERENCE:
        return None
    raise Malformed(f"{kind:#04x} is no answer to a search")


def _entry(data: bytes, at: int, end: int) -> Entry:
    start, stop = _open(data, at, end, _OCTETS)
    dn = data[start:stop].decode("utf-8", "replace")
    at, end = _open(data, stop, end, _SEQUENCE)
    values = {}
    while at < end:
        start, at = _open(data, at, end, _SEQUENCE)
        first, last = _open(data, start, at, _OCTETS)
        start, stop = _open(data, last, at, _SET)
        values[_lower(data[first:last])] = tuple(_octets(data, start, stop))
    return Entry(dn, values)


def _octets(data: bytes, at: int, end: int) -> Iterator[bytes]:
    while at < end:
        start, at = _open(data, at, end, _OCTETS)
        yield data[start:at]


def _result(data: bytes, at: int, end: int) -> Result:
    start, stop = _open(data, at, end, _ENUMERATED)
    code = int.from_bytes(data[start:stop], "big")
    _, stop = _open(data, stop, end, _OCTETS)  # the DN up to which there is something
    start, stop = _open(data, stop, end, _OCTETS)
    return Result(code, data[start:stop].decode("utf-8", "replace"))


def _open(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Return where the contents of a value begin and end; it must have this tag."""
    if data[at] != tag:
        raise Malformed(f"expected {tag:#04x}, got {data[at]:#04x}")
    size = data[at + 1]
    at += 2
    if size & 0x80:
        octets = size & 0x7F
        if not 0 < octets <= 4:
            raise Malformed("a length is out of bounds")
        size = int.from_bytes(data[at : at + octets], "big")
        at += octets
    if at + size > end:
        raise Malformed("a value is longer than what it is in")
    return at, at + size


@lru_cache(maxsize=256)
def _lower(name: bytes) -> str:
    return name.decode("utf-8", "replace").lower()
