"""Machines from LDAP: OpenLDAP, FreeIPA, Active Directory and others of that kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.cache import cached
from pxetwist.hosts.ldap.conversations import Conversation
from pxetwist.hosts.ldap.filters import Filter, any_of
from pxetwist.hosts.ldap.groups import groups_of
from pxetwist.hosts.ldap.lookups import Lookups
from pxetwist.hosts.ldap.persons import check_login
from pxetwist.hosts.ldap.pool import SessionPool
from pxetwist.hosts.ldap.request import Search
from pxetwist.hosts.ldap.schema import Entry
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import Settings
from pxetwist.interfaces import IAuthenticator, IHostDirectory, IReloads, IReservations, Site
from pxetwist.model.boot import Login
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.threads import Threads

T = TypeVar("T")

__all__ = ["LdapDirectory", "Settings", "build"]

#: How often (seconds) the addresses that are promised to machines are listed.
_LISTING = 600.0
#: ... and how soon again, if that failed.
_LISTING_AGAIN = 30.0


@implementer(IHostDirectory, IReservations, IReloads, IAuthenticator)
class LdapDirectory(Service):
    """Asks servers from threads of its own; holds no answers."""

    def __init__(
        self,
        settings: Settings,
        site: Site,
        connect: Callable[..., Session] = Session.open,
    ) -> None:
        self._settings = settings
        self._site = site
        self._connect = connect
        self._schema = settings.described()
        self._attributes = tuple(self._schema.attributes)
        self._addresses: frozenset[IPv4Address | IPv6Address] = frozenset()
        self._threads: Threads | None = None
        self._sessions: SessionPool
        self._lookups: Lookups
        self._listing: IDelayedCall | None = None

    def startService(self) -> None:
        """Start the threads, and list the promised addresses; servers may be away."""
        super().startService()
        settings = self._settings
        if not settings.verify:
            self._site.log.warn(
                "verify = no: whoever is in between can read the password, and answer in the"
                " place of the servers"
            )
        self._sessions = SessionPool(
            settings.uri,
            lambda uri, begun: self._connect(uri, settings, begun),
            size=settings.pool,
            back_off=settings.back_off,
            clock=self._site.reactor.seconds,
            log=self._site.log,
        )
        # one more for logins, which then need not wait behind all machines
        self._threads = Threads(self._site.reactor, f"hosts {self._site.name}", settings.pool + 1)
        self._lookups = Lookups(
            reactor=self._site.reactor,
            sessions=self._sessions,
            in_thread=self._threads.set_off,
            connections=settings.pool,
            most=settings.ahead,
            timeout=settings.timeout,
        )
        if self._schema.promising:
            self._list()

    def stopService(self) -> Deferred[None] | None:
        """End all sessions; fires when the threads have ended."""
        super().stopService()
        threads, self._threads = self._threads, None
        if threads is None:
            return None
        if self._listing is not None:
            self._listing.cancel()
            self._listing = None
        self._sessions.close()
        return threads.stop()

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Ask for a machine and its groups.

        :raises DirectoryUnavailable: if no server answers, or none lets us in.
        """
        filters = tuple(self._schema.filters(identity))
        if not filters:
            return None
        if self._threads is None:
            raise DirectoryUnavailable("it is not started")
        return await self._lookups.find(partial(self._find, filters))

    async def authenticate(self, login: Login) -> Collection[str] | None:
        """Check the password of a person; return the person's groups, or `None`: not let in.

        :raises DirectoryUnavailable: if no server answers, or passwords would go without TLS.
        """
        settings, connect = self._settings, self._connect
        return await self._in_thread(
            lambda session: check_login(session, login, settings, connect)
        )

    @property
    def room(self) -> int:
        """How many machines may be asked for at the same time."""
        return self._lookups.room if self._threads is not None else self._settings.pool

    def reserved_addresses(self) -> Collection[IPv4Address | IPv6Address]:
        """Return the addresses of all machines, as they were listed last."""
        return self._addresses

    def reload(self) -> None:
        """List the addresses anew."""
        if self._listing is not None and self._listing.active():
            self._listing.reset(0)

    async def _in_thread(self, work: Callable[[Session], T]) -> T:
        if self._threads is None:
            raise DirectoryUnavailable("it is not started")
        return await self._threads.run(self._sessions.ask, work)

    def _find(self, filters: tuple[Filter, ...], session: Session) -> Conversation[Machine | None]:
        """Try the filters in turn, then ask for groups; runs in a thread."""
        began = self._site.reactor.seconds()
        for filter_ in filters:
            found = yield Search(session.base, filter_, self._attributes)
            if found:
                entry = self._one(found, filter_)
                break
        else:
            return None
        if not self._schema.knows(entry):
            return None
        groups: tuple[str, ...] = ()
        if self._settings.groups != "none":
            groups = yield from groups_of(
                entry,
                self._settings.group_base or session.base,
                nested=self._settings.groups == "nested",
                active_directory=session.active_directory,
            )
        took = (self._site.reactor.seconds() - began) * 1000
        provenance = f"{session.uri} in {took:.0f} ms"
        return self._schema.machine(entry, self._site.name, groups, provenance)

    def _one(self, found: Sequence[Entry], filter_: Filter) -> Entry:
        """Return the entry whose DN is first, so that it is always the same; warn of others."""
        if len(found) == 1:
            return found[0]
        first = min(found, key=lambda entry: entry.dn.lower())
        self._site.log.warn(
            "{count} entries match {filter}: {dn} is taken",
            count=len(found),
            filter=str(filter_),
            dn=first.dn,
        )
        return first

    def _list(self) -> None:
        self._listing = None
        Deferred.fromCoroutine(self._keep_listing())

    async def _keep_listing(self) -> None:
        """List the promised addresses now, and again after a while."""
        wait = _LISTING_AGAIN
        try:
            self._addresses = await self._in_thread(self._listed)
            wait = _LISTING
        except DirectoryUnavailable as error:
            if self._threads is not None:
                self._site.log.warn(
                    "the promised addresses are unknown: {error}", error=str(error)
                )
        finally:
            if self._threads is not None:
                self._listing = self._site.reactor.callLater(wait, self._list)

    def _listed(self, session: Session) -> frozenset[IPv4Address | IPv6Address]:
        """Run in a thread: read the addresses of all machines, page by page."""
        schema = self._schema
        there = any_of([f"({attribute}=*)" for attribute in schema.promising])
        entries = session.pages(session.base, there, list(schema.promising))
        return frozenset(address for entry in entries for address in schema.addresses(entry))


def build(settings: Settings, site: Site) -> object:
    """Make the directory, behind a memory; nobody is connected to before the start."""
    directory = LdapDirectory(settings, site)
    return cached(directory, settings, site, limit=lambda: directory.room)
