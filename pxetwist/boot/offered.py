"""What was decided lately: nobody is decided about twice without need.

A client that takes an offer up gets what was offered. Beyond that a decision counts for as long as
none of those who made it has read anything new.
"""

from __future__ import annotations

import attrs

from pxetwist.model.boot import BootRequest, Edition, Resolution
from pxetwist.model.recent import Recent

#: So long (seconds) an offer is what its acknowledgement will say. Clients answer sooner; who
#: does not is decided about anew.
OFFER_HOLDS = 10.0


@attrs.define
class _Offer:
    """A decision for a boot; one that is `open` was not taken up so far."""

    resolution: Resolution
    boot_id: str
    time: float
    edition: Edition
    open: bool


class Offers:
    """The latest decision about each machine; bounded."""

    def __init__(self, limit: int = 16_384) -> None:
        self._offers: Recent[str, _Offer] = Recent(limit)

    def note(self, resolution: Resolution, now: float, edition: Edition = None) -> None:
        """Keep a decision."""
        request = resolution.request
        offer = _Offer(resolution, request.boot_id, now, edition, not request.accepts)
        self._offers.put(request.identity.key, offer)

    def recall(
        self, request: BootRequest, now: float, edition: Edition = None
    ) -> Resolution | None:
        """Return what was decided about the same question, if that is so still, or if the client
        takes it up: that it may do once.
        """
        offer = self._offers.get(request.identity.key)
        if offer is None:
            return None
        is_open = offer.open
        if request.accepts:
            offer.open = False
        asked = offer.resolution.request
        if (
            asked.stage is not request.stage
            or asked.protocol is not request.protocol
            or (asked.endpoints is not request.endpoints and asked.endpoints != request.endpoints)
            or (asked.identity is not request.identity and asked.identity != request.identity)
        ):
            return None
        lasts = edition is not None and edition == offer.edition
        if not lasts:
            taken_up = is_open and request.accepts and offer.boot_id == request.boot_id
            if not taken_up or now - offer.time > OFFER_HOLDS:
                return None
        elif not request.accepts:
            offer.open, offer.time, offer.boot_id = True, now, request.boot_id
        found = offer.resolution
        answered = request.answered(asked.machine, asked.plan)
        return Resolution(answered, found.verdict, found.steps, found.reason, lasts)

    def again(self, request: BootRequest, boot_id: str, now: float) -> None:
        """Know that the present decision about a machine was given to it once more."""
        offer = self._offers.get(request.identity.key)
        if offer is None:
            return
        offer.open = not request.accepts
        if offer.open:
            offer.time, offer.boot_id = now, boot_id

    def forget(self) -> None:
        """Let everything be decided anew."""
        self._offers.clear()
