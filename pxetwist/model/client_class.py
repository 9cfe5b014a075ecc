"""Classes of clients: what some of them are told, whichever network they are in."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pxetwist.model.boot import BootRequest
from pxetwist.model.lease import AS_USUAL, Layer, LeaseTimes, Network

#: Whether a request, whose machine is known if any directory knows it, fulfils a condition at a
#: time (seconds since the epoch).
Condition = Callable[[BootRequest, float], bool]
#: Says why it does not.
Reason = Callable[[BootRequest, float], str]


@attrs.frozen(eq=False)
class ClientClass:
    """Clients that `matches` picks, and what they get.

    `networks` are the names of networks or shared networks that it holds in; none means all.
    A `passing` one looks at the time.
    """

    name: str
    matches: Condition
    layer: Layer
    lease_times: LeaseTimes = AS_USUAL
    networks: frozenset[str] = frozenset()
    why: Reason = lambda request, now: ""
    passing: bool = False

    def holds_in(self, network: Network) -> bool:
        """Whether it means anything in a network."""
        return not self.networks or bool(self.networks & {network.name, network.shared})
