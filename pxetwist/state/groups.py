"""What is stored together: changes of leases and wishes of commands; and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred

from pxetwist.errors import StateUnavailable
from pxetwist.model.lease import Lease


class StoredNoMore(StateUnavailable):
    """What was stored has been taken away: not even that may be acknowledged."""


@attrs.define(eq=False)
class Change:
    """A record on its way to be stored, and the one before it if it never gets there. One that is
    stored needs not be stored again, if it ends at the moment that is `enough` or later.

    `then` is told how it ended. `request` is the number of the :class:`Wish` of a command that it
    fulfils.
    """

    record: Lease
    before: Lease | None
    since: float
    enough: float
    then: Callable[[Exception | None], None]
    request: int = 0


@attrs.frozen
class Wish:
    """What a command has asked of the running server: its number, and the record to be made."""

    number: int
    record: Lease


@attrs.frozen
class Refusal:
    """What a command is told of a wish that cannot be fulfilled."""

    number: int
    reason: str


@attrs.define
class Group:
    """What the thread does at once. `look`: others' changes are wanted now, by somebody;
    records that ended before `prune` are too old.
    """

    changes: list[Change] = attrs.field(factory=list)
    refusals: list[Refusal] = attrs.field(factory=list)
    looks: list[Deferred[None]] = attrs.field(factory=list)
    prune: float = -math.inf
    last: bool = False

    def add(self, item: Change | Refusal | Deferred[None] | float | None) -> None:
        """Put an item of the queue where it belongs; `None` is the last one."""
        match item:
            case Change():
                self.changes.append(item)
            case Refusal():
                self.refusals.append(item)
            case Deferred():
                self.looks.append(item)
            case None:
                self.last = True
            case _:
                self.prune = max(self.prune, item)

    @property
    def empty(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self.changes or self.looks)


@attrs.frozen
class Outcome:
    """What came of a group: changes that lost against another server's, each with the record
    that is there; others' changes; wishes of commands.
    """

    lost: Mapping[Change, Lease | None] = attrs.field(factory=dict)
    news: Sequence[Lease] = ()
    wishes: Sequence[Wish] = ()


class Ledger(Protocol):
    """What stores leases; used by one thread, after `load`.

    `interval` is how often (seconds) it wants to look for what others have changed; if it is
    `alone`, they change nothing but by us.
    """

    interval: float
    alone: bool

    def load(self) -> Iterable[Lease]:
        """Return the records, those that end first first; none if it can tell them later only."""

    def exchange(self, group: Group) -> Outcome:
        """Store a group durably, and look for what others have changed; raise if it cannot."""

    def close(self) -> None:
        """Let go of it."""
