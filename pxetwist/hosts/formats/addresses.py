"""Files like ``/etc/hosts``: an address, then its names (hosts(5))."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from pxetwist.hosts.formats.rows import NamedAddress, Report


def rows(text: str, report: Report) -> Iterator[NamedAddress]:
    """Yield the names of IPv4 addresses; those of the machine itself are nobody's."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            address = ip_address(words[0])
        except ValueError:
            report.add(number, f"expected an address and its names, got {line.strip()!r}")
            continue
        if len(words) < 2:
            report.add(number, f"expected names after {words[0]}")
        elif isinstance(address, IPv4Address) and not address.is_loopback:
            yield NamedAddress(number, tuple(words[1:]), address)
