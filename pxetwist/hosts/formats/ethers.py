"""``/etc/ethers``: a MAC, then a name or an address (ethers(5))."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from pxetwist.hosts.formats.rows import Report, Row, Value
from pxetwist.hosts.marks import unpadded_mac


def rows(text: str, report: Report) -> Iterator[Row]:
    """Yield the machines."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            report.add(number, f"expected a MAC and a name or address, got {line.strip()!r}")
            continue
        try:
            values: dict[str, Value] = {"mac": (unpadded_mac(words[0]),)}
        except ValueError as error:
            report.add(number, str(error))
            continue
        values["address" if is_address(words[1]) else "name"] = words[1]
        yield Row(number, values, foreign=True)


def is_address(word: str) -> bool:
    """Whether it is an IPv4 address, and no name."""
    try:
        IPv4Address(word)
    except ValueError:
        return False
    return True
