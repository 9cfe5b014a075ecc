"""The kernel's neighbour table: which MAC speaks from an address of our own link."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

_TABLE = Path("/proc/net/arp")
_COMPLETE = 0x2


def neighbour_mac(address: IPv4Address, table: Path = _TABLE) -> str:
    """Return the MAC of a neighbour, or an empty text.

    The machine has just sent us a packet, so the kernel knows it if it is on our link. This
    names a client whose address a foreign DHCP server gave.
    """
    wanted = str(address)
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return ""
    for line in lines:
        fields = line.split()
        if len(fields) >= 4 and fields[0] == wanted and int(fields[2], 16) & _COMPLETE:
            mac = fields[3].lower()
            return "" if mac == "00:00:00:00:00:00" else mac
    return ""
