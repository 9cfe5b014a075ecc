"""What a machine says of itself, through a URL that was made for it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pxetwist.model.boot import Endpoints
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine


@attrs.frozen
class MachineReport:
    """One report. `topic` and `word` are of the URL (``callback`` and ``done``), `text` is the
    beginning of its body, `facts` its query: all of them data that anybody on the network may
    have chosen. Identity and boot id are those that the URL was made for; `machine` is
    what directories know of it, of a call-back.
    """

    topic: str
    identity: ClientIdentity
    boot_id: str
    time: float
    word: str = ""
    text: str = ""
    facts: Mapping[str, str] = attrs.field(factory=dict)
    endpoints: Endpoints = attrs.field(factory=Endpoints)
    machine: Machine | None = None
