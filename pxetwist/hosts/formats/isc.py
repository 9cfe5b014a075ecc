"""ISC dhcpd: ``host`` blocks, wherever they stand in dhcpd.conf (dhcpd.conf(5), 4.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from pxetwist.hosts.formats.ethers import is_address
from pxetwist.hosts.formats.rows import Report, Row, Value
from pxetwist.hosts.marks import unpadded_mac

_TOKEN = re.compile(
    r'(?P<blank>(?:\s+|\#[^\n]*)+)|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<mark>[{};,])|(?P<word>[^\s"{};,#]+)',
    re.DOTALL,
)
_HEX = re.compile(r"[0-9a-f]{1,2}(?::[0-9a-f]{1,2})*", re.IGNORECASE)

#: Where to say here what other statements say there.
_ELSEWHERE = {
    "subnet": "[subnet:NAME]",
    "shared-network": "[shared-network:NAME], and shared-network in each [subnet:NAME]",
    "pool": "'pool' of [subnet:NAME]",
    "range": "'pool' of [subnet:NAME]",
    "option": "'option.NAME' of [subnet:NAME]",
    "default-lease-time": "'lease-time' of [subnet:NAME]",
    "max-lease-time": "'max-lease-time' of [subnet:NAME]",
    "authoritative": "'authoritative' of [subnet:NAME]",
    "include": "name that file in 'file' as well",
    "class": "[class:NAME], or rules",
    "subclass": "[class:NAME], or rules",
    "if": "rules",
}
#: What a host is known by, besides its MAC; the value is the last word.
_IDENTIFIERS = {
    "uid": "client-id",
    "option dhcp-client-identifier": "client-id",
    "host-identifier option dhcp-client-identifier": "client-id",
    "host-identifier option agent.circuit-id": "circuit-id",
    "host-identifier option agent.remote-id": "remote-id",
}
#: Options of a single host that are taken over, and what they are called here.
HOST_OPTIONS = {
    "routers": "routers",
    "domain-name": "domain-name",
    "domain-name-servers": "domain-name-servers",
    "domain-search": "domain-search",
    "ntp-servers": "ntp-servers",
    "log-servers": "log-servers",
    "lpr-servers": "lpr-servers",
    "root-path": "root-path",
    "interface-mtu": "interface-mtu",
    "netbios-name-servers": "netbios-name-servers",
    "netbios-node-type": "netbios-node-type",
    "smtp-server": "smtp-servers",
    "tftp-server-name": "tftp-server-name",
    "bootfile-name": "boot-file",
    "time-offset": "time-offset",
}
#: Blocks in which hosts may stand.
_SCOPES = ("group", "subnet", "shared-network", "pool")


class _Text(str):
    """A word in quotes."""

    __slots__ = ()


@attrs.define
class _Statement:
    """Words up to a semicolon, or before a block; commas are words."""

    line: int
    words: list[str] = attrs.field(factory=list)
    block: list[_Statement] | None = None

    @property
    def keyword(self) -> str:
        return self.words[0].lower() if self.words else ""

    def begins(self, *words: str) -> bool:
        """Whether it begins with these words."""
        return tuple(word.lower() for word in self.words[: len(words)]) == words

    def values(self, after: int) -> list[str]:
        """Return the words behind the first ones, without commas."""
        return [word for word in self.words[after:] if word != ","]


@attrs.frozen
class _Scope:
    """What the blocks around a host say."""

    filename: str = ""
    groups: tuple[str, ...] = ()


def rows(text: str, report: Report) -> Iterator[Row]:
    """Yield the machines."""
    waiting = [(statement, _Scope()) for statement in reversed(_parsed(text, report))]
    while waiting:
        statement, scope = waiting.pop()
        keyword = statement.keyword
        if keyword == "host" and statement.block is not None:
            yield from _host(statement, scope, report)
            continue
        if keyword != "group":
            _leave_out(statement, report)
        if statement.block is not None and keyword in _SCOPES:
            inner = _inside(statement, scope)
            told = [each for each in statement.block if each.keyword != "filename"]
            waiting += [(each, inner) for each in reversed(told)]


def _parsed(text: str, report: Report) -> list[_Statement]:
    """Return the statements of a file, none after a mistake of syntax."""
    root: list[_Statement] = []
    opened: list[_Statement] = []
    here, statement = root, _Statement(0)
    position, line = 0, 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            report.add(line, 'missing "')
            return []
        mark = found["mark"]
        if mark == "{":
            if not statement.words:
                report.add(line, "not expected: {")
                return []
            statement.block = []
            here.append(statement)
            opened.append(statement)
            here, statement = statement.block, _Statement(line)
        elif mark in (";", "}"):
            if mark == ";" and statement.words:
                here.append(statement)
            elif mark == "}" and (statement.words or not opened):
                report.add(line, "expected ; before }" if statement.words else "not expected: }")
                return []
            if mark == "}":
                opened.pop()
                above = opened[-1].block if opened else None
                here = root if above is None else above
            statement = _Statement(line)
        elif found["blank"] is None:
            if not statement.words:
                statement.line = line
            quoted = found["text"]
            statement.words.append(
                found[0] if quoted is None else _Text(re.sub(r"\\(.)", r"\1", quoted))
            )
        line += found[0].count("\n")
        position = found.end()
    if opened or statement.words:
        last = opened[-1] if opened else statement
        report.add(last.line, "expected } at the end" if opened else "expected ; at the end")
        return []
    return root


def _inside(statement: _Statement, scope: _Scope) -> _Scope:
    """Return what holds for the hosts in a block."""
    files = [s.words[1] for s in statement.block or () if s.begins("filename") and s.words[1:]]
    named = statement.words[1:2] if statement.keyword == "group" else []
    return _Scope(files[-1] if files else scope.filename, (*scope.groups, *named))


def _leave_out(statement: _Statement, report: Report) -> None:
    mend = _ELSEWHERE.get(statement.keyword)
    words = statement.words[: 2 if statement.keyword == "option" else 1]
    shown = " ".join(words)
    report.leave_out(
        statement.line, f"{shown} is not taken over" + (f"; instead: {mend}" if mend else "")
    )


def _host(statement: _Statement, scope: _Scope, report: Report) -> Iterator[Row]:
    host = _Host(statement, scope)
    for each in statement.block or ():
        if not host.takes(each, report):
            keyword = " ".join(each.words[: 2 if each.keyword == "option" else 1])
            report.leave_out(each.line, f"{keyword} of a single host is not taken over")
    values = host.values
    if not any(values.get(mark) for mark in ("mac", "client-id", "circuit-id", "remote-id")):
        if not host.wrong:
            report.leave_out(
                statement.line, f"host {host.title} has nothing to be known by: not taken over"
            )
        return
    values["name"] = host.name or host.title
    if scope.filename:
        values.setdefault("filename", scope.filename)
    values["groups"] = tuple(dict.fromkeys(host.groups))
    names = (host.title, *host.fixed_names)
    yield Row(statement.line, values, host.lines, foreign=True, names=names)


class _Host:
    """What one host block says."""

    def __init__(self, statement: _Statement, scope: _Scope) -> None:
        self.title = statement.words[1] if len(statement.words) > 1 else ""
        self.name = ""
        self.groups = list(scope.groups)
        self.values: dict[str, Value] = {}
        self.lines: dict[str, int] = {}
        self.fixed_names: list[str] = []
        self.wrong = False

    def takes(self, statement: _Statement, report: Report) -> bool:
        """Take what a statement says; `False` if it is not taken over."""
        words = statement.words
        if statement.block is not None:
            return False
        if statement.begins("hardware", "ethernet") and len(words) == 3:
            try:
                self._set("mac", (unpadded_mac(words[2]),), statement, report)
            except ValueError as error:
                report.add(statement.line, str(error))
                self.wrong = True
        elif statement.begins("fixed-address") and len(words) > 1:
            self._take_addresses(statement, report)
        elif statement.begins("option", "host-name") and len(words) == 3:
            self.name = words[2]
        elif column := _IDENTIFIERS.get(" ".join(words[:-1]).lower()):
            self._set(column, _octets(words[-1]), statement, report)
        elif words[0].lower() == "option" and len(words) > 2 and words[1].lower() in HOST_OPTIONS:
            name = HOST_OPTIONS[words[1].lower()]
            self._set(f"option.{name}", ", ".join(statement.values(2)), statement, report)
        elif statement.begins("filename") and len(words) == 2:
            self._set("filename", words[1], statement, report)
        elif statement.begins("group") and len(words) == 2:
            self.groups.append(words[1])
        elif statement.keyword in ("deny", "ignore") and words[1:] == ["booting"]:
            self._set("ignore", "yes", statement, report)
            mend = "the machine has the label ignore=yes; add the rule: ignore=yes -> silence"
            report.leave_out(statement.line, f"{' '.join(words)} is not taken over: {mend}")
        else:
            return statement.keyword == "allow" and words[1:] == ["booting"]
        return True

    def _set(self, column: str, value: Value, statement: _Statement, report: Report) -> None:
        """Take a value: the last one counts."""
        if self.values.get(column, value) != value:
            line = self.lines[column]
            report.leave_out(line, f"{column} is not taken over: another one comes after it")
        self.values[column], self.lines[column] = value, statement.line

    def _take_addresses(self, statement: _Statement, report: Report) -> None:
        words = statement.values(1)
        addresses = [word for word in words if is_address(word)]
        self.fixed_names += [word for word in words if not is_address(word)]
        if addresses:
            self._set("address", addresses[0], statement, report)
        if addresses[1:]:
            report.leave_out(
                statement.line, "a machine has one address: the others are not taken over"
            )


def _octets(word: str) -> str:
    """Spell an id of hexadecimal pairs, or a text, as bytes."""
    pairs = [] if isinstance(word, _Text) or not _HEX.fullmatch(word) else word.split(":")
    raw = bytes(int(pair, 16) for pair in pairs) or word.encode()
    return f"0x{raw.hex()}" if raw else ""
