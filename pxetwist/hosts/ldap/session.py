"""One connection to one server: opened, encrypted and bound, asked, and its faults in words."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal, Self

import attrs
from ldap3 import (
    ANONYMOUS,
    BASE,
    EXTERNAL,
    KERBEROS,
    NONE,
    SASL,
    SIMPLE,
    SUBTREE,
    SYNC,
    Connection,
    Server,
    Tls,
)
from ldap3.core.exceptions import LDAPExceptionError

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap.schema import Entry
from pxetwist.hosts.ldap.settings import Settings, Uri

_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"  # among supportedCapabilities (MS-ADTS 3.1.1.3.4.3)
_PAGE = 500
_PAGED_RESULTS = "1.2.840.113556.1.4.319"

# Result codes (RFC 4511 appendix A).
_SUCCESS = 0
_SIZE_LIMIT = 4
_STRONGER_AUTH = 8
_REFERRAL = 10
_INAPPROPRIATE_AUTH = 48
_INVALID_CREDENTIALS = 49
#: The server is at fault, another one may do better: time limit, busy, unavailable, other.
_FAULTS = frozenset({3, 51, 52, 80})

#: What Active Directory says behind "data" when it refuses a bind (MS-ERREF, in hexadecimal).
_AD_REFUSALS = {
    "525": "there is no such account",
    "52e": "the password is wrong",
    "530": "not at this time",
    "531": "not from this machine",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed",
    "775": "the account is locked",
}


class ServerFault(DirectoryUnavailable):
    """This server cannot be used now; another one may be. `silent` if it said nothing in time."""

    def __init__(self, message: str, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class BindRefused(DirectoryUnavailable):
    """Name or password are wrong: for all servers, and each further try may lock the account."""


class _VerifyingTls(Tls):
    """TLS by a context that verifies the host name as well, and tells the server which name."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED if settings.verify else ssl.CERT_NONE)
        cafile = str(settings.ca_file) if settings.ca_file else None
        self._context = ssl.create_default_context(cafile=cafile)
        if not settings.verify:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        if settings.certificate:
            self._context.load_cert_chain(settings.certificate, settings.key)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Take the place of ldap3's own, which sends no name and verifies it by itself."""
        connection.socket = self._context.wrap_socket(
            connection.socket,
            do_handshake_on_connect=do_handshake,
            server_hostname=connection.server.host,
        )


@attrs.define(eq=False)
class Session:
    """An open connection, used by one thread at a time; blocks.

    `active_directory` says what kind of server it is, `base` where its own entries begin.
    """

    uri: Uri
    _connection: Connection
    _timeout: float
    active_directory: bool = False
    base: str = ""

    @classmethod
    def open(cls, uri: Uri, settings: Settings) -> Self:
        """Connect and bind.

        :raises ServerFault: if the server cannot be reached or is not whom we want.
        :raises BindRefused: if it does not take our name or password.
        """
        session = cls(uri, _connection(uri, settings), settings.timeout)
        try:
            session._bind(settings)
            session._learn(settings.base)
        except BaseException:
            session.close()
            raise
        return session

    def search(self, base: str, filter_: str, attributes: Iterable[str]) -> list[Entry]:
        """Return the entries below `base`; references to other servers are left out.

        :raises ServerFault: if the connection breaks or the server cannot answer.
        :raises DirectoryUnavailable: if it does not want to.
        """
        return list(self._entries(self._search(base, filter_, attributes)))

    def pages(self, base: str, filter_: str, attributes: Iterable[str]) -> Iterator[Entry]:
        """Yield all entries below `base`, asked for page by page (RFC 2696).

        :raises DirectoryUnavailable: as `search`.
        """
        cookie: bytes | None = None
        while True:
            found = self._search(base, filter_, attributes, paged_size=_PAGE, paged_cookie=cookie)
            yield from self._entries(found)
            controls = (self._connection.result or {}).get("controls", {})
            cookie = controls.get(_PAGED_RESULTS, {}).get("value", {}).get("cookie")
            if not cookie:
                return

    def close(self) -> None:
        """Let go of the connection, without waiting for the server; no harm if done twice."""
        with suppress(LDAPExceptionError, OSError):
            self._connection.strategy.close()

    def _bind(self, settings: Settings) -> None:
        connection = self._connection
        try:
            connection.open(read_server_info=False)
            if settings.start_tls:
                connection.start_tls(read_server_info=False)
            bound = connection.bind(read_server_info=False)
        except (LDAPExceptionError, OSError) as error:
            raise _fault(self.uri, error, self._timeout) from None
        except Exception as error:  # errors of the gssapi library, which may not be there
            raise BindRefused(f"{self.uri} cannot be logged in to: {error}") from None
        if not bound:
            raise _refusal(self.uri, settings, connection.result or {})

    def _learn(self, base: str) -> None:
        """Read what the server says of itself (RFC 4512 5.1); that is told to everybody."""
        names = ["supportedCapabilities", "defaultNamingContext", "namingContexts"]
        found = self._search("", "(objectClass=*)", names, scope=BASE)
        for root in self._entries(found):
            self.active_directory = _ACTIVE_DIRECTORY in root.texts("supportedCapabilities")
            contexts = root.texts("defaultNamingContext") or root.texts("namingContexts")
            self.base = base or (contexts[0] if contexts else "")

    def _search(
        self,
        base: str,
        filter_: str,
        attributes: Iterable[str],
        scope: Literal["BASE", "SUBTREE"] = SUBTREE,
        **more: Any,
    ) -> list[Any]:
        connection = self._connection
        try:
            connection.search(
                base,
                filter_,
                search_scope=scope,
                attributes=list(attributes),
                # Samba counts whole seconds of the clock: 1 may be over at once
                time_limit=math.ceil(self._timeout) + 1,
                **more,
            )
        except (LDAPExceptionError, OSError) as error:
            raise _fault(self.uri, error, self._timeout) from None
        result = connection.result or {}
        code = result.get("result", _SUCCESS)
        if code in _FAULTS:
            raise ServerFault(f"{self.uri} cannot answer now: {_said(result)}")
        if code not in (_SUCCESS, _SIZE_LIMIT, _REFERRAL):
            where = f" below {base}" if base else ""
            raise DirectoryUnavailable(f"{self.uri} refuses the search{where}: {_said(result)}")
        return list(connection.response or ())

    def _entries(self, response: Iterable[Any]) -> Iterator[Entry]:
        for each in response:
            if each["type"] == "searchResEntry":
                values = {
                    name.lower(): tuple(map(bytes, found))
                    for name, found in each["raw_attributes"].items()
                }
                yield Entry(each["dn"], values)


def _connection(uri: Uri, settings: Settings) -> Connection:
    """Make an ldap3 connection; nothing is opened, and it never follows referrals."""
    server = Server(
        uri.host if ":" not in uri.host else f"{uri.scheme}://[{uri.host}]:{uri.port}",
        port=uri.port,
        use_ssl=uri.scheme == "ldaps",
        tls=_VerifyingTls(settings),
        get_info=NONE,  # with more, StartTLS reads the schema before the bind, and AD refuses
        connect_timeout=settings.timeout,  # stays on the socket, for each answer as well
    )
    login: dict[str, Any]
    match settings.bind:
        case "simple":
            login = {
                "authentication": SIMPLE,
                "user": settings.bind_dn,
                "password": settings.bind_password_file,
            }
        case "external":
            login = {"authentication": SASL, "sasl_mechanism": EXTERNAL, "sasl_credentials": b""}
        case "kerberos":
            keys = {"client_keytab": str(settings.keytab)} if settings.keytab else None
            login = {"authentication": SASL, "sasl_mechanism": KERBEROS, "cred_store": keys}
            login |= {"user": settings.bind_dn or None}
        case _:
            login = {"authentication": ANONYMOUS}
    return Connection(
        server,
        client_strategy=SYNC,
        read_only=True,
        auto_referrals=False,
        check_names=False,
        auto_escape=False,  # filters are whole already
        auto_encode=False,
        return_empty_attributes=False,
        **login,
    )


def _fault(uri: Uri, error: Exception, timeout: float) -> ServerFault:
    """Say in a sentence what went wrong with a connection; ldap3 has it in the text alone."""
    said = str(error)
    certificate = re.search(r"certificate verify failed: ([^(\[]*[^(\[ ])", said)
    if certificate:
        why = certificate[1].rstrip(". ")
        return ServerFault(f"the certificate of {uri} is not to be trusted: {why}")
    if "timed out" in said:
        return ServerFault(f"no answer from {uri} within {timeout:g} s", silent=True)
    if "refused" in said:
        return ServerFault(f"{uri} is not there: connection refused")
    if "invalid server address" in said or "getaddrinfo" in said:
        return ServerFault(f"there is no address for {uri.host}")
    last = re.sub(r"^.*: \[Errno -?\d+\] |^\[Errno -?\d+\] ", "", said) or type(error).__name__
    return ServerFault(f"the connection to {uri} broke: {last}")


def _refusal(uri: Uri, settings: Settings, result: dict[str, Any]) -> DirectoryUnavailable:
    """Say who was refused, and why as far as the server tells."""
    who = settings.bind_dn or {"external": "the client certificate"}.get(settings.bind, "anybody")
    code = result.get("result")
    if code == _STRONGER_AUTH:
        return ServerFault(f"{uri} wants TLS before anybody logs in: use ldaps:// or start-tls")
    if code in _FAULTS:
        return ServerFault(f"{uri} cannot log anybody in now: {_said(result)}")
    found = re.search(r"data ([0-9a-f]{3}),", str(result.get("message", "")))
    why = _AD_REFUSALS.get(found[1], "") if found else ""
    if not why and code in (_INVALID_CREDENTIALS, _INAPPROPRIATE_AUTH):
        why = "name or password is wrong" if settings.bind == "simple" else "unknown there"
    return BindRefused(f"{uri} refuses {who}: {why or _said(result)}")


def _said(result: dict[str, Any]) -> str:
    words = [str(result.get("description", "")), str(result.get("message") or "").strip("\0 ")]
    return ", ".join(word for word in words if word) or "no reason given"
