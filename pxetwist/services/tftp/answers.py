"""How a TFTP request is answered: with a transfer, or with an error."""

from __future__ import annotations

from collections import Counter

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from pxetwist.errors import ContentDenied, ContentError, PolicyError
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest, Protocol, Resolution
from pxetwist.model.content import ContentPath
from pxetwist.services import requests
from pxetwist.services.blocks import NetasciiContent
from pxetwist.services.sockets import IDatagramSocket
from pxetwist.services.tftp.admission import Asked
from pxetwist.services.tftp.file_reception import EXISTS, TOO_LARGE
from pxetwist.services.tftp.running import RunningTransfers
from pxetwist.services.tftp.settings import Settings
from pxetwist.services.uploads import UploadExists, Uploads, UploadTooLarge
from pxetwist.wire import tftp
from pxetwist.wire.tftp import Error, ErrorCode, ReadRequest, WriteRequest

_NOT_FOUND = Error(ErrorCode.NOT_FOUND, "File not found")  # never 2: shim would start MokManager
_BAD_MODE = Error(ErrorCode.ILLEGAL_OPERATION, "Only octet and netascii")
_READ_ONLY = Error(ErrorCode.ILLEGAL_OPERATION, "This server takes no files")
_NOT_HERE = Error(ErrorCode.ACCESS_VIOLATION, "No files here")
_TOO_MANY = Error(ErrorCode.UNDEFINED, "Too many files at a time")
_BROKEN = Error(ErrorCode.UNDEFINED, "Internal trouble")
_NO_TEXT = Error(ErrorCode.ILLEGAL_OPERATION, "Too large for netascii: ask for octet")
#: A text is no larger (bytes): all of it is read to tell its size, for whoever sends one packet.
_LARGEST_TEXT = 1 << 20
_TOLD_OF_STRANGERS = 20  # requests in a second that failed


class TftpAnswers:
    """Answers the requests of one service; `counters` are that one's."""

    def __init__(
        self, settings: Settings, site: Site, running: RunningTransfers, counters: Counter[str]
    ) -> None:
        self._settings = settings
        self._site = site
        self._running = running
        self._counters = counters
        self._told = (0, 0)  # what strangers were told of in that second
        folder = settings.write_folder
        self._uploads = (
            Uploads(folder, settings.write_limit, settings.write_over) if folder else None
        )

    def start(self) -> None:
        """Clean up what a server that was killed has left behind."""
        if self._uploads is not None:
            self._uploads.clean()

    def objection(self, asked: Asked) -> Error | None:
        """Return why a request cannot be answered whatever it is about."""
        if isinstance(asked.packet, WriteRequest) and self._uploads is None:
            return _READ_ONLY
        return None if asked.packet.mode in ("octet", "netascii") else _BAD_MODE

    def refuse(self, asked: Asked, error: Error) -> None:
        """Send an error from the address that was asked."""
        self._counters[f"refused: {error.text}"] += 1
        arrival = asked.arrival
        asked.socket.send(
            tftp.encode(error), asked.peer, source=arrival.local, index=arrival.index
        )

    async def answer(self, asked: Asked) -> None:
        """Begin a transfer, or say why there is none; never raises."""
        packet, misfit = asked.packet, None
        try:
            path = ContentPath.parse(packet.name)
        except ValueError as error:
            if isinstance(packet, ReadRequest):
                self.refuse(asked, _NOT_FOUND)
                return
            path, misfit = ContentPath(()), ContentDenied(f"{error}: {packet.name!r}")
        try:
            resolution = await self._resolve(path, asked)
            request = resolution.request
            if isinstance(packet, ReadRequest):
                await self._send(packet, resolution, path, asked)
            elif misfit is not None:
                self._refuse_upload(asked, request, misfit)
            elif self._uploads is not None:
                self._take(self._uploads, packet, request, path, asked=asked)
        except CancelledError:
            return
        except OSError as error:
            self._counters["no way to the client"] += 1
            if self._is_news(asked):
                self._site.log.info("No transfer with {peer}: {e}", peer=asked.peer, e=error)
        except Exception:
            self._site.log.failure("A request for {path} failed", path=str(path))
            self.refuse(asked, _BROKEN)

    async def _resolve(self, path: ContentPath, asked: Asked) -> Resolution:
        boot = self._site.boot
        identity, boot_id = await boot.identify(asked.peer[0], self._site.reactor.seconds())
        request = requests.content_request(
            self._site,
            Protocol.TFTP,
            path,
            identity=attrs.evolve(identity, interface=asked.arrival.interface),
            boot_id=boot_id,
            local=asked.arrival.local,
        )
        resolution: Resolution = await boot.resolve(request)
        return resolution

    async def _send(
        self, packet: ReadRequest, resolution: Resolution, path: ContentPath, asked: Asked
    ) -> None:
        request = resolution.request
        try:
            content: IContent = await self._site.boot.open(path, request)
        except ContentError as error:
            self.refuse(asked, _NOT_FOUND)
            if self._is_news(asked):
                requests.tell_missing(self._site, resolution, error)
            return
        except PolicyError as error:
            self.refuse(asked, _BROKEN)
            requests.tell_failed(self._site, request, error)
            return
        try:
            if packet.mode == "netascii":
                if content.info.size > _LARGEST_TEXT:
                    content.close()
                    self.refuse(asked, _NO_TEXT)
                    return
                clock = self._site.reactor
                content = await NetasciiContent.translate(content, lambda: deferLater(clock, 0))
            self._running.begin(
                packet,
                request,
                content,
                local=asked.arrival.local,
                peer=asked.peer,
                over=self._over(asked),
                known=asked.known,
            )
        except BaseException:
            content.close()
            raise

    def _take(
        self,
        uploads: Uploads,
        packet: WriteRequest,
        request: BootRequest,
        path: ContentPath,
        *,
        asked: Asked,
    ) -> None:
        if self._running.receptions(asked.peer[0]) >= self._settings.writes_per_client:
            self.refuse(asked, _TOO_MANY)
            return
        try:
            upload = uploads.open(path, tftp.announced_size(packet.options))
        except ContentError as error:
            self._refuse_upload(asked, request, error)
            return
        try:
            self._running.take(
                packet,
                request,
                upload,
                local=asked.arrival.local,
                peer=asked.peer,
                over=self._over(asked),
                known=asked.known,
            )
        except BaseException:
            upload.close()
            raise

    def _refuse_upload(self, asked: Asked, request: BootRequest, error: ContentError) -> None:
        said = _NOT_HERE
        if isinstance(error, UploadExists):
            said = EXISTS
        elif isinstance(error, UploadTooLarge):
            said = TOO_LARGE
        self.refuse(asked, said)
        if self._is_news(asked):
            requests.tell_refused(self._site, request, error)

    def _over(self, asked: Asked) -> IDatagramSocket | None:
        return asked.socket if self._settings.single_port else None

    def _is_news(self, asked: Asked) -> bool:
        """Whether a failure is to be told: of those of strangers, so many in a second."""
        second = int(asked.since)
        before = self._told[1] if self._told[0] == second else 0
        self._told = second, before + 1
        return asked.known or before < _TOLD_OF_STRANGERS
