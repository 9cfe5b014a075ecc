"""What directories have promised to machines, and which machines are known without asking."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from typing import Any

import attrs

from pxetwist.boot.sightings import Sightings
from pxetwist.interfaces import IRemembers, IReservations


@attrs.frozen
class _Joined(Collection[IPv4Address | IPv6Address]):
    """What several directories have promised, looked up where it is: they may be large."""

    _parts: tuple[Collection[IPv4Address | IPv6Address], ...]

    def __contains__(self, address: object) -> bool:
        return any(address in part for part in self._parts)

    def __iter__(self) -> Iterator[IPv4Address | IPv6Address]:
        return chain.from_iterable(self._parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))


class Promises:
    """Asks the directories, and the leases, as far as they have it at hand."""

    def __init__(self, sightings: Sightings, directories: Collection[Any], leases: Any) -> None:
        self._sightings = sightings
        self._reservations = [each for each in directories if IReservations.providedBy(each)]
        memories = (*directories, leases)
        self._memories = [each for each in memories if IRemembers.providedBy(each)]

    def addresses(self) -> Collection[IPv4Address | IPv6Address]:
        """Collect what the directories have promised."""
        parts = [each.reserved_addresses() for each in self._reservations]
        filled = tuple(part for part in parts if part)
        return filled[0] if len(filled) == 1 else _Joined(filled) if filled else ()

    def remembers(self, mac: str, now: float) -> bool:
        """Look where it costs nothing: at what was found out, then at what is at hand."""
        sighting = self._sightings.get(mac, now)
        if sighting is not None and sighting.machine is not None:
            return True
        return any(each.remembers(mac) for each in self._memories)
