"""One connection to one server: opened, encrypted and bound, asked, and its faults in words."""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal, Self, TypeVar, cast

import attrs
from ldap3 import (
    ANONYMOUS,
    BASE,
    DEREF_NEVER,
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
from pxetwist.hosts.ldap.conversations import Conversation
from pxetwist.hosts.ldap.faults import FAULTS, ServerFault, bind_refusal, fault
from pxetwist.hosts.ldap.request import Search, search_request
from pxetwist.hosts.ldap.response import Malformed, Responses, Result
from pxetwist.hosts.ldap.schema import Entry
from pxetwist.hosts.ldap.settings import Settings, Uri

T = TypeVar("T")

_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"  # among supportedCapabilities (MS-ADTS 3.1.1.3.4.3)
_PAGE = 500
_PIECE = 16 * 1024  # bytes that are read at a time: TLS gives no more (RFC 8446 §5.1)
_SUCCESS = 0
# Result codes (RFC 4511 appendix A) with which there may be entries.
_ENTRIES = frozenset({0, 4, 10})  # success, size limit, referral
_PAGED_RESULTS = "1.2.840.113556.1.4.319"


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
            do_handshake_on_connect=False,
            server_hostname=connection.server.host,
        )
        if do_handshake:  # now that it can be closed meanwhile
            connection.socket.do_handshake()


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
    _responses: Responses = attrs.field(factory=Responses)
    _asked: dict[int, tuple[Search, list[Entry]]] = attrs.field(factory=dict)
    _closed: bool = False

    @classmethod
    def open(
        cls, uri: Uri, settings: Settings, begun: Callable[[Self], object] = lambda _: None
    ) -> Self:
        """Connect and bind; `begun` is given the session before, so that somebody may close it.

        :raises ServerFault: if the server cannot be reached or is not whom we want.
        :raises BindRefused: if it does not take our name or password.
        """
        session = cls(uri, _connection(uri, settings), settings.timeout)
        try:
            begun(session)
            session._bind(settings)
            session._learn(settings.base)
        except BaseException:
            session.close()
            raise
        return session

    def search(self, search: Search) -> list[Entry]:
        """Return the entries that are found; references to other servers are left out.

        :raises ServerFault: if the connection breaks or the server cannot answer.
        :raises DirectoryUnavailable: if it does not want to.
        """
        self.send([search])
        [(_, found)] = self.receive()
        if isinstance(found, DirectoryUnavailable):
            raise found
        return found

    def talk(self, conversation: Conversation[T]) -> T:
        """Ask what a conversation asks, one search after the other; return what comes of it.

        :raises DirectoryUnavailable: as `search`.
        """
        heard: list[Entry] | None = None
        while True:
            try:
                heard = self.search(conversation.send(cast(Any, heard)))
            except StopIteration as end:
                return cast(T, end.value)

    def send(self, searches: Iterable[Search]) -> None:
        """Ask all of this at once, without waiting (RFC 4511 §3.1: each answer has its number).

        :raises ServerFault: if the connection breaks.
        """
        messages = []
        try:
            for search in searches:
                number = self._connection.server.next_message_id()
                messages.append(search_request(number, search, self._seconds))
                self._asked[number] = (search, [])
            self._connection.socket.sendall(b"".join(messages))
        except Exception as error:
            raise self._breach(error) from None

    def receive(self) -> list[tuple[Search, list[Entry] | DirectoryUnavailable]]:
        """Wait until a search or several of those sent are answered; what came of each.

        That is an error if the server refuses one, a `ServerFault` if it cannot answer it now.

        :raises ServerFault: if the connection breaks or the server says nothing in time.
        """
        ended: list[tuple[Search, list[Entry] | DirectoryUnavailable]] = []
        latest = time.monotonic() + self._timeout
        while not ended:
            try:
                piece = self._connection.socket.recv(_PIECE)
                answers = self._responses.feed(piece)
            except Exception as error:
                raise self._breach(error) from None
            if not piece:
                raise ServerFault(f"the connection to {self.uri} was closed")
            for number, answer in answers:
                if number not in self._asked:
                    self._unasked(number, answer)
                elif isinstance(answer, Entry):
                    self._asked[number][1].append(answer)
                else:
                    search, found = self._asked.pop(number)
                    ended.append((search, self._refusal(answer, search.base) or found))
            now = time.monotonic()
            if answers:
                latest = now + self._timeout
            elif now > latest:  # it says something, but never a whole word
                raise fault(self.uri, TimeoutError("timed out"), self._timeout)
        return ended

    def pages(self, base: str, filter_: str, attributes: Iterable[str]) -> Iterator[Entry]:
        """Yield all entries below `base`, asked for page by page (RFC 2696).

        :raises DirectoryUnavailable: as `search`.
        """
        cookie: bytes | None = None
        while True:
            found = self._search(base, filter_, attributes, paged_size=_PAGE, paged_cookie=cookie)
            yield from _entries(found)
            controls = (self._connection.result or {}).get("controls", {})
            cookie = controls.get(_PAGED_RESULTS, {}).get("value", {}).get("cookie")
            if not cookie:
                return

    def close(self) -> None:
        """Let go of the connection, without waiting for the server; no harm if done twice."""
        self._closed = True  # before it is: another thread may be reading just now
        opened = self._connection.socket
        if opened is not None:  # ldap3 closes nothing that is not open to the end
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        with suppress(LDAPExceptionError, OSError):
            self._connection.strategy.close()

    def _bind(self, settings: Settings) -> None:
        connection = self._connection
        try:
            connection.open(read_server_info=False)
            if settings.start_tls:
                connection.start_tls(read_server_info=False)
            if settings.bind == "kerberos":
                from pxetwist.hosts.ldap import kerberos  # noqa: PLC0415 # gssapi may be missing

                result = kerberos.bind(connection, self.uri, settings)
            else:
                connection.bind(read_server_info=False)
                result = connection.result or {}
        except DirectoryUnavailable:
            raise
        except Exception as error:
            raise self._breach(error) from None
        if result.get("result") != _SUCCESS:
            raise bind_refusal(self.uri, settings, result)

    def _learn(self, base: str) -> None:
        """Read what the server says of itself (RFC 4512 5.1); that is told to everybody."""
        names = ["supportedCapabilities", "defaultNamingContext", "namingContexts"]
        found = self._search("", "(objectClass=*)", names, scope=BASE)
        for root in _entries(found):
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
        """Search by ldap3's own means, for what the quick way does not know."""

        def exchange() -> tuple[Any, Any]:
            self._connection.search(
                base,
                filter_,
                search_scope=scope,
                dereference_aliases=DEREF_NEVER,
                attributes=list(attributes),
                time_limit=self._seconds,
                **more,
            )
            return self._connection.response, self._connection.result

        return self._answer(exchange, base)

    def _answer(self, exchange: Callable[[], tuple[Any, Any]], base: str) -> list[Any]:
        """Return what a search by ldap3's means brings; its result code is judged here."""
        try:
            response, result = exchange()
        except Exception as error:
            raise self._breach(error) from None
        if result is None:
            raise ServerFault(f"the connection to {self.uri} was closed")
        refusal = self._refusal(Result(result["result"], str(result["message"] or "")), base)
        if refusal is not None:
            raise refusal
        return list(response or ())

    def _breach(self, error: Exception) -> Exception:
        """Return what breaks a connection as a fault of the server, a bug of ours as it is."""
        if isinstance(error, (LDAPExceptionError, OSError)):
            return fault(self.uri, error, self._timeout)
        if isinstance(error, Malformed):
            return ServerFault(f"{self.uri} does not speak LDAP: {error}")
        if self._closed or self._connection.closed:
            # another thread has closed it, and ldap3 is not made for that
            return ServerFault(f"the connection to {self.uri} was closed")
        return error

    def _refusal(self, result: Result, base: str) -> DirectoryUnavailable | None:
        """Return what a server says instead of an answer, if it does."""
        if result.code in _ENTRIES:
            return None
        if result.code in FAULTS:
            return ServerFault(f"{self.uri} cannot answer now: {result}")
        where = f" below {base}" if base else ""
        return DirectoryUnavailable(f"{self.uri} refuses the search{where}: {result}")

    def _unasked(self, number: int, answer: Entry | Result) -> None:
        """Take note of the server's farewell (RFC 4511 §4.4.1); nothing else is of use."""
        if number == 0 and isinstance(answer, Result):
            raise ServerFault(f"{self.uri} ends the connection: {answer}")

    @property
    def _seconds(self) -> int:
        return math.ceil(self._timeout)


def _entries(response: Iterable[Any]) -> Iterator[Entry]:
    for each in response:
        if each["type"] == "searchResEntry":
            found = each["raw_attributes"].items()
            yield Entry(each["dn"], {name.lower(): tuple(values) for name, values in found})


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
            login = {"authentication": SASL, "sasl_mechanism": KERBEROS}
        case _:
            login = {"authentication": ANONYMOUS}
    return Connection(
        server,
        client_strategy=SYNC,
        read_only=True,
        auto_referrals=False,
        auto_range=False,
        check_names=False,
        auto_escape=False,  # filters are whole already
        auto_encode=False,
        return_empty_attributes=False,
        **login,
    )
