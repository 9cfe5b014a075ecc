"""What was decided lately: nobody is decided about twice without need.

A client that takes an offer up gets what was offered. Beyond that a decision counts for as long as
none of those who made it has read anything new.
"""

from __future__ import annotations

import attrs

from pxetwist.model.boot import BootRequest, Resolution

#: So long (seconds) an offer is what its acknowledgement will say. Clients answer sooner; who
#: does not is decided about anew.
OFFER_HOLDS = 10.0


#: The editions of all that was asked; `None`: somebody wants to be asked each time.
Edition = tuple[int, ...] | None


@attrs.frozen
class _Offer:
    resolution: Resolution
    time: float
    edition: Edition


class Offers:
    """The latest decision about each machine; bounded."""

    def __init__(self, limit: int = 16_384) -> None:
        self._limit = limit
        self._offers: dict[str, _Offer] = {}

    def note(self, resolution: Resolution, now: float, edition: Edition = None) -> None:
        """Keep a decision."""
        offers, key = self._offers, resolution.request.identity.key
        offers.pop(key, None)
        offers[key] = _Offer(resolution, now, edition)
        if len(offers) > self._limit:
            del offers[next(iter(offers))]

    def recall(
        self, request: BootRequest, now: float, edition: Edition = None
    ) -> Resolution | None:
        """Return what was decided about the same question, if that is so still, or if the client
        takes it up: that it may do once.
        """
        key = request.identity.key
        offer = self._offers.get(key)
        if offer is None:
            return None
        asked = offer.resolution.request
        if (
            asked.stage is not request.stage
            or asked.protocol is not request.protocol
            or asked.endpoints != request.endpoints
            or asked.identity != request.identity
        ):
            return None
        if edition is None or edition != offer.edition:
            if not request.accepts:
                return None
            del self._offers[key]
            if asked.boot_id != request.boot_id or now - offer.time > OFFER_HOLDS:
                return None
        found = offer.resolution
        return Resolution(
            request.answered(asked.machine, asked.plan), found.verdict, found.steps, found.reason
        )

    def forget(self) -> None:
        """Let everything be decided anew."""
        self._offers.clear()
