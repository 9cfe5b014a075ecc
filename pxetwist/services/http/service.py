"""The HTTP service: the same contents as over TFTP, for firmware, loaders and installers."""

from __future__ import annotations

import resource
from collections import Counter
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.interfaces import ISharesPorts, Site
from pxetwist.model.recent import Recent
from pxetwist.services.http.admission import AT_ONCE, HttpAdmission
from pxetwist.services.http.connection import ContentChannel
from pxetwist.services.http.heads import Asked, Heads
from pxetwist.services.http.standing import STANDING, Standing
from pxetwist.services.listening import OwnAddress, addresses_option
from pxetwist.services.tcp import TcpService

_LOOK_EVERY = 1.0  # seconds between two looks at whose time is over
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
    connections: int = option(
        fields.integer(16),
        default=10_000,
        doc="Connections at a time; for one more the one is closed that has waited longest"
        " without a request, or else one of the client that has the most.",
    )


def build(settings: Settings, site: Site) -> HttpService:
    """Make the service."""
    return HttpService(settings, site)


class ContentFactory(Factory):
    """Makes connections for a site; `counters` counts answers by status.

    Of `connections` at a time the one is closed for the next that has waited longest without a
    request, or else one of the client that has the most: nobody can keep others out by
    connections alone, also not by such as take nothing of what was asked for.
    """

    protocol: Any = ContentChannel
    noisy = False

    def __init__(self, site: Site, settings: Settings) -> None:
        self.site = site
        self.reactor = site.reactor
        self.admission = HttpAdmission(settings.downloads_at_once)
        self.counters: Counter[str] = Counter()
        self.heads = Heads()
        #: By what is asked, the peer, and the address of ours.
        self.standing: Recent[tuple[Asked, str, str], Standing] = Recent(STANDING)
        self.channels: set[ContentChannel] = set()
        self._of_peers: Counter[str] = Counter()  # how many each client has
        self.connections = settings.connections
        self._idle_timeout = settings.idle_timeout
        self._waiting: dict[ContentChannel, None] = {}  # for a request, the oldest first
        self._look: IDelayedCall | None = None
        self._empty: Deferred[None] | None = None

    def entered(self, channel: ContentChannel) -> None:
        """Know of a new connection."""
        crowded = self._one_too_many() if len(self.channels) >= self.connections else None
        self.channels.add(channel)
        self._of_peers[channel.peer] += 1
        self.idle(channel)
        if crowded is not None:
            self.counters["crowded out"] += 1
            self._remove(crowded)
            crowded.abort()
        if self._look is None:
            self._look = self.reactor.callLater(_LOOK_EVERY, self._look_after)

    def _one_too_many(self) -> ContentChannel:
        if self._waiting:
            return next(iter(self._waiting))
        most = max(self._of_peers, key=self._of_peers.__getitem__)
        return next(each for each in self.channels if each.peer == most)

    def idle(self, channel: ContentChannel) -> None:
        """Wait for its next request from now on."""
        self._waiting.pop(channel, None)
        self._waiting[channel] = None
        channel.deadline = self.reactor.seconds() + self._idle_timeout

    def busy(self, channel: ContentChannel) -> None:
        """Do not wait for it: it is answered."""
        self._waiting.pop(channel, None)

    def _look_after(self) -> None:
        """Give up those whose time is over."""
        now = self.reactor.seconds()
        for channel in [each for each in self._waiting if each.deadline <= now]:
            self._waiting.pop(channel, None)
            channel.timed_out()
        self._look = self.reactor.callLater(_LOOK_EVERY, self._look_after)

    def forget(self, channel: ContentChannel) -> None:
        """Drop a connection that is lost."""
        self._remove(channel)
        if self.channels:
            return
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if self._empty is not None:
            self._empty.callback(None)

    def _remove(self, channel: ContentChannel) -> None:
        self._waiting.pop(channel, None)
        if channel not in self.channels:
            return
        self.channels.remove(channel)
        self._of_peers[channel.peer] -= 1
        if not self._of_peers[channel.peer]:
            del self._of_peers[channel.peer]

    def drain(self) -> Deferred[None]:
        """Close idle connections now, the others when they are done, or after a grace time."""
        empty = self._empty = Deferred[None]()
        empty.addTimeout(_GRACE, self.reactor)
        empty.addBoth(self._drained)
        if not self.channels:
            empty.callback(None)
        for channel in list(self.channels):
            channel.finish()
        return empty

    def _drained(self, result: object) -> None:
        self._empty = None
        for channel in list(self.channels):
            channel.abort()


@implementer(ISharesPorts)
class HttpService(TcpService):
    """Serves contents over HTTP/1.1 (RFC 9110, 9112): GET and HEAD, ranges, no redirects."""

    factory: ContentFactory

    def __init__(self, settings: Settings, site: Site) -> None:
        self.settings = settings
        super().__init__(settings.addresses, settings.port, ContentFactory(site, settings), site)

    def startService(self) -> None:
        """Know how many connections there may be, and listen."""
        self.factory.connections = self._affordable(self.settings.connections)
        super().startService()

    def _affordable(self, wanted: int) -> int:
        """Return how many connections there may be: half of the files are for others."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY or wanted <= files // 2:
            return wanted
        self._site.log.warn(
            "{few} connections at a time, not {wanted}: no more than {files} files may be open"
            " (see ulimit -n, LimitNOFILE)",
            few=files // 2,
            wanted=wanted,
            files=files,
        )
        return files // 2
