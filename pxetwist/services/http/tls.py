"""TLS for services: who is shown which certificate, and what is agreed upon with which client."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.errors import ConfigError, Location
from pxetwist.services.http.certificates import KeyFiles, KeyPair, read_certificates, time_faults

#: For clients of today: forward secrecy and authenticated encryption only.
_MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"
#: The suites of each profile for TLS 1.2; those of TLS 1.3 are OpenSSL's own choice. Firmware of
#: EDK2 before 2023 has neither ECDHE nor TLS 1.3: only RSA and DHE-RSA, AES in GCM or CBC mode.
PROFILES = {
    "firmware": f"{_MODERN}:DHE+AESGCM:kRSA+AESGCM:ECDHE+AES:DHE+AES:kRSA+AES:!aDSS:!AESCCM",
    "modern": _MODERN,
}
#: Groups of DHE (RFC 7919), so that firmware without ECDHE has forward secrecy, too.
_DH_GROUP = Path(__file__).with_name("ffdhe2048.pem")
_HTTP = b"http/1.1"
_DAY = timedelta(days=1)
#: SSL_MODE_ENABLE_PARTIAL_WRITE (SSL_CTX_set_mode(3)): to memory, all is written at once.
_PARTIAL_WRITE = 0x1


@attrs.frozen
class TlsFiles:
    """Whose certificate is shown to whom: by the name that a client asks for (SNI), and under
    the empty name to all others. `client_ca` vouches for the certificates that clients must
    have; without it none is asked for, since iPXE without one would give up (quirk H9).
    """

    pairs: Mapping[str, KeyFiles]
    client_ca: Path | None = None

    def stamps(self) -> tuple[object, ...]:
        """Return what changes when one of the files does."""
        ca = KeyFiles(self.client_ca, self.client_ca).stamps() if self.client_ca else ()
        return (*(each.stamps() for each in self.pairs.values()), ca)


@implementer(IOpenSSLServerConnectionCreator)
class TlsConnections:
    """Makes the TLS side of each connection, with what its files hold now."""

    def __init__(self, files: TlsFiles, profile: str, log: Logger) -> None:
        self._files = files
        self._profile = profile
        self._log = log
        self._stamps: tuple[object, ...] = files.stamps()
        self._glimpse = self._stamps
        self._warn_at = datetime.now(UTC) + _DAY  # whoever starts the server says it at the start
        self.pairs: Mapping[str, KeyPair] = {}
        self._contexts: Mapping[str, SSL.Context] = {}
        self._read()

    def _read(self) -> None:
        pairs = {name: each.read() for name, each in self._files.pairs.items()}
        contexts = {
            name: make_context(pair, self._profile, self._files.client_ca)
            for name, pair in pairs.items()
        }
        self.pairs, self._contexts = pairs, contexts
        for context in contexts.values():
            context.set_tlsext_servername_callback(self._named)

    def reload(self) -> None:
        """Read the files again; on a mistake log it and go on with what was read before."""
        self._stamps = self._files.stamps()
        try:
            self._read()
        except ConfigError as error:
            self._log.error("{error}", error=error)
            self._log.error("the certificates are not read again: those of before stay in use")
            return
        self._log.info("certificates read: {names}", names=", ".join(self._described()))
        self._warn(datetime.now(UTC))

    def _described(self) -> list[str]:
        return [
            f"{pair.file} (until {pair.certificate.not_valid_after_utc:%Y-%m-%d})"
            for pair in self.pairs.values()
        ]

    def look(self) -> None:
        """Read again what has changed, and is not being changed any more."""
        stamps, before = self._files.stamps(), self._glimpse
        self._glimpse = stamps
        if stamps == before and stamps != self._stamps:
            self.reload()
        now = datetime.now(UTC)
        if now >= self._warn_at:
            self._warn(now)

    def _warn(self, now: datetime) -> None:
        """Say once a day what is over or soon will be: a server may run for longer than that."""
        self._warn_at = now + _DAY
        for pair in self.pairs.values():
            for fault in time_faults(pair.chain, now):
                self._log.warn("{file}: {fault}", file=pair.file, fault=fault)

    def _named(self, connection: SSL.Connection) -> None:
        """Show the certificate of the name that the client asks for (RFC 6066 §3)."""
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        found = self._contexts.get(name.rstrip("."))
        if found is not None:
            connection.set_context(found)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Begin the TLS side of a connection."""
        return SSL.Connection(self._contexts[""], None)


def make_context(pair: KeyPair, profile: str, client_ca: Path | None) -> SSL.Context:
    """Return the context that shows one certificate.

    :raises ConfigError: if OpenSSL cannot use it.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.clear_mode(_PARTIAL_WRITE)
    context.set_cipher_list(PROFILES[profile].encode())
    context.load_tmp_dh(str(_DH_GROUP))
    context.set_session_id(b"pxetwist")
    context.set_alpn_select_callback(_select)
    try:
        context.use_certificate(pair.certificate)
        for each in pair.chain[1:]:
            context.add_extra_chain_cert(each)
        context.use_privatekey(pair.key)  # type: ignore[arg-type]  # others it refuses itself
    except (SSL.Error, TypeError) as error:
        message = f"OpenSSL does not take it: {reason_of(error)}"
        raise ConfigError(Location(str(pair.file)), message) from error
    if client_ca is not None:
        _demand_certificates(context, client_ca)
    return context


def _demand_certificates(context: SSL.Context, client_ca: Path) -> None:
    authorities = read_certificates(client_ca)
    store = context.get_cert_store()
    assert store is not None
    for each in authorities:
        store.add_cert(X509.from_cryptography(each))
        context.add_client_ca(each)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)


def _select(connection: SSL.Connection, offered: list[bytes]) -> Any:
    """Agree on HTTP/1.1 if a client that knows other protocols lets us choose (RFC 7301)."""
    return _HTTP if _HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def reason_of(error: BaseException) -> str:
    """Return OpenSSL's words for what went wrong."""
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][0][-1])
    return str(error) or type(error).__name__
