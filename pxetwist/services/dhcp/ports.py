"""DHCP ports on the wire: bytes in, one coroutine per message, a reply or silence out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from pxetwist.errors import LeaseConflict, StateUnavailable, WireError
from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.interfaces import Port, Site
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.lease import Lease
from pxetwist.services.dhcp.admission import Admission
from pxetwist.services.dhcp.driving import begin
from pxetwist.services.dhcp.incoming import Answer, Incoming
from pxetwist.services.dhcp.linklayer import LinkLayerSender
from pxetwist.services.dhcp.outbox import ISendsAlike, Outbox
from pxetwist.services.dhcp.questions import Question, Questions
from pxetwist.services.dhcp.standing import Standing
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Arrival, Binding, DatagramFactory, IDatagramSocket, Peer

AnswerFunction = Callable[[Incoming], Awaitable[Answer | Silence]]

_Key = tuple[bytes, int, int | None]  # chaddr, xid and message type


class Dhcp4Port:
    """One port (67 or 4011) on one interface."""

    log = Logger()

    def __init__(
        self,
        site: Site,
        protocol: str,
        interface: NetworkInterface,
        port: int,
        answer: AnswerFunction,
        *,
        shared: bool,
        datagram: DatagramFactory,
        frames: Callable[[str], Any] = LinkLayerSender,
    ) -> None:
        self._site = site
        self._protocol = protocol
        self.interface = interface
        self._port = port
        self._answer = answer
        self._busy: set[_Key] = set()
        self._questions = Questions(interface.name)
        self._complained = -1  # in which second
        self.counters: Counter[str] = Counter()
        self._admission = Admission(self, site)
        self._socket: IDatagramSocket = datagram(
            site.reactor,
            self._admission,
            Binding(Port("udp", "", port, interface.name), broadcast=True, reuse=shared),
        )
        self._outbox = Outbox(self._socket) if isinstance(self._socket, ISendsAlike) else None
        self._batch = False  # somebody will say that it is over
        self._frames = frames(interface.name)

    @property
    def interface(self) -> NetworkInterface:
        """Where it listens; its address may change, its name and index do not."""
        return self._interface

    @interface.setter
    def interface(self, interface: NetworkInterface) -> None:
        self._interface, self._local = interface, interface.local

    def bind(self) -> None:
        """Take the port, while there are rights to."""
        self._socket.bind()
        self._frames.start()

    def start(self) -> None:
        """Begin to answer."""
        self._socket.start()

    def stop(self) -> None:
        """Answer no more."""
        self._socket.stop()
        self._admission.stop()
        self._frames.stop()

    def get_host(self) -> IAddress:
        """Return what it is bound to."""
        return self._socket.getHost()

    @property
    def in_flight(self) -> int:
        """How many messages are being answered."""
        return len(self._busy)

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take one datagram. A message that is being answered already is dropped."""
        self._batch = True
        # A unicast request names one of our addresses; a broadcast one the interface's first.
        broadcast = arrival.destination == "255.255.255.255" or not arrival.local
        try:
            question = self._questions.find(data, broadcast=broadcast)
        except WireError as error:
            self._drop(peer, error)
            return
        xid = int.from_bytes(data[4:8], "big")
        key = (data[28:44], xid, question.kind)
        if self._busy and key in self._busy:
            self.counters["repeated"] += 1
            return
        incoming = Incoming(
            question,
            xid,
            self._local if broadcast else dhcp4.parse_address(arrival.local),
            self._site.reactor.seconds(),
            self._port,
            peer,
            broadcast,
        )
        standing = question.standing
        if standing is None and question.discover is not None:
            offer = question.discover.standing
            standing = question.standing = offer.taken_up(incoming) if offer else None
        if standing is None or not self._repeat(standing, incoming, key):
            self._begin(incoming, key)

    def _begin(self, incoming: Incoming, key: _Key) -> None:
        """Let a question be answered anew."""
        self._busy.add(key)
        begin(self._treat(incoming, key))

    def _repeat(self, standing: Standing, incoming: Incoming, key: _Key) -> bool:
        """Give an answer once more, if it stands: at once, or when its lease is stored."""
        try:
            repeated = standing.repeated(self._site.boot, incoming)
            if repeated is None:
                incoming.question.standing = None
                return False
            answer, lease = repeated
            if lease is None:
                self._respond(incoming, answer)
                return True
        except Exception:
            self.log.failure("answering {mac}", mac=incoming.identity.mac)
            return True
        self._busy.add(key)
        standing.store.keep(
            lease, incoming.now, partial(self._stored, incoming, key, answer, lease)
        )
        return True

    def _stored(
        self,
        incoming: Incoming,
        key: _Key,
        answer: Answer,
        lease: Lease,
        error: Exception | None,
    ) -> None:
        """Acknowledge a lease that is stored."""
        if isinstance(error, LeaseConflict):
            incoming.question.standing = None
            self._begin(incoming, key)
            return
        self._busy.discard(key)
        try:
            if error is None:
                identity = answer.resolution.request.identity
                self._site.boot.locate(lease.address, identity, incoming.now)
                self._respond(incoming, answer)
            else:
                self._respond(incoming, _not_stored(error))
        except Exception:
            self.log.failure("answering {mac}", mac=incoming.identity.mac)

    def _drop(self, peer: Peer, error: WireError) -> None:
        """Count what cannot be read, and log the first one of each second."""
        self.counters["malformed"] += 1
        second = int(self._site.reactor.seconds())
        if second != self._complained:
            self._complained = second
            self.log.debug("dropped from {peer}: {error}", peer=peer, error=error)

    def drained(self) -> None:
        """Send what waits for the end of the batch; commits group themselves."""
        self._batch = False
        if self._outbox is not None:
            self._outbox.flush()

    async def _treat(self, incoming: Incoming, key: _Key) -> None:
        answer: Answer | Silence
        try:
            try:
                answer = await self._answer(incoming)
            except StateUnavailable as error:
                answer = _not_stored(error)
            self._respond(incoming, answer)
        except Exception:
            self.log.failure("answering {mac}", mac=incoming.identity.mac)
        finally:
            self._busy.discard(key)

    def _respond(self, incoming: Incoming, answer: Answer | Silence) -> None:
        if isinstance(answer, Silence):
            self.counters["silent"] += 1
            self._tell_silence(incoming, answer)
            return
        try:
            payload = answer.payload
        except WireError as error:
            self._tell_silence(
                incoming, Silence(f"the reply cannot be encoded: {error}", in_vain=True)
            )
            return
        question = incoming.question
        if not question.kept and (answer.resolution.request.machine is not None or answer.is_ack):
            self._questions.keep(question)
        self._send(payload, incoming, answer)
        self.counters["answered"] += 1
        self._tell_answer(incoming, answer)

    def _send(self, payload: bytes, incoming: Incoming, answer: Answer) -> None:
        server, to = incoming.server, answer.destination
        if to.hardware and self._frames.available:
            self._frames.send(payload, (server, self._port), (to.address, to.port), to.hardware)
            return
        # Without the right to send frames everybody is reached by broadcast.
        address = dhcp4.BROADCAST if to.hardware else to.address
        peer = (_text(int(address)), to.port)
        if self._batch and self._outbox is not None and to.port == dhcp4.SERVER_PORT:
            self._outbox.put(payload, peer, _text(int(server)), self.interface.index)
        else:
            self._socket.send(payload, peer, _text(int(server)), self.interface.index)

    def _tell_silence(self, incoming: Incoming, silence: Silence) -> None:
        identity = incoming.identity
        asked = _asked(incoming.question)
        self._site.boot.tell(
            BootEvent(
                incoming.now,
                EventKind.SILENT,
                self._protocol,
                str(identity),
                stage=dhcp4.stage_of(identity).value,
                summary=f"{asked}: silence, {silence.reason}",
                details={"reason": silence.reason, "in_vain": silence.in_vain, "asked": asked},
            )
        )

    def _tell_answer(self, incoming: Incoming, answer: Answer) -> None:
        if not self._site.boot.observed:
            return
        request = answer.resolution.request
        machine, address = answer.resolution.machine, answer.said.address
        details = {
            "asked": _asked(incoming.question),
            "mac": request.identity.mac,
            "address": address,
            "xid": answer.xid,
            "boot_file": answer.boot_file.name if answer.boot_file else "",
            "interface": self.interface.name,
            "port": self._port,
        }
        self._site.boot.tell(
            BootEvent(
                incoming.now,
                EventKind.ANSWERED,
                self._protocol,
                machine.name if machine else str(request.identity),
                answer.boot_id,
                request.stage.value,
                answer.summary,
                details,
            )
        )


@lru_cache(maxsize=4096)
def _text(address: int) -> str:
    return str(IPv4Address(address))


def _not_stored(error: Exception) -> Silence:
    return Silence(f"the lease could not be stored: {error}", in_vain=True)


def _asked(question: Question) -> str:
    return question.kind.name if question.kind else "BOOTP"
