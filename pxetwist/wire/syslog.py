"""Lines of syslog: RFC 5424, and what was usual before it (RFC 3164), as loaders and systems send.

Nothing of a line is believed but its priority and text: who speaks is known by the address.
"""

from __future__ import annotations

import re

import attrs

from pxetwist.errors import WireError

#: RFC 5426 §3.3.
PORT = 514
#: RFC 5424 §6.2.1, table 2; the number is the position.
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
#: Table 1.
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
#: RFC 3164 §4.3.3: what has no priority is a notice of a user.
_NO_PRIORITY = 13

_PRIORITY = re.compile(rb"<(0|[1-9]\d{0,2})>")
_VERSION_1 = re.compile(
    rb"1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) (?P<process>\S+) (?P<id>\S+) "
    rb"(?:-|(?:\[(?:[^\]\\\"]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: |$)",
    re.DOTALL,
)
_TIME = re.compile(rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ")
#: iPXE sends its host name and ``ipxe: ``; busybox and logger a tag, with a number perhaps.
_TAG = re.compile(rb"(?:(?P<host>[\w.-]+) )?(?P<app>[\w./-]{1,48})(?:\[(?P<process>\w+)\])?: ?")
_BOM = b"\xef\xbb\xbf"


@attrs.frozen
class SyslogMessage:
    """One line: the numbers of facility and severity, who says it (a program's name), and what."""

    facility: int
    severity: int
    program: str
    text: str


def decode(data: bytes) -> SyslogMessage:
    """Read a datagram; what is no printable text is shown in hexadecimal.

    :raises WireError: if its priority is none.
    """
    priority, rest = _NO_PRIORITY, data
    found = _PRIORITY.match(data)
    if found is not None:
        priority, rest = int(found[1]), data[found.end() :]
    elif data.startswith(b"<"):
        raise WireError("a priority that is none")
    if priority >= len(FACILITIES) * len(SEVERITIES):
        raise WireError("a priority that is too high")
    program, text = _split(rest)
    facility, severity = divmod(priority, len(SEVERITIES))
    return SyslogMessage(
        facility, severity, _printable(program), _printable(text.strip(b"\0\r\n "))
    )


def _split(rest: bytes) -> tuple[bytes, bytes]:
    found = _VERSION_1.match(rest)
    if found is not None:
        program = b"" if found["app"] == b"-" else found["app"]
        return program, rest[found.end() :].removeprefix(_BOM)
    time = _TIME.match(rest)
    said = rest[time.end() :] if time else rest
    tag = _TAG.match(said)
    return (tag["app"], said[tag.end() :]) if tag else (b"", said)


def _printable(raw: bytes) -> str:
    """Escape what could forge a line or move a terminal's cursor."""
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
