"""Leases as other DHCP servers keep them: dnsmasq, ISC dhcpd, and Kea's memfile."""

from __future__ import annotations

import csv
import re
from calendar import timegm
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

import attrs

from pxetwist.model.identity import parse_mac

#: How long a lease without an end lasts, in seconds (option 51 of all ones).
FOR_EVER = 0xFFFFFFFF

_ISC_LEASE = re.compile(r"^lease\s+(\S+)\s*\{")
_ISC_TIME = re.compile(r"\d+ (\d+)/(\d+)/(\d+) (\d+):(\d+):(\d+)|epoch (\d+)")


@attrs.frozen
class Foreign:
    """One lease: whose it is until when (seconds since the epoch), and the line it begins on."""

    line: int
    address: IPv4Address
    mac: str
    ends: float
    hostname: str = ""


@attrs.define
class Found:
    """What a file has; the last record of an address counts. `notes` are what is not taken."""

    leases: dict[IPv4Address, Foreign] = attrs.field(factory=dict)
    notes: list[tuple[int, str]] = attrs.field(factory=list)

    def add(
        self,
        *,
        line: int,
        address: str,
        mac: str,
        ends: float,
        hostname: str = "",
        active: bool = True,
    ) -> None:
        """Take a record; one that is not active ends what was there before."""
        try:
            where = IPv4Address(address)
        except ValueError:
            self.notes.append((line, f"{address} is no IPv4 address"))
            return
        self.leases.pop(where, None)
        if not active:
            return
        try:
            self.leases[where] = Foreign(line, where, parse_mac(mac), ends, hostname)
        except ValueError:
            self.notes.append((line, f"{address}: no MAC address, nobody can be told its owner"))


def dnsmasq(text: str, now: float) -> Found:
    """Read ``dnsmasq.leases``: end, MAC, address, name and client identifier in each line."""
    found = Found()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and words[0] == "duid":
            found.notes.append((number, "leases of DHCPv6 are not taken over"))
            break
        if len(words) < 4 or not words[0].isdigit():
            if words:
                found.notes.append((number, "no lease of dnsmasq"))
            continue
        ends = float(words[0]) or now + FOR_EVER
        hostname = words[3].replace("*", "")
        found.add(line=number, address=words[2], mac=words[1], ends=ends, hostname=hostname)
    return found


def isc(text: str, now: float) -> Found:
    """Read ``dhcpd.leases``: blocks that are written anew whenever something changes."""
    found = Found()
    for number, address, block in _isc_blocks(text):
        state = _first(r"^\s*binding state (\w+);", block)
        ends = _isc_time(_first(r"^\s*ends ([^;]+);", block), now)
        mac = _first(r"^\s*hardware ethernet ([^;]+);", block)
        name = _first(r'^\s*client-hostname "([^"]*)";', block)
        active = state in ("active", "")
        found.add(line=number, address=address, mac=mac, ends=ends, hostname=name, active=active)
    return found


def _isc_blocks(text: str) -> Iterator[tuple[int, str, str]]:
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        begin = _ISC_LEASE.match(line)
        if begin is None:
            continue
        block = []
        for _, inner in lines:
            if inner.startswith("}"):
                break
            block.append(inner)
        yield number, begin[1], "\n".join(block)


def _first(pattern: str, block: str) -> str:
    match = re.search(pattern, block, re.MULTILINE)
    return match[1] if match else ""


def _isc_time(text: str, now: float) -> float:
    if text == "never":
        return now + FOR_EVER
    match = _ISC_TIME.match(text)
    if match is None:
        return 0.0
    if match[7]:
        return float(match[7])
    return float(timegm(tuple(int(part) for part in match.groups()[:6])))


def kea(text: str, now: float) -> Found:
    """Read Kea's ``kea-leases4.csv``: a row for each change."""
    found = Found()
    rows = csv.DictReader(text.splitlines())
    for row in rows:
        address, mac = row.get("address") or "", row.get("hwaddr") or ""
        ends, lasts = row.get("expire") or "0", row.get("valid_lifetime") or ""
        if not ends.isdigit():
            found.notes.append((rows.line_num, "no lease of Kea"))
            continue
        for_ever = lasts == str(FOR_EVER)
        active = row.get("state") in ("0", None) and lasts != "0"
        found.add(
            line=rows.line_num,
            address=address,
            mac=mac,
            ends=now + FOR_EVER if for_ever else float(ends),
            hostname=(row.get("hostname") or "").rstrip("."),
            active=active,
        )
    return found


FORMATS: dict[str, Callable[[str, float], Found]] = {"dnsmasq": dnsmasq, "isc": isc, "kea": kea}


def detect(text: str) -> str:
    """Return the name of a file's format; the simplest one if nothing speaks against it."""
    if text.startswith("address,hwaddr,"):
        return "kea"
    return "isc" if re.search(r"^lease\s+\S+\s*\{", text, re.MULTILINE) else "dnsmasq"
