"""What commands may do with the leases of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pxetwist.model.lease import Lease


class Desk(Protocol):
    """What a store lets commands do with its leases."""

    def leases(self) -> list[Lease]:
        """Return every record, in the order of addresses.

        :raises StateUnavailable: if they cannot be read.
        """

    def carry_out(self, wishes: Sequence[Lease], now: float) -> list[str]:
        """Make these records, and return for each an empty text, or why it was not made.

        :raises StateUnavailable: if that cannot be done.
        """
