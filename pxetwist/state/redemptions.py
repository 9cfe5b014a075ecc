"""Which secret answers were given: in a file, so that a restart forgets none."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from zope.interface import implementer

from pxetwist.interfaces import IRedemptions
from pxetwist.state.database import Schema, Session, SqliteDatabase
from pxetwist.state.pooled import Pool

#: So long (seconds) after it was first given an answer that did not arrive may be had again.
GRACE = 60.0
#: So long is remembered what was given; no URL lives longer, nor is a boot's name used again.
KEPT = 86400.0

SCHEMA = Schema(
    "redemptions",
    (
        """
        create table pxetwist_redemption (
            name text primary key,
            first double precision not null,
            whole integer not null
        );
        create index pxetwist_redemption_first on pxetwist_redemption (first)
        """,
    ),
)


def _claim(name: str, now: float, session: Session) -> bool | None:
    session.rows("delete from pxetwist_redemption where first < :past", past=now - KEPT)
    found = session.rows(
        "select first, whole from pxetwist_redemption where name = :name", name=name
    )
    if not found:
        session.rows("insert into pxetwist_redemption values (:name, :now, 0)", name=name, now=now)
        return False
    [(first, whole)] = found
    return True if not whole and now - first <= GRACE else None


def _settle(name: str, session: Session) -> None:
    session.rows("update pxetwist_redemption set whole = 1 where name = :name", name=name)


@implementer(IRedemptions)
class Redemptions(Service):
    """Notes what is given before it leaves, and that it has arrived afterwards."""

    def __init__(self, state_folder: Path, reactor: Any) -> None:
        database = SqliteDatabase(state_folder / "redemptions.sqlite")
        self._pool = Pool(database, SCHEMA, reactor, "redemptions")
        self._given: dict[str, DeferredLock] = {}

    def stopService(self) -> Deferred[None] | None:
        """Let what is being stored be stored."""
        super().stopService()
        return self._pool.stop()

    async def claim(self, name: str, now: float) -> bool | None:
        """Take it, when nobody else has it any more."""
        lock = self._given.setdefault(name, DeferredLock())
        await lock.acquire()
        again = None
        try:
            again = await self._pool.change(partial(_claim, name, now))
        finally:
            if again is None:
                self._release(name)
        return again

    async def settle(self, name: str, *, whole: bool) -> None:
        """Store that it has arrived, and let the next one try."""
        try:
            if whole:
                await self._pool.change(partial(_settle, name))
        finally:
            self._release(name)

    def _release(self, name: str) -> None:
        lock = self._given[name]
        lock.release()
        if not lock.locked:
            del self._given[name]
