"""Classes of clients: what some of them are told, whichever network they are in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import attrs

from pxetwist.model.boot import BootRequest
from pxetwist.model.lease import AS_USUAL, Layer, LeaseTimes, Network
from pxetwist.model.machine import Machine

#: Whether a request, whose machine is known if any directory knows it, fulfils a condition at a
#: time (seconds since the epoch).
Condition = Callable[[BootRequest, float], bool]
#: Says why it does not.
Reason = Callable[[BootRequest, float], str]
#: Says what looks wrong, if these are all machines.
Doubts = Callable[[Collection[Machine]], Iterable[str]]


@attrs.frozen(eq=False)
class ClientClass:
    """Clients that `matches` picks, and what they get.

    `networks` are the names of networks or shared networks that it holds in; none means all.
    A `passing` one looks at the time. `doubts` are about what it asks for and no machine has.
    """

    name: str
    matches: Condition
    layer: Layer
    lease_times: LeaseTimes = AS_USUAL
    networks: frozenset[str] = frozenset()
    why: Reason = lambda request, now: ""
    doubts: Doubts = lambda machines: ()
    passing: bool = False

    def holds_in(self, network: Network) -> bool:
        """Whether it means anything in a network."""
        return not self.networks or bool(self.networks & {network.name, network.shared})
