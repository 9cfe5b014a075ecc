"""The HTTPS service: what the HTTP service does, over TLS, also for old firmware."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import Keyed, option
from pxetwist.errors import ConfigError, Location
from pxetwist.interfaces import IReloads, Site
from pxetwist.services.http import service as http
from pxetwist.services.http.certificates import KeyFiles, common_name
from pxetwist.services.http.connection import ContentChannel
from pxetwist.services.http.service import ContentFactory, HttpService
from pxetwist.services.http.tls import PROFILES, TlsConnections, TlsFiles, reason_of

_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
#: What clients' alerts, and what OpenSSL finds wrong itself, mean for a person.
_MEANINGS = {
    "unknown ca": "it does not trust the authority of our certificate",
    "bad certificate": "it does not accept our certificate (its name, its time, the clock?)",
    "certificate unknown": "it does not accept our certificate",
    "certificate expired": "our certificate is over, by its clock",
    "no shared cipher": "it knows no cipher of our profile",
    "unsupported protocol": "it knows no TLS 1.2",
    "http request": "it speaks HTTP without TLS to this port",
    "peer did not return a certificate": "it has no certificate of its own",
    "certificate verify failed": "its own certificate is not to be trusted",
}
#: OVMF sends no alert.
_BROKEN_OFF = (
    "it broke off without a word, as firmware does that does not trust the authority of our"
    " certificate, or finds its names or its time wrong"
)
_LOOK_EVERY = 2.0  # seconds between two looks at the files of certificates
_TELL_EVERY = 1.0  # seconds between two lines about handshakes that failed


def host_name(value: str) -> str:
    """Expect a host name like boot.example.net."""
    name = str(value).lower().rstrip(".")
    if not _NAME.fullmatch(name) or name.replace(".", "").isdigit():
        raise ValueError(f"expected a host name like boot.example.net, got {str(value)!r}")
    return name


def _by_name(key: str, value: str) -> tuple[str, Path]:
    return (host_name(key) if key else ""), fields.path(value)


@attrs.frozen
class Settings(http.Settings):
    """Options of ``[service:https]``: those of ``http``, and these."""

    port: int = option(fields.port, default=443, doc="TCP port.")
    certificate: dict[str, Path] = option(
        Keyed("a path, also for one name: certificate.NAME", _by_name),
        doc="The server's certificate (PEM), and behind it those that lead to the root, without"
        " that. `certificate.NAME` is shown to clients that ask for this name (SNI). Files are"
        " read again when they change.",
    )
    key: dict[str, Path] = option(
        Keyed("a path, also for one name: key.NAME", _by_name),
        default=attrs.Factory(dict),
        doc="The private key (PEM), closed to everyone else; left out, it is in the"
        " certificate's file.",
    )
    profile: str = option(
        fields.choice(*PROFILES),
        default="firmware",
        doc="With whom to speak: `firmware` (TLS 1.2 and 1.3, with RSA, DHE and CBC for old"
        " UEFI), or `modern` (ECDHE with AES-GCM or ChaCha20, and TLS 1.3, only).",
    )
    host_name: str = option(
        host_name,
        default="",
        doc="Our name in https URLs; machines need DNS for it. Left out: our address.",
    )
    scheme: str = option(
        fields.choice("auto", "https"),
        default="auto",
        doc="Who is given https URLs: `auto` (UEFI HTTP Boot, and loaders that tell that they can;"
        " http for all others), or `https` (everybody).",
    )
    client_ca: Path | None = option(
        fields.path,
        default=None,
        doc="Authorities (PEM) that vouch for the certificates that clients must have here. URLs"
        " of this service are given to machines with a `certificate` in their directory only.",
    )
    handshake_timeout: float = option(
        fields.seconds, default=10.0, doc="Drop a client that has not agreed on TLS by then."
    )
    handshakes: int = option(
        fields.integer(minimum=1),
        default=1000,
        doc="So many clients may be agreeing on TLS at once; one more, and the oldest is dropped.",
    )

    def __attrs_post_init__(self) -> None:
        """Check that names go together."""
        if "" not in self.certificate:
            raise ValueError("certificate is missing: the one for clients that ask for no name")
        for name in self.key:
            if name not in self.certificate:
                raise ValueError(f"key.{name} has no certificate.{name}")

    def files(self) -> TlsFiles:
        """Return where everything lies."""
        pairs = {
            name: KeyFiles(file, self.key.get(name, file))
            for name, file in self.certificate.items()
        }
        return TlsFiles(pairs, self.client_ca)

    def named_files(self) -> Iterator[tuple[str, Path]]:
        """Yield the options that name files, with these."""
        for option_name, files in (("certificate", self.certificate), ("key", self.key)):
            for name, file in files.items():
                yield f"{option_name}.{name}" if name else option_name, file
        if self.client_ca is not None:
            yield "client-ca", self.client_ca


def build(settings: Settings, site: Site) -> HttpsService:
    """Make the service; certificates are read now, so that a mistake shows at start.

    :raises ConfigError: if one cannot be used.
    """
    try:
        return HttpsService(settings, site)
    except ConfigError as error:
        found = (name for name, file in settings.named_files() if str(file) == error.location.file)
        name = next(found, "certificate")
        raise ConfigError(Location(""), f"{name}: {error}") from error


@implementer(IHandshakeListener)
class SecureChannel(ContentChannel):
    """One connection over TLS; `certificate` is the name in the client's, if it showed one."""

    secure = True
    shaken = False
    patience: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Give the client some time to agree on TLS."""
        super().connectionMade()
        self.factory.await_handshake(self)

    def handshakeCompleted(self) -> None:
        """Know who it is, as far as a certificate says."""
        self.shaken = True
        self.factory.end_handshake(self)
        transport: Any = self.transport
        shown = transport.getPeerCertificate()
        if shown is not None:
            self.certificate = common_name(shown.to_cryptography())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell why, if there never was a connection in the proper sense."""
        self.factory.end_handshake(self)
        if not self.shaken:
            self.factory.tell_failed(self, reason)
        super().connectionLost(reason)


class SecureFactory(ContentFactory):
    """Makes connections over TLS, and bounds those that come to nothing."""

    protocol: Any = SecureChannel

    def __init__(self, site: Site, settings: Settings) -> None:
        super().__init__(site, settings)
        self._settings = settings
        self._shaking: dict[SecureChannel, None] = {}  # the oldest first
        self._told = float("-inf")

    def await_handshake(self, channel: SecureChannel) -> None:
        """Begin to count the seconds of a handshake."""
        if len(self._shaking) >= self._settings.handshakes:
            self._give_up(next(iter(self._shaking)), "crowded out")
        self._shaking[channel] = None
        channel.patience = self.reactor.callLater(
            self._settings.handshake_timeout, self._give_up, channel, "too slow"
        )

    def end_handshake(self, channel: SecureChannel) -> None:
        """Count no more."""
        self._shaking.pop(channel, None)
        if channel.patience is not None and channel.patience.active():
            channel.patience.cancel()

    def _give_up(self, channel: SecureChannel, why: str) -> None:
        self.counters[f"handshakes {why}"] += 1
        channel.shaken = True  # it is told already
        self.end_handshake(channel)
        transport: Any = channel.transport
        transport.abortConnection()

    def tell_failed(self, channel: SecureChannel, reason: Failure) -> None:
        """Say why a client could not be spoken with: often the mend is at its side."""
        self.counters["handshakes failed"] += 1
        error = reason.value
        now = self.reactor.seconds()
        if isinstance(error, ConnectionDone | ConnectionAborted) or now - self._told < _TELL_EVERY:
            return
        self._told = now
        why = _BROKEN_OFF
        if isinstance(error, SSL.Error):
            words = reason_of(error)
            meaning = next((text for key, text in _MEANINGS.items() if key in words), "")
            why = f"{meaning} ({words})" if meaning else words
        self.site.log.warn("no TLS with {peer}: {why}", peer=channel.peer, why=why)


@implementer(IReloads)
class HttpsService(HttpService):
    """Serves the contents that HTTP serves, in the same way, over TLS (RFC 9110 §4.2.2)."""

    settings: Settings

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.connections = TlsConnections(settings.files(), settings.profile, site.log)
        self._looking = LoopingCall(self.connections.look)
        self._looking.clock = site.reactor
        self.factory = SecureFactory(site, settings)
        self.accepts = TLSMemoryBIOFactory(
            self.connections, False, self.factory, clock=site.reactor
        )

    def startService(self) -> None:
        """Look at the files of certificates from now on, whether or not somebody connects."""
        super().startService()
        self._looking.start(_LOOK_EVERY, now=False)

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """Look no more, and let running answers end."""
        if self._looking.running:
            self._looking.stop()
        return super().stopService()

    def reload(self) -> None:
        """Read the certificates again."""
        self.connections.reload()
