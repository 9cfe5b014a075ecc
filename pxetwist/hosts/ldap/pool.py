"""Sessions with several servers: kept open, the next server when one fails, a rest for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

import attrs
from twisted.logger import Logger

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap.faults import BindRefused, ServerFault
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import Uri

T = TypeVar("T")

#: Sessions that have rested longer (seconds) are not used again: firewalls forget connections
#: after 5 minutes, domain controllers end them after 15.
_IDLE = 240.0
_STOPPED = "the directory is being stopped"


@attrs.define(eq=False)
class _Server:
    """One server: its sessions at rest, and until when (seconds) it is left in peace."""

    uri: Uri
    idle: list[tuple[Session, float]] = attrs.field(factory=list)
    resting: float = float("-inf")
    failed: bool = False


class SessionPool:
    """Lends sessions to threads; at most `size` are open at rest."""

    def __init__(
        self,
        servers: Sequence[Uri],
        connect: Callable[[Uri, Callable[[Session], None]], Session],
        *,
        size: int,
        back_off: float,
        clock: Callable[[], float],
        log: Logger,
    ) -> None:
        self._servers = [_Server(uri) for uri in servers]
        self._connect = connect
        self._size = size
        self._back_off = back_off
        self._clock = clock
        self._log = log
        self._lock = Lock()
        self._busy: set[Session] = set()
        self._closed = False
        self._refused: tuple[float, BindRefused] | None = None

    def ask(self, work: Callable[[Session], T]) -> T:
        """Do work with a session of the first server that can do it; blocks.

        :raises DirectoryUnavailable: if none can, with what each of them said.
        """
        self._spare_the_account()
        said: list[str] = []
        for server in self._in_order():
            try:
                return self._ask(server, work)
            except BindRefused as refused:
                self._refused = (self._clock() + self._back_off, refused)
                raise
            except ServerFault as fault:
                said.append(str(fault))
                self._fail(server, fault)
        raise DirectoryUnavailable("; ".join(said))

    def close(self) -> None:
        """End all sessions, also those that threads wait on: these wake up with a fault."""
        with self._lock:
            self._closed = True
            sessions = [*self._busy, *(each for s in self._servers for each, _ in s.idle)]
            for server in self._servers:
                server.idle.clear()
        for session in sessions:
            session.close()

    def _ask(self, server: _Server, work: Callable[[Session], T]) -> T:
        """Work with a session at rest, or with a new one: servers end those at rest."""
        while (session := self._rested(server)) is not None:
            try:
                return self._worked(server, session, work)
            except ServerFault as fault:
                if fault.silent:
                    raise
        return self._worked(server, self._opened(server), work)

    def _worked(self, server: _Server, session: Session, work: Callable[[Session], T]) -> T:
        """Work, then lay the session to rest; if the work fails it is closed."""
        try:
            result = work(session)
        except BaseException as error:
            whole = isinstance(error, DirectoryUnavailable) and not isinstance(error, ServerFault)
            self._give_back(server, session, whole)
            raise
        self._give_back(server, session, True)
        return result

    def _opened(self, server: _Server) -> Session:
        if self._closed:
            raise DirectoryUnavailable(_STOPPED)
        begun: list[Session] = []

        def begin(session: Session) -> None:
            with self._lock:
                if self._closed:
                    raise DirectoryUnavailable(_STOPPED)
                begun.append(session)
                self._busy.add(session)

        try:
            session = self._connect(server.uri, begin)
        except BaseException:
            with self._lock:
                self._busy.difference_update(begun)
            raise
        with self._lock:
            closed = self._closed
            if not closed:
                recovered, server.failed = server.failed, False
                server.resting = float("-inf")
        if closed:
            session.close()
            raise DirectoryUnavailable(_STOPPED)
        if recovered:
            self._log.info("{uri} is back", uri=str(server.uri))
        return session

    def _rested(self, server: _Server) -> Session | None:
        """Return the session that rested least, if there is one."""
        with self._lock:
            old = [each for each, since in server.idle if self._clock() - since > _IDLE]
            server.idle = [pair for pair in server.idle if pair[0] not in old]
            found = server.idle.pop()[0] if server.idle else None
            if found is not None:
                self._busy.add(found)
        for session in old:
            session.close()
        return found

    def _give_back(self, server: _Server, session: Session, whole: bool) -> None:
        with self._lock:
            self._busy.discard(session)
            keep = whole and not self._closed
            keep = keep and sum(len(each.idle) for each in self._servers) < self._size
            if keep:
                server.idle.append((session, self._clock()))
        if not keep:
            session.close()

    def _in_order(self) -> list[_Server]:
        """Return the servers as in the settings, but those that rest behind the others."""
        with self._lock:
            if self._closed:
                raise DirectoryUnavailable(_STOPPED)
            now = self._clock()
            order = sorted(self._servers, key=lambda server: server.resting > now)
            first = order[0]
            if first.failed and first.resting <= now and len(order) > 1:
                first.resting = now + self._back_off  # one tries it, not all at once
            return order

    def _fail(self, server: _Server, fault: ServerFault) -> None:
        with self._lock:
            news = not server.failed and not self._closed
            server.failed = True
            server.resting = self._clock() + self._back_off
            sessions = [session for session, _ in server.idle]
            server.idle.clear()
        for session in sessions:
            session.close()
        if news:
            self._log.warn(
                "{fault}; asked again in {seconds:g} s", fault=str(fault), seconds=self._back_off
            )

    def _spare_the_account(self) -> None:
        """Do not knock again with a password that was refused: accounts get locked by that."""
        refused = self._refused
        if refused is not None and self._clock() < refused[0]:
            raise DirectoryUnavailable(str(refused[1]))
