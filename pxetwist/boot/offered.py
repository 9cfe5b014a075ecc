"""What was offered a moment ago: a client that takes an offer up is not decided about twice."""

from __future__ import annotations

import attrs

from pxetwist.model.boot import BootRequest, Resolution

#: So long (seconds) an offer is what its acknowledgement will say. Clients answer sooner; who
#: does not is decided about anew.
OFFER_HOLDS = 10.0


@attrs.frozen
class _Offer:
    resolution: Resolution
    time: float


class Offers:
    """The latest decision about each machine, until it is taken up; bounded."""

    def __init__(self, limit: int = 16_384) -> None:
        self._limit = limit
        self._offers: dict[str, _Offer] = {}

    def note(self, resolution: Resolution, now: float) -> None:
        """Keep a decision until the machine takes it up."""
        offers, key = self._offers, resolution.request.identity.key
        offers.pop(key, None)
        offers[key] = _Offer(resolution, now)
        if len(offers) > self._limit:
            del offers[next(iter(offers))]

    def take(self, request: BootRequest, now: float) -> Resolution | None:
        """Return, once, what was decided about the same question of the same boot."""
        offer = self._offers.pop(request.identity.key, None)
        if offer is None or now - offer.time > OFFER_HOLDS:
            return None
        asked = offer.resolution.request
        same = (
            asked.boot_id == request.boot_id
            and asked.stage is request.stage
            and asked.protocol is request.protocol
            and asked.endpoints == request.endpoints
            and asked.identity == request.identity
        )
        return offer.resolution if same else None

    def forget(self) -> None:
        """Let everything be decided anew."""
        self._offers.clear()
