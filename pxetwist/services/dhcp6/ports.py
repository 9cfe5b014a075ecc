"""DHCPv6 on one interface: bytes in, one coroutine per message, a reply or silence out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from pxetwist.errors import StateUnavailable, WireError
from pxetwist.exchange import dhcp4, dhcp6
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.exchange.dhcp6_replies import encode_reply
from pxetwist.interfaces import Port, Site
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.services.dhcp6.addressing import Answer6, Incoming6
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Arrival, Binding, DatagramFactory, Peer
from pxetwist.wire.dhcp6 import unwrap

AnswerFunction6 = Callable[[Incoming6], Awaitable[Answer6 | Silence]]

#: Messages that are being answered at a time; clients repeat what is dropped.
_MOST = 4096
_GROUPS = (dhcp6.ALL_AGENTS_AND_SERVERS, dhcp6.ALL_SERVERS)

_Key = tuple[bytes, int, int]  # client identifier, transaction id and message type


class Dhcp6Port:
    """Port 547 on one interface."""

    log = Logger()

    def __init__(
        self,
        site: Site,
        interface: NetworkInterface,
        answer: AnswerFunction6,
        datagram: DatagramFactory,
    ) -> None:
        self._site = site
        self.interface = interface  # its addresses may change, its name and index do not
        self._answer = answer
        self._busy: set[_Key] = set()
        self.counters: Counter[str] = Counter()
        port = Port("udp", "", dhcp6.SERVER_PORT, interface.name)
        self._socket = datagram(site.reactor, self, Binding(port, groups=_GROUPS))

    def bind(self) -> None:
        """Take the port, while there are rights to."""
        self._socket.bind()

    def start(self) -> None:
        """Begin to answer."""
        self._socket.start()

    def stop(self) -> None:
        """Answer no more."""
        self._socket.stop()

    def get_host(self) -> IAddress:
        """Return what it is bound to."""
        return self._socket.getHost()

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take one datagram. A message that is being answered already is dropped."""
        try:
            message, relays = unwrap(data)
        except WireError as error:
            self._malformed(peer, error)
            return
        client = message.options.get(1) or peer[0].encode()
        key = (client, message.xid, message.type)
        if key in self._busy or len(self._busy) >= _MOST:
            self.counters["repeated" if key in self._busy else "too many at once"] += 1
            return
        self._busy.add(key)
        incoming = Incoming6(
            message,
            self._site.reactor.seconds(),
            self.interface.addresses6,
            relays,
            self.interface.name,
            IPv6Address(peer[0].partition("%")[0]),
            IPv6Address(arrival.local.partition("%")[0]) if arrival.local else None,
        )
        Deferred.fromCoroutine(self._treat(incoming, peer, key))

    def drained(self) -> None:
        """Nothing is left to do at the end of a batch: commits group themselves."""

    async def _treat(self, incoming: Incoming6, peer: Peer, key: _Key) -> None:
        try:
            await self._respond(incoming, peer)
        except WireError as error:
            self._malformed(peer, error)
        except Exception:
            self.log.failure("answering {peer}", peer=peer)
        finally:
            self._busy.discard(key)

    def _malformed(self, peer: Peer, error: WireError) -> None:
        self.counters["malformed"] += 1
        self.log.debug("dropped from {peer}: {error}", peer=peer, error=error)

    async def _respond(self, incoming: Incoming6, peer: Peer) -> None:
        try:
            answer = await self._answer(incoming)
        except StateUnavailable as error:
            answer = Silence(f"the lease could not be stored: {error}", in_vain=True)
        if isinstance(answer, Silence):
            self.counters["silent"] += 1
            self._tell_silence(incoming, answer)
            return
        payload = encode_reply(answer.reply, incoming.relays)
        port = dhcp6.reply_port(incoming.relays, peer[1])
        self._socket.send(payload, (peer[0], port), index=self.interface.index)
        self.counters["answered"] += 1
        self._tell_answer(incoming, answer)

    def _tell_silence(self, incoming: Incoming6, silence: Silence) -> None:
        asked = incoming.message.type.name
        details = {"reason": silence.reason, "in_vain": silence.in_vain, "asked": asked}
        summary = f"{asked}: silence, {silence.reason}"
        self._tell(incoming, EventKind.SILENT, str(incoming.identity), summary, details=details)

    def _tell_answer(self, incoming: Incoming6, answer: Answer6) -> None:
        identity, machine = incoming.identity, ""
        if answer.resolution is not None:
            found = answer.resolution.machine
            identity = answer.resolution.request.identity
            machine = found.name if found else ""
        details = {
            "asked": incoming.message.type.name,
            "mac": identity.mac,
            "address": str(answer.address or ""),
            "xid": incoming.message.xid,
            "boot_file": answer.boot_file.name if answer.boot_file else "",
            "interface": self.interface.name,
            "port": dhcp6.SERVER_PORT,
        }
        who, summary = machine or str(identity), summary_of(answer)
        self._tell(
            incoming, EventKind.ANSWERED, who, summary, details=details, boot_id=answer.boot_id
        )

    def _tell(
        self,
        incoming: Incoming6,
        kind: EventKind,
        machine: str,
        summary: str,
        *,
        details: dict[str, object],
        boot_id: str = "",
    ) -> None:
        stage = dhcp4.stage_of(incoming.identity).value
        event = BootEvent(incoming.now, kind, "dhcp6", machine, boot_id, stage, summary, details)
        self._site.boot.tell(event)


def summary_of(answer: Answer6) -> str:
    """Say in one line what was answered and why."""
    words = [answer.reply.type.name]
    if answer.address is not None:
        words.append(str(answer.address))
    if answer.note:
        words.append(answer.note)
    if answer.boot_file:
        words.append(f"boot file {answer.boot_file.name} ({answer.boot_file.reason})")
    plan = answer.resolution.plan if answer.resolution else None
    if plan is not None:
        words.append(f"profile {plan.profile}" + (f": {plan.reason}" if plan.reason else ""))
    return ", ".join(words)
