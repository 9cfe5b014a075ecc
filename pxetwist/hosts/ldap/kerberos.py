"""Binding with a Kerberos ticket (SASL GSSAPI, RFC 4752). Needs the package gssapi."""

from __future__ import annotations

import ssl
from hashlib import sha256
from typing import Any

import gssapi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from gssapi.raw import ChannelBindings
from ldap3 import Connection
from ldap3.protocol.sasl.sasl import send_sasl_negotiation

from pxetwist.hosts.ldap.faults import BindRefused, ServerFault
from pxetwist.hosts.ldap.sealed import LONGEST, SealedSocket
from pxetwist.hosts.ldap.settings import Settings, Uri

_BIND_IN_PROGRESS = 14  # RFC 4511 appendix A
# Security layers (RFC 4752 §3.3).
_NO_LAYER = 1
_CONFIDENTIALITY = 4
_MISSING = {
    _NO_LAYER: "wants Kerberos to encrypt what TLS encrypts already",
    _CONFIDENTIALITY: "does not let Kerberos encrypt the connection: use ldaps:// or start-tls",
}

#: The error codes of MIT's library that are told in our words, and that are no refusal.
_UNREACHABLE = -1765328228
_WORDS = {
    -1765328360: "the keys are not those of the account",  # preauthentication failed
    -1765328378: "there is no such account",
    -1765328377: "no server of that name in the domain",
}


def bind(connection: Connection, uri: Uri, settings: Settings) -> dict[str, Any]:
    """Bind an open connection; what follows is sealed by Kerberos if there is no TLS.

    Return the server's last word, which may be a refusal.

    :raises ServerFault: if no KDC can be reached, or the server does not keep to the protocol.
    :raises BindRefused: if there is no ticket for us.
    """
    try:
        context = _context(connection.socket, uri, settings)
        return _negotiated(connection, uri, context)
    except gssapi.exceptions.GSSError as error:
        raise _fault(uri, settings, error) from None


def _context(socket: Any, uri: Uri, settings: Settings) -> Any:
    """Begin with a ticket for the server's name; MIT's library renews it when half is over."""
    flags = gssapi.RequirementFlag.mutual_authentication
    flags |= gssapi.RequirementFlag.out_of_sequence_detection
    if not isinstance(socket, ssl.SSLSocket):
        flags |= gssapi.RequirementFlag.integrity | gssapi.RequirementFlag.confidentiality
    return gssapi.SecurityContext(
        name=gssapi.Name(f"ldap@{uri.host}", gssapi.NameType.hostbased_service),
        creds=_credentials(settings),
        flags=flags,
        mech=gssapi.MechType.kerberos,
        usage="initiate",
        channel_bindings=_bindings(socket),
    )


def _credentials(settings: Settings) -> Any:
    """Return who we are; `None` for whom the ticket of the environment is."""
    name, store = None, {}
    if settings.bind_dn:
        name = gssapi.Name(settings.bind_dn, gssapi.NameType.kerberos_principal)
    if settings.keytab:
        # tickets in memory: root's own, and those of other programs, are left alone
        whose = sha256(f"{settings.keytab}\0{settings.bind_dn}".encode()).hexdigest()[:16]
        store = {
            "client_keytab": f"FILE:{settings.keytab}",
            "ccache": f"MEMORY:pxetwist-{whose}",
        }
    if name is None and not store:
        return None
    return gssapi.Credentials(
        name=name, usage="initiate", mechs=[gssapi.MechType.kerberos], store=store or None
    )


def _bindings(socket: Any) -> Any:
    """Tie the ticket to the server's certificate (RFC 5929 §4), as domains may demand."""
    if not isinstance(socket, ssl.SSLSocket):
        return None
    certificate = socket.getpeercert(binary_form=True) or b""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    if algorithm is None:  # Ed25519 has none, and RFC 5929 nothing to say
        return None
    if algorithm.name in {"md5", "sha1"}:
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return ChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())


def _negotiated(connection: Connection, uri: Uri, context: Any) -> dict[str, Any]:
    """Exchange tokens, then agree on who protects what follows: TLS, or else Kerberos."""

    def send(token: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = send_sasl_negotiation(connection, None, token)
        return answer

    answer: bytes | None = None
    while answer is None or not context.complete:
        result = send(context.step(answer) or b"")
        if result["result"] != _BIND_IN_PROGRESS:
            return _refused(uri, result)
        answer = result["saslCreds"] or b""
    offer = context.unwrap(answer).message
    wanted = _NO_LAYER if isinstance(connection.socket, ssl.SSLSocket) else _CONFIDENTIALITY
    if len(offer) != 4 or not offer[0] & wanted:
        raise ServerFault(f"{uri} {_MISSING[wanted]}")
    longest = LONGEST if wanted == _CONFIDENTIALITY else 0
    choice = bytes([wanted]) + longest.to_bytes(3, "big")
    result = send(context.wrap(choice, False).message)
    if wanted == _CONFIDENTIALITY and result["result"] == 0:
        most = context.get_wrap_size_limit(int.from_bytes(offer[1:], "big"), True)
        connection.socket = SealedSocket(connection.socket, _Seal(context), most)
    return result


def _refused(uri: Uri, result: dict[str, Any]) -> dict[str, Any]:
    if result["result"] == 0:  # it has not proved yet that it is whom we want
        raise ServerFault(f"{uri} ends the exchange of Kerberos before it is whole")
    return result


class _Seal:
    """Seals and opens messages; a broken seal breaks the connection."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def seal(self, message: bytes) -> bytes:
        """Return the message encrypted.

        :raises OSError: if the ticket has ended.
        """
        try:
            sealed: bytes = self._context.wrap(message, True).message
        except gssapi.exceptions.GSSError as error:
            raise OSError(_said(error)) from None
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Return what was encrypted.

        :raises OSError: if it was not, or not by the server, or the ticket has ended.
        """
        try:
            opened = self._context.unwrap(sealed)
        except gssapi.exceptions.GSSError as error:
            raise OSError(_said(error)) from None
        if not opened.encrypted:
            raise OSError("an answer was not encrypted")
        message: bytes = opened.message
        return message


def _fault(uri: Uri, settings: Settings, error: Any) -> ServerFault | BindRefused:
    code = _code(error)
    whose = f" by {settings.keytab}" if settings.keytab else ""
    message = f"no Kerberos ticket{whose} for {uri}: {_WORDS.get(code) or _said(error)}"
    return ServerFault(message) if code == _UNREACHABLE else BindRefused(message)


def _code(error: Any) -> int:
    code = int(error.min_code) & 0xFFFFFFFF
    return code - (1 << 32) if code >> 31 else code


def _said(error: Any) -> str:
    """Return what the library says without its numbers."""
    minor = error.get_all_statuses(error.min_code, False) if error.min_code else []
    words = minor or error.get_all_statuses(error.maj_code, True)
    return "; ".join(words).strip()
