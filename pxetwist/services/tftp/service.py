"""The TFTP service: requests on port 69, each transfer on a socket of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from pxetwist.boot.guard import rest_of
from pxetwist.errors import WireError
from pxetwist.interfaces import IBootService, ICounts, ISharesPorts, Port, Site
from pxetwist.services.listening import addresses_to_take, udp_socket
from pxetwist.services.sockets import Arrival, DatagramFactory, IDatagramSocket, Peer
from pxetwist.services.tftp.admission import Asked, Bounds, TransferAdmission
from pxetwist.services.tftp.answers import TftpAnswers
from pxetwist.services.tftp.running import RunningTransfers
from pxetwist.services.tftp.settings import Settings
from pxetwist.services.tftp.transfer_interfaces import TransferSocketsFactory
from pxetwist.services.tftp.transfer_sockets import TransferSockets
from pxetwist.services.udp import UdpPorts
from pxetwist.wire import tftp
from pxetwist.wire.tftp import ReadRequest, WriteRequest


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


@implementer(IBootService, ICounts, ISharesPorts)
class TftpService(Service):
    """Serves contents over TFTP, and takes files where it may (RFC 1350, 2347-2349, 7440).

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
        self._udp = UdpPorts(site, datagram)
        self._sockets = transfer_sockets(
            site.reactor, settings.port_range, busy_poll=settings.busy_poll
        )
        self._opening: dict[Peer, tuple[Asked, Deferred[None]]] = {}
        self._per_client: Counter[str] = Counter()
        self._running = RunningTransfers(
            site,
            self._sockets,
            block_size=settings.max_block_size,
            window=settings.max_window,
            image_memory=settings.image_memory,
            left=self._left,
        )
        self._answers = TftpAnswers(settings, site, self._running, self.counters)
        self._admission = TransferAdmission(
            site.reactor,
            self.counters,
            Bounds(settings.transfers_at_once, settings.patience),
            begin=self._open,
            load=self._load,
        )

    def counts(self) -> Mapping[str, int]:
        """Return how transfers ended, and what was dropped and why."""
        return self._running.counters + self.counters

    # IBootService

    def listening(self) -> Sequence[IAddress]:
        """Return the addresses of its request sockets."""
        return self._udp.listening()

    def ports(self) -> Sequence[Port]:
        """Return one for each interface and address."""
        return [
            Port("udp", address, self.settings.port, interface)
            for interface in self.settings.interfaces or ("",)
            for address in addresses_to_take(self.settings.addresses)
        ]

    def privilegedStartService(self) -> None:
        """Take the ports, while there are the rights for it.

        :raises StartError: if one cannot be taken.
        """
        super().privilegedStartService()
        for port in self.ports():
            listener = _Listener(self)
            listener.socket = self._udp.take(port, listener)

    def startService(self) -> None:
        """Begin to answer."""
        super().startService()
        if not self._udp.sockets:
            self.privilegedStartService()
        self._running.start()
        self._answers.start()
        if not self.settings.single_port:
            self._udp.start()
            return
        for each in self._udp.sockets:
            self._sockets.adopt(each)

    def stopService(self) -> Deferred[None]:
        """Take no more requests; let running transfers end, for a few seconds."""
        super().stopService()
        if not self.settings.single_port:
            self._udp.stop()
        self._admission.stop()
        for _, opening in list(self._opening.values()):
            opening.cancel()
        return self._running.stop().addBoth(lambda _: self._udp.stop())

    # Requests

    def received(self, listener: _Listener, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take a packet on the request port."""
        try:
            packet = tftp.decode(data)
        except WireError as error:
            self.counters[error.sort] += 1
            return
        if arrival.destination != arrival.local:
            self.counters["sent to a broadcast address"] += 1  # RFC 1123 §4.2.3.4
        elif isinstance(packet, ReadRequest | WriteRequest):
            now = self._site.reactor.seconds()
            known = self._site.boot.seen_at(peer[0], now)
            self._requested(Asked(packet, listener.socket, peer, arrival, now, known))
        else:
            self.counters["no request"] += 1  # never answered: it might be another's ERROR

    def _requested(self, asked: Asked) -> None:
        error = self._answers.objection(asked)
        if error is not None:
            self._answers.refuse(asked, error)
        elif self.running and not self._repeated(asked.packet, asked.peer):
            self._admission.take(asked)

    def _load(self) -> int:
        return self._running.load + len(self._opening)

    def _open(self, asked: Asked) -> None:
        """Begin to answer a request that has its turn."""
        peer = asked.peer
        if len(self._running) + len(self._opening) >= self.settings.max_transfers:
            self.counters["too many transfers"] += 1  # the client asks again, later
            return
        full = self._per_client[peer[0]] >= self.settings.max_per_client
        if full and not self._running.make_room_for(peer[0]):
            self.counters["too many transfers of one client"] += 1
            return
        self._per_client[peer[0]] += 1
        answering = self._answers.answer(asked)
        try:  # most have to wait for nothing
            awaited = answering.send(None)
        except StopIteration:
            self._opened(None, peer)
            return
        opening = Deferred.fromCoroutine(rest_of(answering, awaited))
        if not opening.called:
            self._opening[peer] = (asked, opening)
        opening.addBoth(self._opened, peer)

    def _repeated(self, packet: ReadRequest | WriteRequest, peer: Peer) -> bool:
        """Treat a request from a port that asked before; `True` if it needs no new transfer."""
        if peer in self._opening:
            before, opening = self._opening[peer]
            if before.packet == packet:
                return True
            opening.cancel()
        return self._running.repeated(packet, peer)

    def _opened(self, result: object, peer: Peer) -> None:
        self._opening.pop(peer, None)
        if peer not in self._running:
            self._left(peer)

    def _left(self, peer: Peer) -> None:
        self._per_client[peer[0]] -= 1
        if not self._per_client[peer[0]]:
            del self._per_client[peer[0]]
        self._admission.go_on()
