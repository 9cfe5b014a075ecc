"""The TFTP service: requests on port 69, each transfer on a socket of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.task import deferLater
from zope.interface import implementer

from pxetwist.errors import ContentError, PolicyError, WireError
from pxetwist.interfaces import IBootService, IContent, ICounts, Site
from pxetwist.model.boot import BootRequest, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.services import requests
from pxetwist.services.blocks import NetasciiContent
from pxetwist.services.listening import addresses_to_take, udp_socket
from pxetwist.services.running import RunningTransfers
from pxetwist.services.sockets import Arrival, DatagramFactory, IDatagramSocket
from pxetwist.services.tftp_settings import Settings
from pxetwist.services.transfer_interfaces import Peer, TransferSocketsFactory
from pxetwist.services.transfer_sockets import TransferSockets
from pxetwist.wire import tftp
from pxetwist.wire.tftp import Error, ErrorCode, ReadRequest, WriteRequest

_NOT_FOUND = Error(ErrorCode.NOT_FOUND, "File not found")  # never 2: shim would start MokManager
_BAD_MODE = Error(ErrorCode.ILLEGAL_OPERATION, "Only octet and netascii")
_READ_ONLY = Error(ErrorCode.ILLEGAL_OPERATION, "This server takes no files")
_BROKEN = Error(ErrorCode.UNDEFINED, "Internal trouble")


def build(settings: Settings, site: Site) -> TftpService:
    """Make the service."""
    return TftpService(settings, site)


@attrs.define(eq=False)
class _Listener:
    """A bound socket and what it receives."""

    service: TftpService
    socket: IDatagramSocket = attrs.field(init=False)

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        self.service.received(self, data, peer, arrival)

    def drained(self) -> None:
        """Nothing is grouped."""


@implementer(IBootService, ICounts)
class TftpService(Service):
    """Serves contents over TFTP, read only (RFC 1350, 2347-2349, 7440).

    `counters` says what was dropped and why. The factories are there for tests.
    """

    def __init__(
        self,
        settings: Settings,
        site: Site,
        datagram: DatagramFactory = udp_socket,
        transfer_sockets: TransferSocketsFactory = TransferSockets,
    ) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self._site = site
        self._datagram = datagram
        self._listeners: list[_Listener] = []
        self._sockets = transfer_sockets(site.reactor, settings.port_range)
        self._opening: dict[Peer, tuple[ReadRequest, Deferred[None]]] = {}
        self._per_client: Counter[str] = Counter()
        self._running = RunningTransfers(
            site,
            self._sockets,
            block_size=settings.max_block_size,
            window=settings.max_window,
            image_memory=settings.image_memory,
            left=self._left,
        )

    def counts(self) -> Mapping[str, int]:
        """Return how transfers ended, and what was dropped and why."""
        return self._running.counters + self.counters

    # IBootService

    def listening(self) -> Sequence[IAddress]:
        """Return the addresses of its request sockets."""
        return [listener.socket.getHost() for listener in self._listeners]

    def privilegedStartService(self) -> None:
        """Take the ports, while there are the rights for it.

        :raises StartError: if one cannot be taken.
        """
        super().privilegedStartService()
        for interface in self.settings.interfaces or ("",):
            for address in addresses_to_take(self.settings.addresses):
                listener = _Listener(self)
                listener.socket = self._datagram(
                    self._site.reactor,
                    listener,
                    address=address,
                    port=self.settings.port,
                    interface=interface,
                )
                listener.socket.bind()
                self._listeners.append(listener)

    def startService(self) -> None:
        """Begin to answer."""
        super().startService()
        if not self._listeners:
            self.privilegedStartService()
        self._running.start()
        for listener in self._listeners:
            if self.settings.single_port:
                self._sockets.adopt(listener.socket)
            else:
                listener.socket.start()

    def stopService(self) -> Deferred[None]:
        """Take no more requests; let running transfers end, for a few seconds."""
        super().stopService()
        if not self.settings.single_port:
            self._stop_listening()
        for _, opening in list(self._opening.values()):
            opening.cancel()
        return self._running.stop().addBoth(self._stop_listening)

    def _stop_listening(self, result: object = None) -> None:
        for listener in self._listeners:
            listener.socket.stop()
        self._listeners.clear()

    # Requests

    def received(self, listener: _Listener, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take a packet on the request port."""
        try:
            packet = tftp.decode(data)
        except WireError as error:
            self._drop(error.reason)
            return
        if arrival.destination != arrival.local:
            self._drop("sent to a broadcast address")  # RFC 1123 §4.2.3.4
            return
        match packet:
            case ReadRequest(mode="octet" | "netascii"):
                self._requested(listener, packet, peer, arrival)
            case ReadRequest():
                self._refuse(listener, _BAD_MODE, peer, arrival)
            case WriteRequest():
                self._refuse(listener, _READ_ONLY, peer, arrival)
            case _:
                self._drop("no request")  # never answered: it might be another server's ERROR

    def _drop(self, reason: str) -> None:
        self.counters[reason] += 1

    def _refuse(self, listener: _Listener, error: Error, peer: Peer, arrival: Arrival) -> None:
        self.counters[f"refused: {error.text}"] += 1
        listener.socket.send(tftp.encode(error), peer, source=arrival.local, index=arrival.index)

    def _requested(
        self, listener: _Listener, asked: ReadRequest, peer: Peer, arrival: Arrival
    ) -> None:
        if self._repeated(asked, peer) or not self.running:
            return
        if len(self._running) + len(self._opening) >= self.settings.max_transfers:
            self._drop("too many transfers")  # the client asks again, later
            return
        if self._per_client[peer[0]] >= self.settings.max_per_client:
            self._drop("too many transfers of one client")
            return
        self._per_client[peer[0]] += 1
        deferred = Deferred.fromCoroutine(self._answer(listener, asked, peer, arrival))
        if not deferred.called:
            self._opening[peer] = (asked, deferred)
        deferred.addBoth(self._opened, peer)

    def _repeated(self, asked: ReadRequest, peer: Peer) -> bool:
        """Treat a request from a port that asked before; `True` if it needs no new transfer."""
        if peer in self._opening:
            before, opening = self._opening[peer]
            if before == asked:
                return True
            opening.cancel()
        return self._running.repeated(asked, peer)

    def _opened(self, result: object, peer: Peer) -> None:
        self._opening.pop(peer, None)
        if peer not in self._running:
            self._left(peer)

    def _left(self, peer: Peer) -> None:
        self._per_client[peer[0]] -= 1
        if not self._per_client[peer[0]]:
            del self._per_client[peer[0]]

    async def _answer(
        self, listener: _Listener, asked: ReadRequest, peer: Peer, arrival: Arrival
    ) -> None:
        try:
            path = ContentPath.parse(asked.name)
        except ValueError:
            self._refuse(listener, _NOT_FOUND, peer, arrival)
            return
        try:
            request = await self._resolve(path, peer, arrival)
            try:
                content = await self._site.boot.open(path, request)
            except ContentError:
                self._refuse(listener, _NOT_FOUND, peer, arrival)
                requests.tell_missing(self._site, request)
                return
            except PolicyError as error:
                self._refuse(listener, _BROKEN, peer, arrival)
                requests.tell_failed(self._site, request, error)
                return
            await self._begin(listener, asked, request, content, local=arrival.local, peer=peer)
        except CancelledError:
            return
        except Exception:
            self._site.log.failure("A request for {path} failed", path=str(path))
            self._refuse(listener, _BROKEN, peer, arrival)

    async def _resolve(self, path: ContentPath, peer: Peer, arrival: Arrival) -> BootRequest:
        boot = self._site.boot
        identity, boot_id = await boot.identify(peer[0], self._site.reactor.seconds())
        request = requests.content_request(
            self._site,
            Protocol.TFTP,
            path,
            identity=attrs.evolve(identity, interface=arrival.interface),
            boot_id=boot_id,
            local=arrival.local,
        )
        resolved: BootRequest = (await boot.resolve(request)).request
        return resolved

    async def _begin(
        self,
        listener: _Listener,
        asked: ReadRequest,
        request: BootRequest,
        content: IContent,
        *,
        local: str,
        peer: Peer,
    ) -> None:
        try:
            if asked.mode == "netascii":
                clock = self._site.reactor
                content = await NetasciiContent.translate(content, lambda: deferLater(clock, 0))
            over = listener.socket if self.settings.single_port else None
            self._running.begin(asked, request, content, local=local, peer=peer, over=over)
        except BaseException:
            content.close()
            raise
