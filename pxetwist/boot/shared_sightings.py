"""Sightings of a server of several processes, on a board that all of them read.

The process that answers DHCP sees machines: it alone begins boots, and knows all of them itself.
What serves contents learns of them from the board, and adds what becomes of a boot. Each change is
on the board before the answer leaves that another process may be asked for.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

import attrs

from pxetwist.boot.sightings import PLAN_LIFE, Sighting, Sightings
from pxetwist.errors import StateUnavailable
from pxetwist.model.boot import BootPlan, BootStage
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.packing import packed, unpacked
from pxetwist.model.recent import Recent

#: That a machine was seen once more is news after so many seconds.
_SEEN_AGAIN = 10.0
#: So many boots are kept as they were read from the board, at least.
_KEPT = 4096
#: So many plans are kept as bytes, and as what these mean.
_PLANS = 1024
#: What becomes of a boot where contents are served.
_AMENDED = ("machine", "plan", "certificate", "begun")
_FIELDS = tuple(each.name for each in attrs.fields(Sighting))


class IBoard(Protocol):
    """Where notes are: :class:`pxetwist.state.board.Board` tells more of each method.

    :raises StateUnavailable: each method, if that cannot be.
    """

    @property
    def running(self) -> int:
        """Whether it is open."""

    def get(self, key: str, known: int = 0) -> tuple[int, bool, bytes | None] | None:
        """Return stamp of a note, whether its plan holds, and its content if that is news."""

    def put(self, key: str, content: bytes) -> int:
        """Put a note; return its stamp."""

    def drop(self, key: str) -> None:
        """Remove a note."""

    def forget_plans(self) -> None:
        """Let no plan hold any more."""

    def locate(self, address: int, key: str) -> None:
        """Note whose an address is."""

    def leave(self, address: int) -> None:
        """Forget whose an address is."""

    def key_at(self, address: int) -> str:
        """Return whose an address is."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other writers out."""


def _facts(sighting: Sighting) -> dict[str, Any]:
    return {name: getattr(sighting, name) for name in _FIELDS}


@lru_cache(maxsize=_PLANS)
def _plan_as_bytes(plan: BootPlan | None, settings: object) -> bytes:
    return packed(plan)


@lru_cache(maxsize=_PLANS)
def _plan_of(content: bytes) -> Any:
    return unpacked(content)


def _read(content: bytes, planned: bool) -> Sighting:
    values: Any = unpacked(content)
    sighting = Sighting(**dict(zip(_FIELDS, values, strict=True)))
    plan: Any = sighting.plan
    sighting.plan = _plan_of(plan) if planned else None
    return sighting


def _plan_written(plan: BootPlan | None) -> bytes:
    """Pack a plan; many machines have the same."""
    try:
        return _plan_as_bytes(plan, plan and plan.settings)
    except TypeError:  # not one with answers: what these are made of cannot be compared at once
        return packed(plan)


def _written(sighting: Sighting) -> bytes:
    try:
        return packed(tuple({**_facts(sighting), "plan": _plan_written(sighting.plan)}.values()))
    except ValueError as error:  # somebody's plugin makes them of what is its own
        raise StateUnavailable(f"machine and plan cannot be told to workers: {error}") from error


class PublishedSightings(Sightings):
    """Those of the process that sees machines; until the board is open they are its own."""

    def __init__(self, board: IBoard, limit: int = 100_000) -> None:
        super().__init__(limit)
        self._board = board
        self._stamps: dict[str, int] = {}
        self._stored: dict[str, dict[str, Any]] = {}

    def see(self, identity: ClientIdentity, stage: BootStage, now: float) -> Sighting:
        """Note a machine; others are told with what comes of it (:meth:`amend`)."""
        self.get(identity.key, now)
        return super().see(identity, stage, now)

    def get(self, key: str, now: float) -> Sighting | None:
        """Return a sighting, with what others have added."""
        sighting = super().get(key, now)
        if sighting is not None and self._board.running:
            self._refresh(key, sighting)
        return sighting

    def _refresh(self, key: str, sighting: Sighting) -> None:
        """Take over what others have added to the same boot."""
        found = self._board.get(key, self._stamps.get(key, 0))
        if found is None or found[2] is None:
            return
        self._stamps[key] = found[0]
        other = _read(found[2], found[1])
        if other.boot_id == sighting.boot_id:
            sighting.identity = sighting.learned(other.identity)
            for name in _AMENDED:
                setattr(sighting, name, getattr(other, name))

    def amend(self, sighting: Sighting, **news: Any) -> None:
        """Note more of a boot, and tell the others."""
        key = sighting.identity.key
        if not self._board.running or self._by_key.get(key) is not sighting:
            super().amend(sighting, **news)
        elif self._is_news(key, sighting, news):
            with self._board.exclusive():
                self._refresh(key, sighting)
                super().amend(sighting, **news)
                self._stamps[key] = self._board.put(key, _written(sighting))
            self._stored[key] = _facts(sighting)

    def _is_news(self, key: str, sighting: Sighting, news: dict[str, Any]) -> bool:
        """Whether others have something to learn; of strangers without a plan they have not."""
        stored = self._stored.get(key)
        facts = {**_facts(sighting), **news}
        if stored is None:
            return facts["plan"] is not None or facts["machine"] is not None
        if facts["last"] - stored["last"] < _SEEN_AGAIN:
            facts["last"] = stored["last"]
        return facts != stored

    def forgotten(self, key: str) -> None:
        """Take a sighting from the board as well."""
        self._stored.pop(key, None)
        if self._stamps.pop(key, None):
            self._board.drop(key)

    def locate(self, address: IPv4Address | IPv6Address, key: str) -> None:
        """Note that a machine speaks from an address, and tell the others."""
        if self._board.running and self._by_address.get(int(address)) != key:
            self._board.locate(int(address), key)
        super().locate(address, key)

    def left(self, address: int) -> None:
        """Take an address from the board as well."""
        if self._board.running:
            self._board.leave(address)

    def forget_plans(self) -> None:
        """Let every machine be decided anew, also by the others."""
        super().forget_plans()
        if self._board.running:
            self._board.forget_plans()


class BorrowedSightings(Sightings):
    """Those of a process that sees no machines itself: what is on the board."""

    def __init__(self, board: IBoard) -> None:
        super().__init__()
        self._board = board
        self._copies: Recent[str, tuple[int, Sighting]] = Recent(_KEPT)

    def see(self, identity: ClientIdentity, stage: BootStage, now: float) -> Sighting:
        """Return what is known; nothing is noted, for here nobody is seen."""
        return self.get(identity.key, now) or Sighting(identity, "", stage, now)

    def get(self, key: str, now: float) -> Sighting | None:
        """Return the sighting of a machine, if it is of its present boot."""
        copy = self._copies.get(key)
        found = self._board.get(key, copy[0] if copy else 0)
        if found is None:
            return None
        stamp, planned, content = found
        if content is not None:
            copy = (stamp, _read(content, planned))
            self._copies.put(key, copy)
        assert copy is not None
        sighting = copy[1]
        return sighting if now - sighting.last <= PLAN_LIFE else None

    def at(self, address: IPv4Address | IPv6Address, now: float) -> Sighting | None:
        """Return the machine seen at an address."""
        key = self._board.key_at(int(address))
        return self.get(key, now) if key else None

    def amend(self, sighting: Sighting, **news: Any) -> None:
        """Note more of a boot for all, if it is its machine's present one still."""
        if all(getattr(sighting, name) == value for name, value in news.items()):
            return
        key = sighting.identity.key
        super().amend(sighting, **news)
        with self._board.exclusive():
            found = self._board.get(key)
            present = _read(found[2], found[1]) if found and found[2] is not None else None
            if present is not None and present.boot_id == sighting.boot_id:
                super().amend(present, **news)
                self._copies.put(key, (self._board.put(key, _written(present)), present))

    def locate(self, address: IPv4Address | IPv6Address, key: str) -> None:
        """Leave it to those who see machines."""

    def forget_plans(self) -> None:
        """Let every machine be decided anew: what this process knew was old."""
        self._board.forget_plans()
