"""One client of FTP (RFC 959): its connection for commands, and whether it may give them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.protocols import ftp
from twisted.python.failure import Failure

from pxetwist.interfaces import Site
from pxetwist.services.ftp.commands import FtpCommands

_WAITING = 32  # commands that a client may send ahead
_TELNET = b"\xff\xf4\xf2"  # what precedes ABOR (RFC 959 §4.1.3)

#: Whether a command needs an argument; those that are `None` may have one.
_COMMANDS: dict[str, bool | None] = {
    **dict.fromkeys(("CWD", "MDTM", "MODE", "OPTS", "REST", "RETR", "SIZE", "STRU", "TYPE"), True),
    **dict.fromkeys(("USER",), True),
    **dict.fromkeys(("ABOR", "CDUP", "FEAT", "NOOP", "PASV", "PWD", "QUIT", "SYST"), False),
    **dict.fromkeys(("EPSV", "LIST", "NLST", "PASS"), None),
}
_BEFORE_LOGIN = ("USER", "PASS", "FEAT", "OPTS", "NOOP", "SYST", "QUIT")
_CHANGING = ("APPE", "DELE", "MKD", "RMD", "RNFR", "RNTO", "SITE", "STOR", "STOU", "XMKD", "XRMD")
_ACTIVE = ("EPRT", "PORT")


class NotLoggedIn(ftp.FTPCmdError):
    """A command came before the login."""

    errorCode = ftp.NOT_LOGGED_IN


class FtpSession(FtpCommands):
    """Takes one command after the other; nothing is ever written, and data goes to nobody but
    whom the commands came from.
    """

    MAX_LENGTH = 4096

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._work: Deferred[None] | None = None
        self._waiting: deque[tuple[str, str]] = deque()

    # The connection

    @property
    def busy(self) -> bool:
        """Whether a command is being carried out."""
        return self._work is not None

    def connectionMade(self) -> None:
        """Greet; while the client does not read our answers, we read no commands."""
        super().connectionMade()
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop working for a client that has left."""
        self.disconnected = True
        self._waiting.clear()
        if self._work is not None:
            self._work.cancel()
        self._close_data()
        self.factory.forget(self)
        super().connectionLost(reason)

    def callLater(self, period: float, func: Callable[[], object]) -> IDelayedCall:
        """Be timed by the site's clock."""
        later: IDelayedCall = self._site.reactor.callLater(period, func)
        return later

    def timeoutConnection(self) -> None:
        """Send a client away that says nothing."""
        if self.disconnected:
            self.transport.abortConnection()
            return
        self.factory.counters["idle connections closed"] += 1
        self.leave()

    def leave(self) -> None:
        """End the session; what is being sent is cut."""
        self.reply(ftp.SVC_NOT_AVAIL_CLOSING_CTRL_CNX)
        self.close()

    def ftp_QUIT(self) -> None:
        """Say farewell."""
        self.reply(ftp.GOODBYE_MSG)
        self.close()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Send a client away that sends no commands."""
        self.factory.counters["too long lines"] += 1
        self.leave()

    def sendLine(self, line: str | bytes) -> None:
        """Send an answer, whatever bytes of the client's are in it."""
        if isinstance(line, str):
            plain = "".join(c if c.isprintable() or c > "\x7f" else "?" for c in line)
            line = plain.encode("utf-8", "surrogateescape")
        super().sendLine(line)

    # Commands

    def lineReceived(self, line: bytes) -> None:
        """Take a command; one that is being carried out comes to its end first."""
        if self.disconnected:
            return
        verb, _, argument = line.lstrip(_TELNET).partition(b" ")
        name = verb.decode("latin-1").upper()
        if self._work is None:
            self.resetTimeout()
            self._begin(name, argument.decode("utf-8", "surrogateescape"))
        elif name == "ABOR":
            self._waiting.clear()
            self._waiting.append((name, ""))
            self._work.cancel()
        elif len(self._waiting) < _WAITING:
            self._waiting.append((name, argument.decode("utf-8", "surrogateescape")))
        else:
            self.factory.counters["too many commands at once"] += 1
            self.leave()

    def _begin(self, name: str, argument: str) -> None:
        self.setTimeout(None)
        self._work = Deferred.fromCoroutine(self._perform(name, argument))
        self._work.addBoth(self._performed)

    def _performed(self, result: object) -> None:
        self._work = None
        self.factory.sessions.settle()
        if self.disconnected:
            return
        self.setTimeout(self.timeOut)
        if self._waiting:
            self._begin(*self._waiting.popleft())

    async def _perform(self, name: str, argument: str) -> None:
        """Carry out a command, and answer it."""
        try:
            self._check(name, argument)
            needs = _COMMANDS[name]
            given = () if needs is False else (argument,)
            answer = await maybeDeferred(getattr(self, f"ftp_{name}"), *given)
        except ftp.FTPCmdError as error:
            self.sendLine(error.response())
        except CancelledError:
            if not self.disconnected:
                self.reply(ftp.CNX_CLOSED_TXFR_ABORTED)
        except Exception:
            self._site.log.failure("the command {name} failed", name=name)
            self.reply(ftp.REQ_ACTN_ABRTD_LOCAL_ERR)
        else:
            if isinstance(answer, tuple):
                self.reply(*answer)
            elif answer is not None:
                self.reply(answer)

    def _check(self, name: str, argument: str) -> None:
        """Find out whether a command may be given now.

        :raises ftp.FTPCmdError: if not.
        """
        if name in _CHANGING and self.state == self.AUTHED:
            self.factory.counters["writing refused"] += 1
            raise ftp.PermissionDeniedError(argument)
        if name in _ACTIVE:
            self.factory.counters["active mode refused"] += 1
        if name not in _COMMANDS:
            raise ftp.CmdNotImplementedError(name)
        if self.state != self.AUTHED and name not in _BEFORE_LOGIN:
            raise NotLoggedIn
        if _COMMANDS[name] and not argument:
            raise ftp.CmdArgSyntaxError(name)
