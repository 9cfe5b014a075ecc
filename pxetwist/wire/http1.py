"""Requests of HTTP/1.0 and 1.1 as bytes (RFC 9112), read strictly and within limits, without IO.

What two readers might take for different things is refused: folded lines, a space before a colon,
lengths that contradict each other. A request without ``Host`` is taken, for some firmware sends
none, and nothing here depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus

import attrs

from pxetwist.errors import WireError

#: So long may a request line be, in bytes; iPXE's with all that a machine tells of itself have
#: less than 1,500.
LINE = 8192
#: So long may a head be, and so many fields may it have.
HEAD = 16384
FIELDS = 100
#: So much of a body is kept; the rest is read and forgotten.
KEPT = 4096
#: No body may be longer.
BODY = 1 << 20

_CHUNK_LINE = 1024
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP/(\d)\.(\d)")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
#: Fields that may come once only: what else would they mean?
_SINGLE = frozenset({"host", "content-length", "transfer-encoding"})


class BadRequest(WireError):
    """A request that is not to be answered but by `status`; what follows it cannot be read."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


@attrs.frozen
class Head:
    """The head of a request. `fields` are by their names in lower case, several of a name joined
    by commas. `keeps` says that the connection goes on after it, `length` how long its body is
    (-1: it comes in chunks), `expects` that its sender waits to be told that it may send that.
    """

    method: str
    target: bytes
    fields: Mapping[str, str]
    keeps: bool
    length: int
    expects: bool


def find_head(data: bytearray, seen: int) -> int:
    """Return where the head ends that these bytes begin with; 0: not yet. `seen` of them have
    been looked at before. Empty lines before it are removed (RFC 9112 §2.2).

    :raises BadRequest: if it is too long.
    """
    while data.startswith(b"\r\n"):
        del data[:2]
    end = data.find(b"\r\n\r\n", max(seen - 3, 0), HEAD)
    if end < 0:
        if len(data) > LINE and data.find(b"\r\n", 0, LINE) < 0:
            raise BadRequest(HTTPStatus.REQUEST_URI_TOO_LONG, "too long a request line")
        if len(data) >= HEAD:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too long a head")
    return end + 4 if end >= 0 else 0


def read_head(data: bytes) -> Head:
    """Read a head, up to and with its empty line.

    :raises BadRequest: if it is none.
    """
    line, _, rest = data[:-4].partition(b"\r\n")
    if len(line) > LINE:
        raise BadRequest(HTTPStatus.REQUEST_URI_TOO_LONG, "too long a request line")
    match = _REQUEST.fullmatch(line)
    if match is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "no request line")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise BadRequest(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "not HTTP/1")
    fields = _fields(rest.decode("latin-1")) if rest else {}
    current = minor != b"0"
    length = _length(fields, current)
    return Head(
        method.decode(),
        target,
        fields,
        keeps=current and "close" not in _words(fields.get("connection")),
        length=length,
        expects=length != 0 and current and fields.get("expect", "").lower() == "100-continue",
    )


def _fields(text: str) -> dict[str, str]:
    lines = text.split("\r\n")
    if len(lines) > FIELDS:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many fields")
    found: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "no field")
        name, value = match[1].lower(), match[2].rstrip(" \t")
        if name in found:
            if name in _SINGLE:
                raise BadRequest(HTTPStatus.BAD_REQUEST, f"more than one {name}")
            value = f"{found[name]}, {value}"
        found[name] = value
    return found


def _words(value: str | None) -> list[str]:
    return [word.strip().lower() for word in value.split(",")] if value else []


def _length(fields: Mapping[str, str], current: bool) -> int:
    """Return the length of the body (RFC 9112 §6.3), -1 for one in chunks."""
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")
    if coding is not None:
        if length is not None or not current:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a body of two lengths")
        if coding.lower() != "chunked":
            raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, "an unknown transfer coding")
        return -1
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "no length")
    if len(length) > 19 or int(length) > BODY:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long a body")
    return int(length)


class Body:
    """Takes the body of a request out of what arrives, and keeps its beginning: `kept`."""

    def __init__(self, length: int) -> None:
        self.kept = b""
        self._left = length  # of the body, or of the chunk
        self._total = 0
        self._step: Callable[[bytearray], bool] | None = self._size if length < 0 else self._whole

    def take(self, data: bytearray) -> bool:
        """Remove what is the body's from the beginning; return whether that is all of it.

        :raises BadRequest: if it is too long, or there is no telling where it ends.
        """
        while self._step is not None:
            if not self._step(data):
                return False
        return True

    # Each returns whether it is done, and says what comes next.

    def _whole(self, data: bytearray) -> bool:
        self._step = None if self._take(data) else self._whole
        return self._step is None

    def _size(self, data: bytearray) -> bool:
        line = _line(data)
        if line is None:
            return False
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "no chunk")
        self._left = int(match[1], 16)
        self._count(self._left)
        self._step = self._chunk if self._left else self._trailer
        return True

    def _chunk(self, data: bytearray) -> bool:
        if not self._take(data):
            return False
        self._step = self._chunk_end
        return True

    def _chunk_end(self, data: bytearray) -> bool:
        line = _line(data)
        if line:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a chunk of another length")
        if line is None:
            return False
        self._step = self._size
        return True

    def _trailer(self, data: bytearray) -> bool:
        line = _line(data)
        if line is None:
            return False
        self._count(len(line))
        self._step = self._trailer if line else None
        return True

    def _take(self, data: bytearray) -> bool:
        """Take what there is; return whether that is all."""
        piece = data[: self._left]
        del data[: self._left]
        self._left -= len(piece)
        self.kept += bytes(piece[: KEPT - len(self.kept)])
        return not self._left

    def _count(self, size: int) -> None:
        self._total += size + 2
        if self._total > BODY:
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long a body")


def _line(data: bytearray) -> bytes | None:
    """Take a line out of the beginning; `None`: it has no end yet."""
    end = data.find(b"\r\n", 0, _CHUNK_LINE)
    if end < 0:
        if len(data) >= _CHUNK_LINE:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "too long a line in a body")
        return None
    line = bytes(data[:end])
    del data[: end + 2]
    return line
