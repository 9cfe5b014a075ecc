"""What HTTP answers about a content: conditions, ranges and headers (RFC 9110), without any IO.

Firmware reads headers with less patience than browsers: ``Content-Length`` comes first (a loop
of old shims compares only the first header) and is always there (UEFI, iPXE, shim), media types
have no parameters (EDK2 compares them whole), and nothing redirects.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus

import attrs

from pxetwist.model.boot import Login
from pxetwist.model.content import ContentInfo

_MOST_RANGES = 16
#: Longer numbers are not read; Python refuses those of thousands.
_MOST_DIGITS = 100
#: Request headers, in lower case, with which the answer is another than the whole content.
CONDITIONS = frozenset(
    {
        *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
        *("range", "if-range"),
    }
)

#: Returns a request header's value by its name in lower case.
Header = Callable[[str], str | None]


def basic_login(authorization: str | None) -> Login | None:
    """Read the header Authorization of the Basic scheme (RFC 7617); `None` if it is none."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, found, password = b64decode(token.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return Login(name, password) if found else None


@attrs.frozen
class Span:
    """Some bytes of the content, from `start` up to but without `end`."""

    start: int
    end: int


def _begun(answer: Answer) -> bytes:
    lines = [_status_line(answer.status)]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    return "\r\n".join(lines).encode("latin-1")


@attrs.frozen
class Answer:
    """A status, the headers in their order, and the pieces of the body. `begun` are the first two
    as bytes, without the last end of a line.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes | Span, ...] = ()
    begun: bytes = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_begun, takes_self=True)
    )


def text_answer(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """Say something short to a person; it never repeats what was asked."""
    body = text.encode() + b"\n"
    basic = (("Content-Length", str(len(body))), ("Content-Type", "text/plain"))
    return Answer(status, basic + headers, (body,))


def head_bytes(result: Answer, now: float, *, last: bool) -> bytes:
    """Return the head of an answer: its headers first and in their order, then ours; `last` says
    that the connection ends with it.
    """
    return result.begun + _ours(int(now), last)


@lru_cache
def _ours(seconds: int, last: bool) -> bytes:
    close = "Connection: close\r\n" if last else ""
    return f"\r\nServer: pxetwist\r\nDate: {_date_text(seconds)}\r\n{close}\r\n".encode()


@lru_cache
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"


@lru_cache(1024)
def _date_text(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def answer(info: ContentInfo, method: str, header: Header, boundary: Callable[[], str]) -> Answer:
    """Answer a GET or HEAD of a content; `boundary` is for several ranges in one answer."""
    status = _condition(info, header)
    if status == 304:
        return Answer(304, _validators(info))
    if status == 412:
        return text_answer(412, "The file has changed")
    spans = _ranges(info, header) if method == "GET" else None
    if spans is None:
        return whole_answer(info)
    if not spans:
        total = ("Content-Range", f"bytes */{info.size}")
        return text_answer(416, "The file is not that long", total)
    if len(spans) > 1:
        return _several(info, spans, boundary())
    (span,) = spans
    headers = _basic(span.end - span.start, info.media_type)
    headers += (("Content-Range", _content_range(info, span)),)
    return Answer(206, headers + _validators(info), (span,))


@lru_cache(1024)
def whole_answer(info: ContentInfo) -> Answer:
    """Answer with the whole of a content; a small one may be asked for by many."""
    headers = _basic(info.size, info.media_type)
    return Answer(200, headers + _validators(info), (Span(0, info.size),))


def _basic(length: int, media_type: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Length", str(length)),
        ("Content-Type", media_type),
        ("Accept-Ranges", "bytes"),
    )


def _content_range(info: ContentInfo, span: Span) -> str:
    return f"bytes {span.start}-{span.end - 1}/{info.size}"


def _several(info: ContentInfo, spans: list[Span], boundary: str) -> Answer:
    """Put several ranges into one body (RFC 9110 §14.6)."""
    body: list[bytes | Span] = []
    length = 0
    for span in spans:
        part = (
            f"\r\n--{boundary}\r\nContent-Type: {info.media_type}\r\n"
            f"Content-Range: {_content_range(info, span)}\r\n\r\n"
        ).encode()
        body += (part, span)
        length += len(part) + span.end - span.start
    end = f"\r\n--{boundary}--\r\n".encode()
    headers = _basic(length + len(end), f"multipart/byteranges; boundary={boundary}")
    return Answer(206, headers + _validators(info), (*body, end))


def _validators(info: ContentInfo) -> tuple[tuple[str, str], ...]:
    found = []
    if info.tag:
        found.append(("ETag", f'"{info.tag}"'))
    if info.modified:
        found.append(("Last-Modified", _date_text(int(info.modified))))
    return tuple(found)


def _condition(info: ContentInfo, header: Header) -> int:
    """Return 412 or 304 if a condition of the request says so, else 200 (RFC 9110 §13.2.2)."""
    match, since = header("if-match"), _date(header("if-unmodified-since"))
    if match is not None:
        if not _listed(info, match, weak=False):
            return 412
    elif since is not None and info.modified and int(info.modified) > since:
        return 412
    none, since = header("if-none-match"), _date(header("if-modified-since"))
    if none is not None:
        return 304 if _listed(info, none, weak=True) else 200
    if since is not None and info.modified and int(info.modified) <= since:
        return 304
    return 200


def _listed(info: ContentInfo, value: str, *, weak: bool) -> bool:
    tags = [tag.strip() for tag in value.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or (bool(info.tag) and f'"{info.tag}"' in tags)


def _date(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return int(parsedate_to_datetime(value).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):  # the latter for numbers that no date has
        return None


def _ranges(info: ContentInfo, header: Header) -> list[Span] | None:
    """Return the ranges to send, empty if none can be, `None` if the whole is to be sent."""
    value = header("range")
    if value is None or not value.lower().startswith("bytes="):
        return None
    condition = header("if-range")
    if condition is not None and not _same(info, condition):
        return None
    specs = value[len("bytes=") :].split(",")
    spans = []
    for spec in specs:
        span = _span(spec.strip(), info.size)
        if span is None:
            return None
        if span.start < span.end:
            spans.append(span)
    asked = sum(span.end - span.start for span in spans)
    if len(specs) > 1 and (len(specs) > _MOST_RANGES or asked > info.size):
        return None  # more work than the whole
    return spans


def _same(info: ContentInfo, condition: str) -> bool:
    """Whether the content is the one of which the client has a part (RFC 9110 §13.1.5)."""
    if '"' in condition:
        return _listed(info, condition, weak=False)
    return bool(info.modified) and _date(condition) == int(info.modified)


def _span(spec: str, size: int) -> Span | None:
    """Read ``a-b``, ``a-`` or ``-n``; an empty span cannot be satisfied, `None` is malformed."""
    first, dash, last = spec.partition("-")
    if not dash or not all(_is_number(text) for text in (first, last) if text):
        return None
    if first:
        start, end = _number(first), _number(last) + 1 if last else size
        return None if end <= start and last else Span(start, min(end, size))
    return Span(max(size - _number(last), 0), size) if last else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str) -> int:
    """Return a number; one that no size reaches is as good as any."""
    return int(text) if len(text) <= _MOST_DIGITS else 10**_MOST_DIGITS
