"""Look-ups as conversations: what is asked, and what is asked next after the answer.

A conversation knows of no connection, so that many of them share one at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap.faults import ServerFault
from pxetwist.hosts.ldap.request import Search
from pxetwist.hosts.ldap.schema import Entry

T = TypeVar("T")

#: Yields searches, is sent the entries that each one found, and returns what came of it all.
Conversation = Generator[Search, Sequence[Entry], T]


class Asks(Protocol):
    """What is talked to: a session with a server."""

    def send(self, searches: Iterable[Search]) -> None:
        """Ask, without waiting."""

    def receive(self) -> Iterable[tuple[Search, Sequence[Entry] | DirectoryUnavailable]]:
        """Wait for what comes of some searches."""


@attrs.define(eq=False)
class Talk(Generic[T]):
    """A conversation on its way, and when it has `ended` its outcome."""

    conversation: Conversation[T]
    ended: bool = False
    outcome: T | Exception | None = None

    def hear(self, entries: Sequence[Entry] | None) -> Search | None:
        """Go on with an answer, with `None` at first; return the next search, if there is one."""
        try:
            return self.conversation.send(cast(Any, entries))
        except StopIteration as end:
            self.end(end.value)
        except Exception as error:
            self.end(error)
        return None

    def end(self, outcome: T | Exception) -> None:
        """Keep what has come of it."""
        self.ended, self.outcome = True, outcome


class Round(Generic[T]):
    """Talks that share a session: all ask at once, and the same thing is asked once.

    What has been answered is so for all of them, for a round lasts no longer than a moment.
    """

    def __init__(self, session: Asks) -> None:
        self._session = session
        self._known: dict[Search, Sequence[Entry]] = {}
        self._waiting: dict[Search, list[Talk[T]]] = {}
        self._unsent: list[Search] = []

    def talk(
        self,
        talks: Iterable[Talk[T]],
        more: Callable[[int], Iterable[Talk[T]]] = lambda open_: (),
    ) -> ServerFault | None:
        """Let all talks come to their ends; return the fault if the server cannot answer some.

        After each answer `more` is told how many searches are still open, and may join in.

        :raises ServerFault: if the connection breaks; talks that have not ended may be had again
            elsewhere.
        """
        fault: ServerFault | None = None
        for talk in talks:
            self._go_on(talk, None)
        while self._waiting:
            if self._unsent:
                unsent, self._unsent = self._unsent, []
                self._session.send(unsent)
            for search, answer in self._session.receive():
                hearers = self._waiting.pop(search)
                if isinstance(answer, ServerFault):
                    fault = answer
                elif isinstance(answer, DirectoryUnavailable):
                    for talk in hearers:
                        talk.end(answer)
                else:
                    self._known[search] = answer
                    for talk in hearers:
                        self._go_on(talk, answer)
            for talk in more(len(self._waiting)):
                self._go_on(talk, None)
        return fault

    def _go_on(self, talk: Talk[T], heard: Sequence[Entry] | None) -> None:
        search = talk.hear(heard)
        while search is not None and search in self._known:
            search = talk.hear(self._known[search])
        if search is None:
            return
        if search in self._waiting:
            self._waiting[search].append(talk)
        else:
            self._waiting[search] = [talk]
            self._unsent.append(search)
