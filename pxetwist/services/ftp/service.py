"""The FTP service: the same contents as over HTTP, for those who can do no better. Read only."""

from __future__ import annotations

from collections import Counter

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.protocols.ftp import FTPOverflowProtocol

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.interfaces import Site
from pxetwist.services.ftp.session import FtpSession
from pxetwist.services.listening import OwnAddress, addresses_option, listen_tcp
from pxetwist.services.sessions import Sessions
from pxetwist.services.tcp import TcpService


@attrs.frozen
class Settings:
    """Options of ``[service:ftp]``."""

    addresses: tuple[OwnAddress, ...] = addresses_option()
    port: int = option(fields.port, default=21, doc="TCP port for commands.")
    port_range: range = option(
        fields.port_range,
        default=range(0),
        doc="Ports for data, for firewalls; default: any. Clients connect to them: passive mode.",
    )
    anonymous: bool = option(
        fields.boolean,
        default=True,
        doc="Let in guests (anonymous, ftp), who get what strangers get by HTTP. Others have the"
        " token of a machine as their password.",
    )
    idle_timeout: float = option(
        fields.seconds,
        default=300.0,
        doc="Close a connection after this long without a command, and one for data on which"
        " nothing moves.",
    )
    max_connections: int = option(fields.integer(1), default=200, doc="Clients at a time at most.")
    max_per_client: int = option(
        fields.integer(1), default=8, doc="Connections at a time of one address."
    )


def build(settings: Settings, site: Site) -> FtpService:
    """Make the service."""
    return FtpService(settings, site)


class FtpFactory(ServerFactory):
    """Makes sessions, as many as may be; `listen` takes the ports for their data."""

    noisy = False
    listen = staticmethod(listen_tcp)
    welcomeMessage = "pxetwist"

    def __init__(self, settings: Settings, site: Site) -> None:
        self.anonymous = settings.anonymous
        self.idle_timeout = settings.idle_timeout
        self.ports = settings.port_range
        self.counters: Counter[str] = Counter()
        self.sessions = Sessions[FtpSession](
            settings.max_connections, settings.max_per_client, self.counters, site.reactor
        )
        self._site = site

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Begin a session, or say that there are too many."""
        session = FtpSession(self._site)
        made = session if self.sessions.admit(session, addr) else FTPOverflowProtocol()
        session.timeOut = self.idle_timeout
        made.factory = self
        return made

    def forget(self, session: FtpSession) -> None:
        """Know that a session is over."""
        self.sessions.forget(session)

    def drain(self) -> Deferred[None]:
        """Close idle sessions now, the others when their transfers are done or time is up."""
        return self.sessions.drain()


class FtpService(TcpService):
    """Serves contents by FTP (RFC 959), in passive mode, to be read."""

    factory: FtpFactory

    def __init__(self, settings: Settings, site: Site) -> None:
        self.settings = settings
        super().__init__(settings.addresses, settings.port, FtpFactory(settings, site), site)
