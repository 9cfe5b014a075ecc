"""The HTTP service: the same contents as over TFTP, for firmware, loaders and installers."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import tcp
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.interfaces import IBootService, ICounts, Site
from pxetwist.services.http_admission import AT_ONCE, HttpAdmission
from pxetwist.services.http_exchange import ContentExchange
from pxetwist.services.listening import OwnAddress, addresses_option, addresses_to_take, listen_tcp

_DEAD = 60_000  # milliseconds until a machine that was switched off counts as gone
_GRACE = 5.0  # seconds that running answers get when the service stops


@attrs.frozen
class Settings:
    """Options of ``[service:http]``."""

    addresses: tuple[OwnAddress, ...] = addresses_option()
    port: int = option(fields.port, default=80, doc="TCP port.")
    idle_timeout: float = option(
        fields.seconds, default=60.0, doc="Close a connection after this long without a request."
    )
    downloads_at_once: int = option(
        fields.integer(1),
        default=AT_ONCE,
        doc="Large files that are sent at a time; iPXE is asked to try again after a second.",
    )


def build(settings: Settings, site: Site) -> HttpService:
    """Make the service."""
    return HttpService(settings, site)


class ContentChannel(http.HTTPChannel):
    """One connection; over TLS it may come with the name of a client's `certificate`."""

    requestFactory = ContentExchange
    secure = False
    certificate = ""

    def connectionMade(self) -> None:
        """Notice sooner than the kernel's quarter of an hour when the machine is gone."""
        super().connectionMade()
        self.factory.channels.add(self)
        wire = getattr(self.transport, "transport", self.transport)  # below TLS
        if isinstance(wire, tcp.Connection):
            wire.setTcpKeepAlive(True)
            handle = wire.getHandle()
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget it."""
        super().connectionLost(reason)
        self.factory.forget(self)


class ContentFactory(http.HTTPFactory):
    """Makes connections for a site; `counters` counts answers by status."""

    protocol: Any = ContentChannel  # without the wrapper that would switch to HTTP/2
    noisy = False

    def __init__(self, site: Site, idle_timeout: float, at_once: int = AT_ONCE) -> None:
        super().__init__(timeout=idle_timeout, reactor=site.reactor)
        self.site = site
        self.admission = HttpAdmission(at_once)
        self.counters: Counter[str] = Counter()
        self.channels: set[ContentChannel] = set()
        self._empty: Deferred[None] | None = None

    def startFactory(self) -> None:
        """Write no access log: observers are told of every transfer."""

    def stopFactory(self) -> None:
        """Nothing to close."""

    def log(self, request: http.Request) -> None:
        """Write no access log."""

    def forget(self, channel: ContentChannel) -> None:
        """Drop a connection that is lost."""
        self.channels.discard(channel)
        if self._empty is not None and not self.channels:
            self._empty.callback(None)

    def drain(self) -> Deferred[None]:
        """Close idle connections now, the others when they are done, or after a grace time."""
        empty = self._empty = Deferred[None]()
        empty.addTimeout(_GRACE, self.reactor)
        empty.addBoth(self._drained)
        if not self.channels:
            empty.callback(None)
        for channel in list(self.channels):
            channel.persistent = 0
            if not channel.requests:
                channel.loseConnection()
        return empty

    def _drained(self, result: object) -> None:
        self._empty = None
        for channel in list(self.channels):
            transport: Any = channel.transport
            transport.abortConnection()


@implementer(IBootService, ICounts)
class HttpService(Service):
    """Serves contents over HTTP/1.1 (RFC 9110, 9112): GET and HEAD, ranges, no redirects."""

    listen = staticmethod(listen_tcp)

    def __init__(self, settings: Settings, site: Site) -> None:
        self.settings = settings
        self.factory = ContentFactory(site, settings.idle_timeout, settings.downloads_at_once)
        self.accepts: IProtocolFactory = self.factory
        self._site = site
        self._ports: list[IListeningPort] = []

    def counts(self) -> Mapping[str, int]:
        """Return the answers by their status."""
        return dict(self.factory.counters)

    def listening(self) -> Sequence[IAddress]:
        """Return the addresses of its ports."""
        return [port.getHost() for port in self._ports]

    def privilegedStartService(self) -> None:
        """Take the ports, while there are the rights for it.

        :raises StartError: if one cannot be taken.
        """
        super().privilegedStartService()
        for address in addresses_to_take(self.settings.addresses):
            taken = self.listen(self._site.reactor, self.accepts, address, self.settings.port)
            self._ports.append(taken)

    def startService(self) -> None:
        """Listen, if that was not done before."""
        super().startService()
        if not self._ports:
            self.privilegedStartService()

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """Take no more connections; let running answers end, for a few seconds."""
        super().stopService()
        closing = [Deferred.fromCoroutine(_close(port)) for port in self._ports]
        self._ports.clear()
        return DeferredList([*closing, self.factory.drain()])


async def _close(port: IListeningPort) -> None:
    closed = port.stopListening()
    if closed is not None:
        await closed
