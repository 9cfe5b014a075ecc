"""What directories have promised to machines, and which machines are known without asking."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from typing import Any

import attrs

from pxetwist.boot.guard import Bugs
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
    """Asks the directories, and the leases, as far as they have it at hand. One that has a bug
    takes nothing from the others: what it promised before still counts.
    """

    def __init__(
        self,
        sightings: Sightings,
        directories: Collection[tuple[str, Any]],
        leases: Any,
        bugs: Bugs,
    ) -> None:
        self._sightings = sightings
        self._bugs = bugs
        named = [(f"hosts {name}", each) for name, each in directories]
        self._reservations = [pair for pair in named if IReservations.providedBy(pair[1])]
        self._promised: dict[str, Collection[IPv4Address | IPv6Address]] = {}
        memories = (*named, ("state", leases))
        self._memories = [pair for pair in memories if IRemembers.providedBy(pair[1])]

    def addresses(self) -> Collection[IPv4Address | IPv6Address]:
        """Collect what the directories have promised."""
        for who, each in self._reservations:
            try:
                part = each.reserved_addresses()
                if part and not isinstance(one := next(iter(part)), IPv4Address | IPv6Address):
                    raise TypeError(f"reserved_addresses returns a {type(one).__name__}")
            except Exception as error:
                self._bugs.note(who, error)
            else:
                self._promised[who] = part
        filled = tuple(part for part in self._promised.values() if part)
        return filled[0] if len(filled) == 1 else _Joined(filled) if filled else ()

    def remembers(self, mac: str, now: float) -> bool:
        """Look where it costs nothing: at what was found out, then at what is at hand."""
        sighting = self._sightings.get(mac, now)
        if sighting is not None and sighting.machine is not None:
            return True
        return any(self._remembered(who, each, mac) for who, each in self._memories)

    def _remembered(self, who: str, memory: Any, mac: str) -> bool:
        try:
            return bool(memory.remembers(mac))
        except Exception as error:
            self._bugs.note(who, error)
            return False
