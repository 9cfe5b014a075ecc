"""The syslog service: what loaders and installers say goes to the events of their machine.

Whoever is in the network may send: nothing of a sender that did not boot from here, or that no
directory knows, is written; so much is taken of each machine, and so much of all together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.errors import PxeError, WireError
from pxetwist.interfaces import IBootService, ICounts, Port, Site
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.recent import Recent
from pxetwist.services.listening import OwnAddress, addresses_option, addresses_to_take, udp_socket
from pxetwist.services.sockets import Arrival, DatagramFactory, Peer
from pxetwist.services.udp import UdpPorts
from pxetwist.wire import syslog
from pxetwist.wire.syslog import FACILITIES, SEVERITIES

#: So long (seconds) it is believed who speaks from an address.
_BELIEVED = 30.0
#: So many senders are told apart, the last ones.
_SENDERS = 4096
#: So many may be looked up at a time, and so many in one second: addresses may be invented.
_ASKING, _LOOK_UPS = 64, 200
#: So many lines of all machines together are taken in one second.
_ALL = 1000


@attrs.frozen
class Settings:
    """Options of ``[service:syslog]``."""

    addresses: tuple[OwnAddress, ...] = addresses_option()
    port: int = option(
        fields.port,
        default=syslog.PORT,
        doc="UDP port. Machines are told of it by DHCP only if it is 514: options have no ports.",
    )
    severity: str = option(
        fields.choice(*SEVERITIES), default="debug", doc="The least grave lines that are taken."
    )
    max_length: int = option(
        fields.integer(80, 8192), default=1024, doc="Bytes of a line; the rest is cut off."
    )
    rate: int = option(
        fields.integer(1, _ALL),
        default=20,
        doc="Lines of one machine in a second; ten times as many are taken at once.",
    )
    strangers: bool = option(
        fields.boolean,
        default=False,
        doc="Whether to take lines of senders that neither booted from here nor are known.",
    )


@attrs.define
class _Sender:
    """Who speaks from an address, until when that is believed, and how much it may say."""

    left: float
    last: float
    until: float = 0.0
    name: str = ""
    boot_id: str = ""
    lost: int = 0  # lines, since that was told
    asking: bool = False
    waiting: list[bytes] = attrs.field(factory=list)


@attrs.define
class _PerSecond:
    """So many in each second."""

    most: int
    _second: int = 0
    _spent: int = 0

    def spend(self, now: float) -> bool:
        """Take one, if there is one left."""
        if int(now) != self._second:
            self._second, self._spent = int(now), 0
        self._spent += 1
        return self._spent <= self.most


def build(settings: Settings, site: Site) -> SyslogService:
    """Make the service."""
    return SyslogService(settings, site)


@implementer(IBootService, ICounts)
class SyslogService(Service):
    """Takes lines by UDP (RFC 3164, RFC 5424, RFC 5426). The factory is there for tests."""

    def __init__(
        self, settings: Settings, site: Site, datagram: DatagramFactory = udp_socket
    ) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self._site = site
        self._udp = UdpPorts(site, datagram)
        self._senders: Recent[str, _Sender] = Recent(_SENDERS)
        self._asking: set[Deferred[None]] = set()
        self._least = SEVERITIES.index(settings.severity)
        self._look_ups = _PerSecond(_LOOK_UPS)
        self._lines = _PerSecond(_ALL)

    def counts(self) -> Mapping[str, int]:
        """Return how many lines were taken, and dropped for which reason."""
        return self.counters

    def listening(self) -> Sequence[IAddress]:
        """Return its addresses."""
        return self._udp.listening()

    def privilegedStartService(self) -> None:
        """Take the port, while there are the rights for it.

        :raises StartError: if it cannot be taken.
        """
        super().privilegedStartService()
        for address in addresses_to_take(self.settings.addresses):
            self._udp.take(Port("udp", address, self.settings.port), self)

    def startService(self) -> None:
        """Begin to listen."""
        super().startService()
        if not self._udp.sockets:
            self.privilegedStartService()
        self._udp.start()

    def stopService(self) -> None:
        """Listen no more."""
        super().stopService()
        self._udp.stop()
        for asking in list(self._asking):
            asking.cancel()

    # Lines

    def drained(self) -> None:
        """Nothing is grouped."""

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take a datagram, if its sender may say more."""
        now = self._site.reactor.seconds()
        sender = self._senders.get(peer[0])
        if sender is None:
            sender = _Sender(left=self.settings.rate * 10.0, last=now)
            self._senders.put(peer[0], sender)
        if not self._may(sender, now):
            return
        line = data[: self.settings.max_length]
        if len(line) < len(data):
            self.counters["cut"] += 1
        if sender.until > now:
            self._take(sender, line, now)
        elif sender.asking:
            sender.waiting.append(line)  # no more than its budget
        elif len(self._asking) >= _ASKING or not self._look_ups.spend(now):
            self.counters["too many senders at once"] += 1
        else:
            sender.waiting.append(line)
            self._ask(sender, peer, arrival)

    def _may(self, sender: _Sender, now: float) -> bool:
        """Spend one line of a sender's budget."""
        rate = float(self.settings.rate)
        sender.left = min(rate * 10, sender.left + max(0.0, now - sender.last) * rate)
        sender.last = now
        if sender.left < 1:
            sender.lost += 1
            self.counters["too many of one sender"] += 1
            return False
        sender.left -= 1
        return True

    def _ask(self, sender: _Sender, peer: Peer, arrival: Arrival) -> None:
        sender.asking = True
        asking = Deferred.fromCoroutine(self._identify(sender, peer, arrival))
        if asking.called:
            return
        self._asking.add(asking)
        asking.addBoth(lambda _: self._asking.discard(asking))

    async def _identify(self, sender: _Sender, peer: Peer, arrival: Arrival) -> None:
        """Find out who speaks from an address, then take what has come since."""
        try:
            await self._name(sender, peer[0], arrival)
        except CancelledError:
            return
        except PxeError:
            self.counters["could not be told apart"] += len(sender.waiting)
            return
        except Exception:
            self._site.log.failure("who says something from {peer}?", peer=peer[0])
        finally:
            sender.asking = False
            lines, sender.waiting = sender.waiting, []
        now = self._site.reactor.seconds()
        sender.until = now + _BELIEVED
        for line in lines:
            self._take(sender, line, now)

    async def _name(self, sender: _Sender, address: str, arrival: Arrival) -> None:
        boot, now = self._site.boot, self._site.reactor.seconds()
        sender.name = sender.boot_id = ""
        identity, boot_id = await boot.identify(address, now)
        if identity.key:
            endpoints = Endpoints(arrival.local.partition("%")[0], self._site.http_port)
            request = BootRequest(
                identity, BootStage.KERNEL, Protocol.HTTP, endpoints=endpoints, boot_id=boot_id
            )
            machine = (await boot.resolve(request)).machine
            if machine is not None or boot_id:
                sender.name = machine.name if machine else str(identity)
                sender.boot_id = boot_id
        if not sender.name and self.settings.strangers:
            sender.name = str(identity) if identity.key else address

    def _take(self, sender: _Sender, line: bytes, now: float) -> None:
        """Make a line an event of its machine."""
        if not sender.name:
            self.counters["of strangers"] += 1
            return
        try:
            message = syslog.decode(line)
        except WireError as error:
            self.counters[error.sort] += 1
            return
        if not message.text:
            self.counters["empty"] += 1
            return
        if message.severity > self._least:
            self.counters["not grave enough"] += 1
            return
        if not self._lines.spend(now):
            self.counters["too many of all"] += 1
            return
        self.counters["taken"] += 1
        lost = f" ({sender.lost} lines were dropped)" if sender.lost else ""
        sender.lost = 0
        program = f"{message.program}: " if message.program else ""
        details = {
            "facility": FACILITIES[message.facility],
            "severity": SEVERITIES[message.severity],
            "program": message.program,
            "text": message.text,
        }
        summary = f"{program}{message.text}{lost}"
        event = BootEvent(
            now, EventKind.SAID, "syslog", sender.name, sender.boot_id, "", summary, details
        )
        self._site.boot.tell(event)
