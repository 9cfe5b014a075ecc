"""Machines that nobody knows yet, and what they say of themselves."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from contextlib import suppress

import attrs

#: What a machine may report, and what people call it.
FACTS = {
    "uuid": "UUID",
    "serial": "serial number",
    "asset": "asset tag",
    "manufacturer": "manufacturer",
    "product": "product",
    "memsize": "memory in MiB",
    "cpuvendor": "CPU vendor",
    "cpumodel": "CPU",
    "platform": "platform",
    "buildarch": "architecture",
    "chip": "network chip",
    "busid": "bus id",
    "ip": "address",
}
#: A fact is cut to this many characters.
LENGTH = 100


class DiscoveryState(enum.Enum):
    """What people decided about a machine."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


@attrs.frozen
class Discovery:
    """One machine that has reported. `code` is what its screen shows. It waits `since` this time
    (seconds since the epoch) in its present boot. `facts` are data that anybody on the network
    may have chosen.
    """

    mac: str
    code: str
    state: DiscoveryState
    first: float
    last: float
    boot_id: str
    since: float
    name: str = ""
    facts: Mapping[str, str] = attrs.field(factory=dict)


def tidy_facts(said: Mapping[str, str]) -> dict[str, str]:
    """Return the facts that we know how to show, each one short line of printable text.

    A fact may be spelled ``serial=…``, or ``serial.hex=…`` in hexadecimal.
    """
    found = {}
    for name in FACTS:
        text = said.get(name, "")
        with suppress(ValueError):
            text = text or bytes.fromhex(said.get(f"{name}.hex", "")).decode("utf-8", "replace")
        words = " ".join(text.split())[:LENGTH]
        if words:
            found[name] = "".join(c if c.isprintable() else "\ufffd" for c in words)
    return found
