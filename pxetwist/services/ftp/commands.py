"""What clients of FTP may say (RFC 959, 2389, 2428, 3659), and what they are sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

import attrs
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import deferLater
from twisted.protocols import ftp

from pxetwist.errors import ContentError, PolicyError, StartError
from pxetwist.exchange.http import Span
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest, Protocol, Resolution
from pxetwist.model.content import ROOT, ContentPath, Listed
from pxetwist.model.identity import ClientIdentity
from pxetwist.services import requests
from pxetwist.services.blocks import NetasciiContent
from pxetwist.services.ftp.data import (
    DataConnection,
    DataPort,
    NoData,
    Unfit,
    breaks_lines,
    long_line,
    ports_to_try,
)
from pxetwist.services.sending import send_span
from pxetwist.services.sessions import GRACE
from pxetwist.services.sockets6 import host_of

#: For what tokens are made that log in; those of scripts do as well.
PURPOSE = "files"

_ANONYMOUS = ("anonymous", "ftp")
_GUESSES = 3  # then it must connect again
_DEEPEST = 4096  # characters of a working directory
_FEATURES = ("EPSV", "MDTM", "PASV", "REST STREAM", "SIZE", "TVFS", "UTF8")


class FtpCommands(ftp.FTP):
    """Carries out commands; Twisted's class spells the answers, and knows the small ones."""

    factory: Any  # the FtpFactory that made it
    transport: Any
    timeOut: Any

    def __init__(self, site: Site) -> None:
        self.FEATURES = list(_FEATURES)
        self.workingDirectory: list[str] = []
        self._site = site
        self._who: tuple[ClientIdentity, str] = (ClientIdentity(), "")
        self._user = ""
        self._guesses = 0
        self._offset = 0
        self._data: DataPort | None = None

    @property
    def _peer(self) -> str:
        return host_of(self.transport.getPeer())

    def close(self) -> None:
        """Close the connection when the last answer is sent, or some seconds are over."""
        self.disconnected = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self.setTimeout(GRACE)
        self._close_data()

    # Login

    def ftp_USER(self, username: str) -> tuple[str, ...] | str:
        """Take the name; that of guests, or any other one, which a token follows."""
        self._close_data()
        self._user, self.state = username, self.INAUTH
        if self._is_guest:
            return ftp.GUEST_NAME_OK_NEED_EMAIL
        return (ftp.USR_NAME_OK_NEED_PASS, username)

    @property
    def _is_guest(self) -> bool:
        return bool(self.factory.anonymous) and self._user.lower() in _ANONYMOUS

    async def ftp_PASS(self, password: str) -> tuple[str, ...] | str | None:
        """Let guests in as strangers, and who has the token of a machine as that."""
        if self.state != self.INAUTH:
            return (ftp.BAD_CMD_SEQ, "USER required before PASS")
        who: tuple[ClientIdentity, str] | None = (ClientIdentity(), "")
        if not self._is_guest:
            boot, now = self._site.boot, self._site.reactor.seconds()
            who = boot.redeem(password, now, PURPOSE) or boot.redeem(password, now)
        if who is None:
            self.factory.counters["logins refused"] += 1
            self.state, self._guesses = self.UNAUTH, self._guesses + 1
            self.reply(ftp.AUTH_FAILURE)
            if self._guesses >= _GUESSES:
                self.close()
            return None
        self.factory.counters["logins"] += 1
        self._who, self.state, self.workingDirectory = who, self.AUTHED, []
        return ftp.GUEST_LOGGED_IN_PROCEED if self._is_guest else ftp.USR_LOGGED_IN_PROCEED

    # Names

    def _path(self, name: str) -> ContentPath:
        """Return what a name means, seen from the working directory.

        :raises ftp.FileNotFoundError: if it leads out of the root.
        """
        try:
            segments = ftp.toSegments(self.workingDirectory, name)
            return ContentPath.parse("/".join(segments)) if segments else ROOT
        except (ValueError, ftp.InvalidPath):
            raise ftp.FileNotFoundError(name) from None

    def ftp_CWD(self, path: str) -> tuple[str, ...]:
        """Go there: a folder is a folder when something is found in it."""
        parts = list(self._path(path).parts) if path.strip("/") else []
        if sum(map(len, parts)) > _DEEPEST:
            raise ftp.FileNotFoundError(path)
        self.workingDirectory = parts
        return (ftp.REQ_FILE_ACTN_COMPLETED_OK,)

    def ftp_PWD(self) -> tuple[str, str]:
        """Tell where it is (RFC 959, appendix II: quotes are doubled)."""
        return (ftp.PWD_REPLY, ("/" + "/".join(self.workingDirectory)).replace('"', '""'))

    def ftp_OPTS(self, option: str) -> tuple[str, ...]:
        """Know one option: names are in UTF-8."""
        if option.upper().split() == ["UTF8", "ON"]:
            return (ftp.CMD_OK,)
        return (ftp.OPTS_NOT_IMPLEMENTED, option)

    async def _resolve(self, path: ContentPath) -> Resolution:
        identity, boot_id = self._who
        with suppress(ValueError):
            identity = attrs.evolve(identity, address=ip_address(self._peer.partition("%")[0]))
        request = requests.content_request(
            self._site,
            Protocol.FTP,
            path,
            identity=identity,
            boot_id=boot_id,
            local=host_of(self.transport.getHost()),
        )
        resolution: Resolution = await self._site.boot.resolve(request)
        return resolution

    async def _open(self, name: str) -> tuple[IContent, BootRequest]:
        """Open a file.

        :raises ftp.FTPCmdError: if there is none.
        """
        path = self._path(name)
        if not path.parts:
            raise ftp.IsADirectoryError(name)
        resolution = await self._resolve(path)
        request = resolution.request
        try:
            return await self._site.boot.open(path, request), request
        except ContentError as error:
            self.factory.counters["not found"] += 1
            requests.tell_missing(self._site, resolution, error)
            raise ftp.FileNotFoundError(name) from None
        except PolicyError as error:
            requests.tell_failed(self._site, request, error)
            raise Unfit from None

    async def ftp_SIZE(self, path: str) -> tuple[str, str]:
        """Tell the size of a file, as it is without translation (RFC 3659 §4)."""
        if not self.binary:
            raise ftp.CmdNotImplementedForArgError("A")
        content, _ = await self._open(path)
        content.close()
        return (ftp.FILE_STATUS, str(content.info.size))

    async def ftp_MDTM(self, path: str) -> tuple[str, str]:
        """Tell when a file was changed (RFC 3659 §3)."""
        content, _ = await self._open(path)
        content.close()
        when = time.gmtime(content.info.modified)
        return (ftp.FILE_STATUS, time.strftime("%Y%m%d%H%M%S", when))

    # Transfers

    def ftp_PASV(self) -> tuple[str, str]:
        """Open a port for data (RFC 959 §4.1.2), which only clients of IPv4 can be told of."""
        host = host_of(self.transport.getHost())
        if self._epsvAll:
            raise ftp.BadCmdSequenceError("may not send PASV after EPSV ALL")
        if ":" in host:
            raise ftp.PASVIPv6NotImplementedError
        return (ftp.ENTERING_PASV_MODE, ftp.encodeHostPort(host, self._open_port(host)))

    def ftp_EPSV(self, protocol: str = "") -> tuple[str, ...]:
        """Open a port for data (RFC 2428 §3), on the address that the client found us at."""
        host = host_of(self.transport.getHost())
        if protocol.upper() == "ALL":
            self._epsvAll = True
            return (ftp.EPSV_ALL_OK,)
        ours = "2" if ":" in host else "1"
        if protocol not in ("", ours):
            raise ftp.UnsupportedNetworkProtocolError(ours)
        return (ftp.ENTERING_EPSV_MODE, str(self._open_port(host)))

    def _open_port(self, host: str) -> int:
        self._close_data()
        clock, patience = self._site.reactor, self.factory.idle_timeout

        data = DataPort(
            self._peer, self.factory.counters, partial(DataConnection, clock, patience)
        )
        try:
            data.open(self.factory.listen, clock, host, ports_to_try(self.factory.ports))
        except StartError:
            self.factory.counters["no port for data"] += 1
            raise NoData from None
        self._data = data
        return data.port

    def _close_data(self) -> None:
        data, self._data = self._data, None
        if data is not None:
            data.close()

    def ftp_REST(self, offset: str) -> tuple[str, ...]:
        """Let the next file begin at an offset (RFC 3659 §5)."""
        if not (offset.isascii() and offset.isdigit() and len(offset) < 19):
            raise ftp.CmdArgSyntaxError(offset)
        self._offset = int(offset)
        return (ftp.REQ_FILE_ACTN_PENDING_FURTHER_INFO,)

    async def ftp_RETR(self, path: str) -> tuple[str, ...]:
        """Send a file, or the rest of it."""
        offset, self._offset = self._offset, 0
        content, request = await self._open(path)
        try:
            if not self.binary:
                content = await NetasciiContent.translate(
                    content, lambda: deferLater(self._site.reactor, 0)
                )
            if offset > content.info.size or (offset and not self.binary):
                raise ftp.CmdNotImplementedForArgError(str(offset))
            span = Span(offset, content.info.size)
            return await self._transfer(lambda data: self._send(data, content, span, request))
        finally:
            content.close()

    async def _send(
        self, data: DataConnection, content: IContent, span: Span, request: BootRequest
    ) -> None:
        clock, size = self._site.reactor, span.end - span.start
        began, whole = clock.seconds(), False
        try:
            if span.start < span.end:
                await send_span(data, content, span)
            await data.finish()
            whole = True
        except (ContentError, OSError) as error:
            self._site.log.warn("A transfer by FTP broke off: {error}", error=error)
            raise Unfit from None
        finally:
            seconds = clock.seconds() - began
            requests.tell_sent(
                self._site, request, data.octets, size, seconds=seconds, whole=whole
            )

    async def _transfer(
        self, send: Callable[[DataConnection], Coroutine[Any, Any, None]]
    ) -> tuple[str]:
        """Send something over the data connection, and answer with how that ended."""
        whole = False
        data, self._data = self._data, None
        if data is None:
            raise ftp.BadCmdSequenceError("PASV or EPSV required before")
        try:
            self.reply(ftp.FILE_STATUS_OK_OPEN_DATA_CNX)
            try:
                connection = await data.connection(self._site.reactor)
            except TimedOut:
                raise NoData from None
            whole = await connection.carry(send)
        finally:
            data.close()
            self.factory.counters["transfers" if whole else "transfers broken off"] += 1
        return (ftp.TXFR_COMPLETE_OK if whole else ftp.CNX_CLOSED_TXFR_ABORTED,)

    def ftp_ABOR(self) -> str:
        """Know that nothing is being sent: what was has been stopped before this is looked at."""
        self._close_data()
        return ftp.CLOSING_DATA_CNX

    # Listings

    async def ftp_LIST(self, path: str = "") -> tuple[str, ...]:
        """Show what is in a folder, if a store shows that; options of ``ls`` are passed over."""
        now = self._site.reactor.seconds()
        return await self._list(path, lambda each: long_line(each, now))

    async def ftp_NLST(self, path: str = "") -> tuple[str, ...]:
        """Show the names alone."""
        return await self._list(path, lambda each: each.name)

    async def _list(self, path: str, line: Callable[[Listed], str]) -> tuple[str, ...]:
        name = " ".join(word for word in path.split(" ") if not word.startswith("-"))
        try:
            listed: Sequence[Listed] = self._site.boot.listed(self._path(name))
        except ContentError:
            self.factory.counters["not found"] += 1
            raise ftp.FileNotFoundError(name or ".") from None
        lines = [f"{line(each)}\r\n" for each in listed if not breaks_lines(each.name)]

        async def send(data: DataConnection) -> None:
            text = "".join(lines).encode("utf-8", "surrogateescape")
            data.transport.write(text)
            data.octets += len(text)
            await data.finish()

        return await self._transfer(send)
