"""Which format a file has: by its name, else by its first lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pxetwist.hosts.formats import addresses, csv, dnsmasq, ethers, ini, isc, json, yaml
from pxetwist.hosts.formats.rows import Format

AUTO = "auto"
#: Every format, by its name in the INI.
FORMATS: Mapping[str, Format] = {
    "csv": csv.rows,
    "ini": ini.rows,
    "json": json.rows,
    "yaml": yaml.rows,
    "dnsmasq": dnsmasq.rows,
    "isc": isc.rows,
    "ethers": ethers.rows,
    "hosts": addresses.rows,
}

_SUFFIXES = {".csv": "csv", ".ini": "ini", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_NAMES = {"ethers": "ethers", "hosts": "hosts", "dhcpd.conf": "isc", "dnsmasq.conf": "dnsmasq"}

_MAC = r"(?:[0-9a-f]{1,2}[:-]){5}[0-9a-f]{1,2}"
#: What a line of each format looks like, the most telling first.
_LINES = (
    (
        "isc",
        re.compile(
            r"(host|group|subnet|shared-network|class)\b([^=,]*\{|[^=,:;]*$)|[^={}]+;\s*(#.*)?$"
        ),
    ),
    ("ini", re.compile(r"\[[^\]\"{]+\]$")),
    ("json", re.compile(r"[\[{]")),
    ("ethers", re.compile(rf"{_MAC}\s+[\w.-]+\s*(#.*)?$", re.IGNORECASE)),
    ("hosts", re.compile(r"(\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]+(%\w+)?)\s+[\w.-]+", re.I)),
    ("csv", re.compile(r"(?=.*\bname\b)[\w.\s-]+(,[\w.\s-]+)+$", re.IGNORECASE)),
    ("dnsmasq", re.compile(r"(--)?[a-z][a-z0-9-]*\s*(=|$)|(id:\S+|[\w.:*-]+)\s?,\S", re.I)),
    ("yaml", re.compile(r"---|- |[^\s:,]+:(\s|$)")),
)


def format_of(file: Path, text: str) -> str | None:
    """Return the name of a file's format; empty if it says nothing, `None` if it is not known."""
    known = _SUFFIXES.get(file.suffix.lower()) or _NAMES.get(file.name.lower())
    if known:
        return known
    lines = (line.strip() for line in text.splitlines())
    telling = (line for line in lines if line and line[0] not in "#;")
    first = next(telling, "")
    if not first:
        return ""
    return next((name for name, pattern in _LINES if pattern.match(first)), None)
