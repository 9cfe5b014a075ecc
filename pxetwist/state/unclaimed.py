"""Offers that nobody has taken: a flood of invented clients must not fill the memory with them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

#: So many stay remembered for the return of their clients. With more of them, their addresses go
#: to new clients before any that was never used.
KEPT = 1024
_LOOKED_AT = 4  # of the oldest ones, for each new client


class Unclaimed:
    """The addresses of one network (as numbers) that were offered, in the order of the offers."""

    def __init__(self) -> None:
        self._numbers: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int) -> None:
        """Note an offer."""
        self._numbers.setdefault(number)

    def discard(self, number: int) -> None:
        """Note that an offer was taken."""
        self._numbers.pop(number, None)

    def spare(self, free: Callable[[int], bool]) -> int | None:
        """Return an address that is free again, if there are more of them than need be kept."""
        if len(self._numbers) <= KEPT:
            return None
        for number in list(islice(self._numbers, _LOOKED_AT)):
            del self._numbers[number]
            if free(number):
                return number
            self._numbers[number] = None
        return None
