"""Machines from a database, by a query of the site's own."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from threading import Thread

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from pxetwist.config.fields import OptionText, integer, option, path, secret_file
from pxetwist.errors import ConfigError, DirectoryUnavailable
from pxetwist.hosts.cache import CacheSettings, cached
from pxetwist.hosts.facts import AnswerUnusable, machine_of
from pxetwist.hosts.parameters import parameters_of
from pxetwist.hosts.sql_query import Query, query
from pxetwist.hosts.sql_sessions import (
    Database,
    PostgresServer,
    Rows,
    Session,
    SessionLost,
    SqliteFile,
    Values,
)
from pxetwist.interfaces import IHostDirectory, Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.state.postgres import postgres_title, postgres_url
from pxetwist.threads import Errand, GivenUp, Threads

#: A late answer is still good for the ROM's next attempt: statements may take so many deadlines.
_PATIENCE = 2.5
#: So long (seconds) the start waits for a database; the query of one that is away is checked
#: when it is there.
_START = 3.0


def database(value: str) -> SqliteFile | PostgresServer:
    """Expect sqlite:FILE or postgresql://USER@HOST/DATABASE, without a password."""
    scheme, _, rest = value.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteFile(path(OptionText.of(value).part(rest)))
    if scheme not in ("postgresql", "postgres") or not rest.startswith("//"):
        # the text is not shown: it might hold a password
        raise ValueError("expected sqlite:FILE or postgresql://USER@HOST/DATABASE")
    return PostgresServer(postgres_url(value), postgres_title(value))


@attrs.frozen
class Settings(CacheSettings):
    """Which database, and how to ask it."""

    database: SqliteFile | PostgresServer = option(
        database, doc="The database: sqlite:FILE or postgresql://USER@HOST/DATABASE?OPTIONS."
    )
    password_file: str = option(
        secret_file, default="", doc="A file with the password, for PostgreSQL."
    )
    # each is a connection, of which PostgreSQL has 100 for all its clients
    pool: int = option(
        integer(1, 100), default=16, doc="So many questions are put at the same time."
    )
    query: Query = option(
        query,
        doc="One SELECT with parameters like :mac. Its columns name, mac, uuid, address, address6,"
        " groups, serial, asset, certificate, client_id, circuit_id and remote_id are fields, all"
        " others are labels.",
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what has no effect.

        :raises ValueError: if a file of SQLite's is given a password.
        """
        if self.password_file and isinstance(self.database, SqliteFile):
            raise ValueError("password-file is for PostgreSQL: SQLite has no passwords")


@implementer(IHostDirectory)
class SqlDirectory(Service):
    """Puts one query to a database, from threads of its own."""

    def __init__(self, database: Database, settings: Settings, site: Site) -> None:
        self._database = database
        self._query = settings.query
        self._patience = settings.deadline * _PATIENCE
        self._site = site
        self._idle: deque[Session] = deque()
        self._threads = Threads(site.reactor, f"hosts {site.name}", settings.pool)

    def check(self) -> None:
        """Let the database read the query, if it is there.

        :raises ConfigError: at the line of a mistake.
        """
        with suppress(DirectoryUnavailable):
            self._connect().close()  # none is kept: the process may yet become a daemon

    def startService(self) -> None:
        """Let the database read the query.

        :raises ConfigError: at the line of a mistake; not if the database is away.
        """
        super().startService()
        outcome: list[Exception | None] = []

        def check() -> None:
            try:
                self._idle.append(self._connect())
                outcome.append(None)
            except Exception as error:
                outcome.append(error)

        # A name server that is away holds up whoever looks names up: not the whole start.
        checking = Thread(target=check, daemon=True)
        checking.start()
        checking.join(_START)
        error = outcome[0] if outcome else DirectoryUnavailable(f"no answer within {_START:g} s")
        if isinstance(error, ConfigError):
            raise error
        if error is not None:
            self._site.log.warn("the database is away: {error}", error=error)

    def stopService(self) -> Deferred[None] | None:
        """Fire when no thread asks any more."""
        super().stopService()
        return self._threads.stop(last=self._close)

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Ask the database.

        :raises DirectoryUnavailable: if it cannot be asked, or finds two machines.
        """
        values = parameters_of(identity)
        if all(values[name] is None for name in self._query.names):
            return None
        errand = Errand()
        began = self._site.reactor.seconds()
        try:
            rows = await self._threads.run(self._put, errand, values)
        except CancelledError:
            errand.give_up()
            raise DirectoryUnavailable(f"{self._database.title}: given up") from None
        return self._machine(rows, self._site.reactor.seconds() - began)

    def _machine(self, rows: Rows, elapsed: float) -> Machine | None:
        title = self._database.title
        if len(rows) > 1:
            both = " and ".join(repr(str(row.get("name"))) for row in rows)
            raise AnswerUnusable(f"{title}: the query matches two machines: {both}")
        provenance = f"{title} in {elapsed * 1000:.0f} ms"
        try:
            return machine_of(rows[0], self._site.name, provenance) if rows else None
        except ValueError as error:
            raise AnswerUnusable(f"{title}: {error}") from error

    def _put(self, errand: Errand, values: Values) -> Rows:
        """Ask, in a thread; anew if the connection broke while it was idle."""
        while session := self._kept():
            try:
                return self._asked(errand, session, values)
            except SessionLost:
                continue
        try:
            session = self._connect()
        except ConfigError as error:
            raise DirectoryUnavailable(str(error)) from error
        return self._asked(errand, session, values)

    def _asked(self, errand: Errand, session: Session, values: Values) -> Rows:
        try:
            with errand.waiting_for(session):
                rows = session.ask(values)
        except GivenUp:
            self._idle.append(session)
            raise DirectoryUnavailable("given up") from None
        except BaseException:
            session.close()
            raise
        self._idle.append(session)
        return rows

    def _kept(self) -> Session | None:
        while True:
            try:
                session = self._idle.pop()
            except IndexError:
                return None
            if session.usable():
                return session
            session.close()

    def _connect(self) -> Session:
        session = self._database.connect(self._query, self._patience)
        try:
            session.check()
        except BaseException:
            session.close()
            raise
        return session

    def _close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def build(settings: Settings, site: Site) -> IHostDirectory:
    """Make the directory; a server of PostgreSQL's is asked at the start, not before.

    :raises ConfigError: if the query does not suit a file of SQLite's.
    """
    database = settings.database
    if isinstance(database, PostgresServer):
        database = attrs.evolve(database, password=settings.password_file)
    directory = SqlDirectory(database, settings, site)
    if isinstance(database, SqliteFile):
        directory.check()
    return cached(directory, settings, site)
