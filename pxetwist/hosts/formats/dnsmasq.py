"""dnsmasq: the ``dhcp-host`` lines of its configuration, and the lines of a dhcp-hostsfile.

Follows dnsmasq 2.90, ``one_opt`` and ``read_file`` in option.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

import attrs

from pxetwist.hosts.formats.ethers import is_address
from pxetwist.hosts.formats.rows import NamedAddress, Report, Row, Value
from pxetwist.hosts.marks import unpadded_mac

_OPTION = re.compile(r"(?:--)?([a-z][a-z0-9-]*)\s*(?:=\s*(.*))?", re.DOTALL)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"')
_COMMENT = re.compile(r"(?:^|\s)#.*")
_LEASE_TIME = re.compile(r"\d[\d ]*[wdhms]?|infinite", re.IGNORECASE)
_ETHERNET = re.compile(r"0?1-(?=[0-9a-f]{1,2}:)", re.IGNORECASE)
_OTHER_TYPE = re.compile(
    r"[0-9a-f]{1,2}-[0-9a-f]{1,2}:.*|(?:[0-9a-f]{1,2}:){1,4}[0-9a-f]{1,2}"
    r"|(?:[0-9a-f]{1,2}:){6,15}[0-9a-f]{1,2}",
    re.IGNORECASE,
)

#: Where to say here what other options say there.
_ELSEWHERE = {
    "dhcp-range": "'pool' of [subnet:NAME]",
    "dhcp-option": "'option.NAME' of [subnet:NAME]",
    "dhcp-option-force": "'option.NAME' and 'always-send' of [subnet:NAME]",
    "dhcp-authoritative": "'authoritative' of [subnet:NAME]",
    "dhcp-boot": "[profile:NAME] and rules",
    "pxe-service": "[profile:NAME] and rules",
    "dhcp-ignore": "a rule with the outcome silence",
    "enable-tftp": "[service:tftp]",
    "tftp-root": "[content:NAME]",
    "read-ethers": "name /etc/ethers in 'file' as well",
    "dhcp-hostsfile": "name that file in 'file' as well",
    "dhcp-hostsdir": "name that folder in 'file' as well",
    "addn-hosts": "name that file in 'file' as well",
    "hostsdir": "name that folder in 'file' as well",
    "conf-file": "name that file in 'file' as well",
    "conf-dir": "name that folder in 'file' as well",
}


def rows(text: str, report: Report) -> Iterator[Row | NamedAddress]:
    """Yield the machines."""
    for number, raw in enumerate(text.splitlines(), 1):
        line = _plain(raw)
        if not line:
            continue
        if '"' in line:
            report.add(number, 'missing "')
            continue
        option = _OPTION.fullmatch(line)
        if option and option[1] != "dhcp-host":
            mend = _ELSEWHERE.get(option[1])
            report.leave_out(
                number, f"{option[1]} is not taken over" + (f"; instead: {mend}" if mend else "")
            )
            continue
        host = _Host(number)
        for word in ((option[2] or "") if option else line).split(","):
            host.add(word.strip(), report)
        found = host.row(report)
        if found is not None:
            yield found


def _plain(line: str) -> str:
    """Take quotes and comments off; a quote that is left has no end."""
    quoted: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        quoted.append(re.sub(r"\\(.)", r"\1", match[1]))
        return f"\0{len(quoted) - 1}\0"

    plain = _COMMENT.sub("", _QUOTED.sub(put_aside, line.replace("\0", "")))
    return re.sub(r"\0(\d+)\0", lambda match: quoted[int(match[1])], plain).strip()


@attrs.define
class _Host:
    """What one dhcp-host says."""

    line: int
    name: str = ""
    macs: list[str] = attrs.field(factory=list)
    address: str = ""
    client_id: str = ""
    tags: list[str] = attrs.field(factory=list)
    labels: dict[str, Value] = attrs.field(factory=dict)
    strange: bool = False  # recognised by what we do not know, or wrong

    def add(self, word: str, report: Report) -> None:
        """Take one of the words between the commas."""
        prefix, colon, rest = word.partition(":")
        if not word:
            return
        if word.startswith("["):
            report.leave_out(self.line, "IPv6 addresses are not taken over")
        elif colon and prefix.lower() == "id":
            if rest != "*":  # the MAC comes first here anyway
                self.client_id = self._last("client id", self.client_id, rest, report)
        elif colon and prefix in ("set", "net"):
            self.tags.append(rest)
        elif colon and prefix == "tag":
            report.leave_out(self.line, "tag: (only for machines with that tag) is not taken over")
        elif colon:
            self._add_mac(word, report)
        elif "." in word and is_address(word):
            self.address = self._last("address", self.address, word, report)
        elif _LEASE_TIME.fullmatch(word):
            mend = "'lease-time' of [subnet:NAME]"
            report.leave_out(
                self.line, f"the lease time of a single machine is not taken over; instead: {mend}"
            )
        elif word == "ignore":
            self.labels["ignore"] = "yes"
        else:
            self.name = self._last("name", self.name, word, report)

    def _last(self, what: str, before: str, word: str, report: Report) -> str:
        """Return the word: the last one counts."""
        if before and before != word:
            report.leave_out(
                self.line, f"{what} {before} is not taken over: {word} comes after it"
            )
        return word

    def _add_mac(self, word: str, report: Report) -> None:
        if "*" in word:
            mend = "a rule with the condition mac=52:54:00:*"
            report.leave_out(self.line, f"a MAC with wildcards is not taken over; instead: {mend}")
            self.strange = True
            return
        plain = _ETHERNET.sub("", word)
        if _OTHER_TYPE.fullmatch(plain):
            report.leave_out(self.line, "a hardware address other than Ethernet is not taken over")
            self.strange = True
            return
        try:
            self.macs.append(unpadded_mac(plain))
        except ValueError as error:
            report.add(self.line, str(error))
            self.strange = True

    def row(self, report: Report) -> Row | NamedAddress | None:
        """Return what it is."""
        if not self.macs and not self.client_id:
            if self.strange:
                return None
            if self.name and self.address:
                return NamedAddress(
                    self.line, (self.name,), IPv4Address(self.address), promised=True
                )
            report.leave_out(self.line, "a machine known by nothing but a name is not taken over")
            return None
        if self.labels:
            mend = "the machine has the label ignore=yes; add the rule: ignore=yes -> silence"
            report.leave_out(self.line, f"'ignore' is not taken over: {mend}")
        values = {
            "name": self.name,
            "mac": tuple(self.macs),
            "address": self.address,
            "client-id": self.client_id,
            "groups": tuple(self.tags),
            **self.labels,
        }
        return Row(self.line, {key: value for key, value in values.items() if value}, foreign=True)
