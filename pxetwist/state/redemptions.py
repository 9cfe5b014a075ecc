"""Which secret answers were given: in a file, so that a restart forgets none."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.interfaces import IRedemptions
from pxetwist.state.database import Schema, Session, SqliteDatabase
from pxetwist.state.pooled import Pool

#: So long (seconds) after it was first given an answer that did not arrive may be had again.
GRACE = 60.0
#: So long is remembered what was given; no URL lives longer, nor is a boot's name used again.
KEPT = 86400.0
#: So often (seconds) is looked whether another process has given it.
_LOOK_EVERY = 0.1

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
        # The number of the process that is giving it just now, from 0 on.
        "alter table pxetwist_redemption add column giver integer",
    ),
)
#: Somebody else is giving it.
_BUSY = "busy"


def _claim(name: str, now: float, giver: int, session: Session) -> bool | str | None:
    session.rows("delete from pxetwist_redemption where first < :past", past=now - KEPT)
    found = session.rows(
        "select first, whole, giver from pxetwist_redemption where name = :name", name=name
    )
    if not found:
        statement = "insert into pxetwist_redemption values (:name, :now, 0, :giver)"
        session.rows(statement, name=name, now=now, giver=giver)
        return False
    [(first, whole, other)] = found
    if whole or now - first > GRACE:
        return None
    if other not in (None, giver):
        return _BUSY
    statement = "update pxetwist_redemption set giver = :giver where name = :name"
    session.rows(statement, name=name, giver=giver)
    return True


def _settle(name: str, whole: bool, session: Session) -> None:
    statement = "update pxetwist_redemption set whole = :whole, giver = null where name = :name"
    session.rows(statement, name=name, whole=int(whole))


def _give_up(giver: int, session: Session) -> None:
    """Note that a process gives nothing any more; when the server starts, none does."""
    statement = "update pxetwist_redemption set giver = null where :giver in (giver, 0)"
    session.rows(statement, giver=giver)


@implementer(IRedemptions)
class Redemptions(Service):
    """Notes what is given before it leaves, and that it has arrived afterwards.

    Several processes may share the file: `giver` is the number of this one, 0 that of the server.
    """

    _log = Logger(namespace="redemptions")

    def __init__(self, state_folder: Path, reactor: Any, giver: int = 0) -> None:
        self._database = SqliteDatabase(state_folder / "redemptions.sqlite")
        self._pool = Pool(self._database, SCHEMA, reactor, "redemptions")
        self._reactor = reactor
        self._giver = giver
        self._given: dict[str, DeferredLock] = {}

    def startService(self) -> None:
        """Know that what a former process of this number was giving is not being given."""
        super().startService()
        if os.path.exists(self._database.path):  # no, where this process may not look
            forgetting = Deferred.fromCoroutine(self._pool.change(partial(_give_up, self._giver)))
            forgetting.addErrback(lambda bad: self._log.failure("redemptions", bad))

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
            again = await self._claimed(name, now)
        finally:
            if again is None:
                self._release(name)
        return again

    async def _claimed(self, name: str, now: float) -> bool | None:
        """Wait while another process gives it."""
        while True:
            found = await self._pool.change(partial(_claim, name, now, self._giver))
            if not isinstance(found, str):
                return found
            begun = self._reactor.seconds()
            await deferLater(self._reactor, _LOOK_EVERY)
            now += self._reactor.seconds() - begun

    async def settle(self, name: str, *, whole: bool) -> None:
        """Store that it has arrived, and let the next one try."""
        try:
            await self._pool.change(partial(_settle, name, whole))
        finally:
            self._release(name)

    def _release(self, name: str) -> None:
        lock = self._given[name]
        lock.release()
        if not lock.locked:
            del self._given[name]
