"""What parts of the server have learned, and want to know after a restart: short texts by topic
and key, in memory or in a database. Of each topic only so many are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from pxetwist.interfaces import INotes
from pxetwist.state.database import Database, Schema, Session
from pxetwist.state.pooled import Pool

SCHEMA = Schema(
    "note",
    (
        """
        create table pxetwist_note (
            topic text not null,
            key text not null,
            content text not null,
            made double precision not null,
            primary key (topic, key)
        );
        create index pxetwist_note_made on pxetwist_note (topic, made)
        """,
    ),
)


@implementer(INotes)
class MemoryNotes:
    """Notes that are forgotten when the server stops."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[str, str]] = {}

    async def recall(self, topic: str) -> Mapping[str, str]:
        """Return the notes of a topic."""
        return dict(self._topics.get(topic, {}))

    async def remember(self, topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        """Keep notes until the server stops."""
        kept = self._topics.setdefault(topic, {})
        for key, content in notes.items():
            kept.pop(key, None)
            kept[key] = content
        while len(kept) > limit:
            del kept[next(iter(kept))]

    def stop(self) -> Deferred[None] | None:
        """There is nothing to wait for."""
        return None


@implementer(INotes)
class DatabaseNotes:
    """Notes in a database; nothing is opened before somebody asks or has something to keep."""

    def __init__(self, database: Database, reactor: Any, name: str) -> None:
        self._pool = Pool(database, SCHEMA, reactor, f"notes {name}")

    async def recall(self, topic: str) -> Mapping[str, str]:
        """Return the notes of a topic."""
        nothing: Mapping[str, str] = {}
        return await self._pool.read(partial(_recalled, topic), nothing)

    async def remember(self, topic: str, notes: Mapping[str, str], limit: int, now: float) -> None:
        """Store notes, and forget the oldest beyond the limit."""
        await self._pool.change(partial(_remember, topic, notes, limit, now))

    def stop(self) -> Deferred[None] | None:
        """Take no more; fire when what runs has ended."""
        return self._pool.stop()


def _recalled(topic: str, session: Session) -> Mapping[str, str]:
    statement = "select key, content from pxetwist_note where topic = :topic order by made, key"
    return dict(session.rows(statement, topic=topic))


def _remember(
    topic: str, notes: Mapping[str, str], limit: int, now: float, session: Session
) -> None:
    for key, content in sorted(notes.items()):  # in one order, whichever server stores them
        session.rows(
            "insert into pxetwist_note values (:topic, :key, :content, :made)"
            " on conflict (topic, key) do update set content = :content, made = :made",
            topic=topic,
            key=key,
            content=content,
            made=now,
        )
    session.rows(
        "delete from pxetwist_note where topic = :topic and key not in (select key from"
        " pxetwist_note where topic = :topic order by made desc, key limit :limit)",
        topic=topic,
        limit=limit,
    )
