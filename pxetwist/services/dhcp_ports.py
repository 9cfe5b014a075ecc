"""DHCP ports on the wire: bytes in, one coroutine per message, a reply or silence out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.errors import StartError, StateUnavailable, WireError
from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.exchange.dhcp4_replies import encode_reply
from pxetwist.interfaces import IBootService, ICounts, Site
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.services.addressing import Answer, Incoming
from pxetwist.services.interfaces import NetworkInterface, network_interfaces
from pxetwist.services.linklayer import LinkLayerSender
from pxetwist.services.sockets import Arrival, DatagramFactory, IDatagramSocket, UdpSocket
from pxetwist.wire.dhcp4 import Dhcp4Message, decode

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
    ) -> None:
        self._site = site
        self._protocol = protocol
        self._interface = interface
        self._port = port
        self._answer = answer
        self._busy: set[_Key] = set()
        self.counters: Counter[str] = Counter()
        self._socket: IDatagramSocket = datagram(
            site.reactor,
            self,
            port=port,
            interface=interface.name,
            broadcast=True,
            reuse=shared,
        )
        self._frames = LinkLayerSender(interface.name)

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
        self._frames.stop()

    def get_host(self) -> IAddress:
        """Return what it is bound to."""
        return self._socket.getHost()

    def received(self, data: bytes, peer: tuple[str, int], arrival: Arrival) -> None:
        """Take one datagram. A message that is being answered already is dropped."""
        try:
            message = decode(data)
        except WireError as error:
            self.counters["malformed"] += 1
            self.log.debug("dropped from {peer}: {error}", peer=peer, error=error)
            return
        # A unicast request names one of our addresses; a broadcast one the interface's first.
        broadcast = arrival.destination == "255.255.255.255" or not arrival.local
        server = self._interface.local if broadcast else dhcp4.parse_address(arrival.local)
        key = (message.chaddr, message.xid, message.message_type)
        if key in self._busy:
            self.counters["repeated"] += 1
            return
        self._busy.add(key)
        incoming = Incoming(
            message,
            server,
            self._site.reactor.seconds(),
            self._interface.name,
            self._port,
            peer,
        )
        Deferred.fromCoroutine(self._treat(incoming, key))

    def drained(self) -> None:
        """Nothing is left to do at the end of a batch: commits group themselves."""

    async def _treat(self, incoming: Incoming, key: _Key) -> None:
        try:
            await self._respond(incoming)
        except Exception:
            self.log.failure("answering {mac}", mac=incoming.message.mac)
        finally:
            self._busy.discard(key)

    async def _respond(self, incoming: Incoming) -> None:
        message = incoming.message
        try:
            answer = await self._answer(incoming)
        except StateUnavailable as error:
            answer = Silence(f"the lease could not be stored: {error}", in_vain=True)
        if isinstance(answer, Silence):
            self.counters["silent"] += 1
            self._tell_silence(incoming, answer)
            return
        try:
            payload = encode_reply(message, answer.reply)
        except WireError as error:
            self._tell_silence(
                incoming, Silence(f"the reply cannot be encoded: {error}", in_vain=True)
            )
            return
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
        self._socket.send(payload, (str(address), to.port), str(server), self._interface.index)

    def _tell_silence(self, incoming: Incoming, silence: Silence) -> None:
        identity = incoming.identity
        asked = _asked(incoming.message)
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
        request = answer.resolution.request
        machine, reply = answer.resolution.machine, answer.reply
        details = {
            "asked": _asked(incoming.message),
            "mac": request.identity.mac,
            "address": str(reply.yiaddr),
            "xid": reply.xid,
            "boot_file": answer.boot_file.name if answer.boot_file else "",
            "interface": self._interface.name,
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
                summary_of(answer),
                details,
            )
        )


def _asked(message: Dhcp4Message) -> str:
    return message.message_type.name if message.message_type else "BOOTP"


def summary_of(answer: Answer) -> str:
    """Say in one line what was answered and why."""
    reply, plan = answer.reply, answer.resolution.plan
    words = [reply.message_type.name if reply.message_type else "BOOTP reply"]
    if int(reply.yiaddr):
        words.append(str(reply.yiaddr))
    if answer.boot_file:
        words.append(f"boot file {answer.boot_file.name} ({answer.boot_file.reason})")
    if plan is not None:
        words.append(f"profile {plan.profile}" + (f": {plan.reason}" if plan.reason else ""))
    return ", ".join(words)


@implementer(IBootService, ICounts)
class DhcpPortsService(Service):
    """Ports on a set of interfaces, opened together. Subclasses say which and who answers."""

    protocol = "dhcp"
    ports: Sequence[int] = (dhcp4.SERVER_PORT,)
    shared = False
    datagram: DatagramFactory = UdpSocket

    def __init__(self, site: Site, interfaces: Sequence[str], answer: AnswerFunction) -> None:
        self.site = site
        self._names = tuple(interfaces)
        self._answer = answer
        self._open: list[Dhcp4Port] = []

    def interfaces(self) -> Sequence[NetworkInterface]:
        """Return the interfaces to listen on: those named, else those that fit by themselves.

        :raises StartError: if there is none, or one that was named is missing or has no address.
        """
        present = {each.name: each for each in network_interfaces()}
        if not self._names:
            chosen = [each for each in present.values() if each.usable and self.fits(each)]
            if not chosen:
                there = ", ".join(map(str, present.values())) or "none"
                raise StartError(f"{self.none_fits()} (there are: {there})")
            return chosen
        for name in self._names:
            if name not in present:
                there = ", ".join(present)
                raise StartError(f"interfaces: there is no {name!r} (there are: {there})")
            if present[name].address is None:
                raise StartError(
                    f"interfaces: {name} has no IPv4 address;"
                    f" give it one (ip addr add … dev {name})"
                )
        return [present[name] for name in self._names]

    def fits(self, interface: NetworkInterface) -> bool:
        """Whether to listen on a usable interface that was not named."""
        return True

    def none_fits(self) -> str:
        """Say what was looked for when no interface fits."""
        return "found no network interface that is up and has an IPv4 address"

    def privilegedStartService(self) -> None:
        """Open the ports."""
        for interface in self.interfaces():
            for number in self.ports:
                port = Dhcp4Port(
                    self.site,
                    self.protocol,
                    interface,
                    number,
                    self._answer,
                    shared=self.shared,
                    datagram=self.datagram,
                )
                port.bind()
                self._open.append(port)

    def startService(self) -> None:
        """Begin to answer."""
        self.running = True
        for port in self._open:
            port.start()

    def stopService(self) -> None:
        """Close the ports."""
        self.running = False
        for port in self._open:
            port.stop()
        self._open.clear()

    def counts(self) -> Mapping[str, int]:
        """Return what its ports have counted."""
        return sum((port.counters for port in self._open), Counter())

    def listening(self) -> Sequence[IAddress]:
        """Return the bound ports."""
        return [port.get_host() for port in self._open]
