"""What happens to machines, for those who watch."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs


class EventKind(enum.Enum):
    """What happened."""

    ANSWERED = "answered"  # a DHCP, ProxyDHCP or 4011 reply left
    SILENT = "silent"  # nothing was sent, on purpose or for a fault
    ENDED = "ended"  # a transfer ended whole
    FAILED = "failed"  # a transfer ended before its end
    CALLBACK = "callback"  # a machine said how far it is
    MOUNTED = "mounted"  # a machine was given its root
    SAID = "said"  # a line of a machine's own log
    ORDER = "order"  # an order was taken, or came to its end
    CONFLICT = "conflict"  # an address that was to be offered is in use by somebody else
    VARIANT = "variant"  # ProxyDHCP offers it otherwise from now on, or found what it takes
    NEIGHBOUR = "neighbour"  # another DHCP server was found, has changed or has gone
    REDEEMED = "redeemed"  # an answer file was asked for with its URL, and is given
    REFUSED = "refused"  # an answer file was asked for, and is not given
    DISCOVERED = "discovered"  # an unknown machine said what it is


@attrs.frozen
class BootEvent:
    """One thing that happened to one machine at `time` (seconds since the epoch).

    `summary` is one line for people; `details` are the same facts for programs.
    """

    time: float
    kind: EventKind
    protocol: str
    machine: str  # its name, else its key, else its address
    boot_id: str = ""
    stage: str = ""
    summary: str = ""
    details: Mapping[str, object] = attrs.field(factory=dict)
