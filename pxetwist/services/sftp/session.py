"""One operator's SSH connection (RFC 4251-4254): a key opens it, and SFTP is all that it offers.

There is no shell, no command, no terminal, no forwarding and no agent: a channel of a session
takes the subsystem ``sftp``, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.ssh import channel, common, connection, transport, userauth
from twisted.conch.ssh.filetransfer import FileTransferServer
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from pxetwist.interfaces import Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.services.sftp.files import OperatorFiles
from pxetwist.services.sftp.work import Operator
from pxetwist.services.sockets6 import host_of
from pxetwist.services.uploads import Uploads

LOGIN = 30  # seconds until a client must have shown its key
_ATTEMPTS = 6
_CHANNELS = 4  # of one connection
_LONGEST = 1 << 18  # bytes of one request of SFTP
_WINDOW, _PACKET = 1 << 21, 1 << 15


class Quiet(Logger):
    """Writes nothing: what clients do wrong is counted, and every packet is no news."""

    def emit(self, level: Any, format: str | None = None, **kwargs: object) -> None:
        """Pass over it."""


class FileRequests(FileTransferServer):
    """The requests of SFTP on one channel."""

    _log = Quiet()
    client: Any  # the OperatorFiles
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Take requests, as long as they have a reasonable size."""
        super().dataReceived(data)
        if len(self.buf) >= 4 and int.from_bytes(self.buf[:4], "big") > _LONGEST:
            self.buf = b""
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget files that were not closed: none of them gets its name."""
        for opened in list(self.client.opened):
            opened.abandon()
        self.client.opened.clear()
        self.openFiles = {}
        super().connectionLost(reason)


class FileChannel(channel.SSHChannel):
    """A channel of a session, for one subsystem."""

    name = b"session"
    _log = Quiet()
    _requests: FileRequests | None = None

    def __init__(self, **given: Any) -> None:
        super().__init__(localWindow=_WINDOW, localMaxPacket=_PACKET, **given)

    def request_subsystem(self, data: bytes) -> int:
        """Begin SFTP, once."""
        name, _ = common.getNS(data)
        if name != b"sftp" or self._requests is not None:
            return 0
        avatar: Any = self.avatar
        self._requests = FileRequests(avatar=avatar.files())
        self._requests.makeConnection(self)
        return 1

    def dataReceived(self, data: bytes) -> None:
        """Pass on what comes after that."""
        if self._requests is not None:
            self._requests.dataReceived(data)

    def eofReceived(self) -> None:
        """Close it when the client has no more to say, and that all is well: scp asks."""
        connected: Any = self.conn
        connected.sendRequest(self, b"exit-status", bytes(4))
        self.loseConnection()

    def closed(self) -> None:
        """Know that it is over."""
        requests, self._requests = self._requests, None
        if requests is not None:
            requests.connectionLost(Failure(connectionDone.value))


class OperatorAvatar(ConchUser):
    """What an operator may do."""

    _log = Quiet()

    def __init__(self, site: Site, name: str, uploads: Uploads | None) -> None:
        super().__init__()
        self.channelLookup = {b"session": FileChannel}
        self.name = name
        self._site = site
        self._uploads = uploads

    def files(self) -> OperatorFiles:
        """Return the files of a new session."""
        wire = self.conn.transport.transport
        peer = host_of(wire.getPeer()).partition("%")[0]
        who = Operator(
            self.name, ClientIdentity(address=ip_address(peer)), host_of(wire.getHost())
        )
        return OperatorFiles(self._site, who, self._uploads)

    def lookupChannel(
        self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes
    ) -> Any:
        """Open a channel, of the one kind that there is, if there are not too many."""
        kind = channelType if len(self.conn.channels) < _CHANNELS else b"one too many"
        return super().lookupChannel(kind, windowSize, maxPacket, data)


class Connection(connection.SSHConnection):
    """Channels, and nothing else: global requests ask for forwarding."""

    _log = Quiet()


class KeyLogin(userauth.SSHUserAuthServer):
    """Takes keys only; the transport says how long that may take."""

    _log = Quiet()
    attemptsBeforeDisconnect = _ATTEMPTS
    loginTimeout = LOGIN


class SftpTransport(transport.SSHServerTransport):
    """A connection; `factory` is the SftpFactory that made it."""

    _log = Quiet()
    factory: Any
    transport: Any
    _idle: IDelayedCall | None = None

    @property
    def busy(self) -> bool:
        """Whether somebody is logged in."""
        return hasattr(self, "avatar")

    @property
    def _counters(self) -> Counter[str]:
        counters: Counter[str] = self.factory.counters
        return counters

    def leave(self) -> None:
        """End it."""
        self.transport.abortConnection()

    def connectionMade(self) -> None:
        """Greet, and wait for so long."""
        self._wait(LOGIN)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Take what comes; what is no SSH ends the connection."""
        if self.busy:
            self._wait(self.factory.idle_timeout)
        try:
            super().dataReceived(data)
        except Exception as error:
            self._counters[f"malformed: {type(error).__name__}"] += 1
            self.transport.abortConnection()

    def _wait(self, seconds: float) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.reset(seconds)
        else:
            self._idle = self.factory.site.reactor.callLater(seconds, self._give_up)

    def _give_up(self) -> None:
        self._counters["idle connections closed" if self.busy else "no login in time"] += 1
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Forget it."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self.factory.forget(self)
        super().connectionLost(reason)
