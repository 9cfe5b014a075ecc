"""Watches for other DHCP servers: it listens always, and asks as nobody now and then."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network

import attrs
from twisted.internet.interfaces import IDelayedCall

from pxetwist.config.fields import choice, option
from pxetwist.errors import WireError
from pxetwist.exchange import dhcp4
from pxetwist.exchange.neighbours import (
    PROBE_MAC,
    Asker,
    Heard,
    Neighbour,
    Neighbours,
    probe,
    read_reply,
    read_request,
)
from pxetwist.exchange.verdicts import Ours, judge
from pxetwist.interfaces import Site
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.services.dhcp.ports_service import DhcpPortsService
from pxetwist.services.dhcp.wiretap import Overheard, TapFactory, WireTap
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.wire import dhcp4 as codec
from pxetwist.wire.udp4 import encode_udp4

ON, LISTEN, OFF = "on", "listen", "off"
#: The first probes leave so many seconds after the start, the others in this distance.
FIRST, DISTANCE = 2.0, 600.0
#: Who was not heard for so long has gone.
SILENCE = 3.5 * DISTANCE
#: So many datagrams of others are looked at in one second.
_BUDGET = 200

_NOBODY = IPv4Address(0)


def watch_option() -> str:
    """Declare the option `watch` of a DHCP service."""
    return option(
        choice(ON, LISTEN, OFF),
        default=ON,
        doc="Look for other DHCP servers: `on` listens and sends a DISCOVER of nobody every ten"
        " minutes, `listen` sends nothing, `off` does neither.",
    )


@attrs.define
class _Probing:
    """A probe that is out: its MAC, and who asks by transaction id."""

    mac: bytes
    askers: dict[int, Asker] = attrs.field(factory=dict)


class NeighbourWatch:
    """Tells an event for each DHCP server that appears, changes or goes."""

    def __init__(
        self,
        site: Site,
        protocol: str,
        interfaces: Callable[[], Sequence[NetworkInterface]],
        mode: str,
        tap: TapFactory = WireTap,
    ) -> None:
        self._site = site
        self._protocol = protocol
        self._interfaces = interfaces
        self._mode = mode
        self._tap = tap(site.reactor, self.overhear)
        self._random = random.Random()
        self._neighbours = Neighbours()
        self._probing = _Probing(PROBE_MAC + self._random.randbytes(2))
        self._next: IDelayedCall | None = None
        self._second, self._looked = 0, 0
        self._open = False

    def open(self) -> None:
        """Take the socket, while there are rights to."""
        if self._mode == OFF:
            return
        self._open = self._tap.open()
        if not self._open:
            self._site.log.warn(
                "no right to look for other DHCP servers (CAP_NET_RAW): `pxetwist neighbours`"
                " does so as root"
            )

    def start(self) -> None:
        """Begin."""
        if self._open:
            self._tap.start()
            self._next = self._site.reactor.callLater(FIRST, self._look)

    def stop(self) -> None:
        """End."""
        self._tap.stop()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        """Ask who is there, and forget who was silent for long."""
        now = self._site.reactor.seconds()
        self._next = self._site.reactor.callLater(DISTANCE, self._look)
        for gone in self._neighbours.sweep(now - SILENCE):
            self._tell(gone, "gone", now)
        if self._mode != ON:
            return
        self._probing.askers.clear()
        for interface in self._interfaces():
            for asker in (Asker.PLAIN, Asker.UEFI):
                xid = self._random.getrandbits(32)
                self._probing.askers[xid] = asker
                self._tap.send(interface.name, probe_packet(asker, self._probing.mac, xid))

    def overhear(self, overheard: Overheard) -> None:
        """Take what somebody said on the wire."""
        now = self._site.reactor.seconds()
        if int(now) != self._second:
            self._second, self._looked = int(now), 0
        self._looked += 1
        interfaces = {each.name: each for each in self._interfaces()}
        interface = interfaces.get(overheard.interface)
        if interface is None or self._looked > _BUDGET:
            return
        if overheard.mac in [each.mac for each in interfaces.values()]:
            return  # two of our interfaces are on one wire
        found = read(overheard, self._probing.askers)
        if found is None:
            return
        asker, heard = found
        ours = heard.server in [each.ip for each in interface.addresses]
        if ours and (self._gives_addresses() or heard.is_proxy):
            return  # a client took our own offer, or a relay agent brought it to one
        news = self._neighbours.hear(asker, heard, now)
        if news is not None:
            self._tell(*news, now)

    def _gives_addresses(self) -> bool:
        return self._protocol == "dhcp"

    def _tell(self, neighbour: Neighbour, news: str, now: float) -> None:
        reply = next(reversed(neighbour.replies.values()))
        words = [f"{news}: {neighbour}, {reply}"]
        verdicts = judge(neighbour, self._ours(neighbour)) if news != "gone" else []
        words += [f"{'CLASH, ' if each.clash else ''}{each.text}" for each in verdicts]
        clash = any(each.clash for each in verdicts)
        if clash:
            words.append("`pxetwist neighbours` prints the lines that mend it")
        self._site.boot.tell(
            BootEvent(
                now,
                EventKind.NEIGHBOUR,
                self._protocol,
                str(neighbour.server),
                summary="; ".join(words),
                details={
                    "news": news,
                    "kind": neighbour.kind,
                    "mac": neighbour.mac,
                    "interface": neighbour.interface,
                    "clash": clash,
                    "boot_file": reply.boot_file,
                    "next_server": str(reply.next_server),
                    "vendor_class": reply.vendor_class,
                },
            )
        )

    def _ours(self, neighbour: Neighbour) -> Ours:
        interfaces = [each for each in self._interfaces() if each.name == neighbour.interface]
        address = interfaces[0].address if interfaces else None
        return Ours(
            address.ip if address else _NOBODY,
            address.network if address else IPv4Network("0.0.0.0/0"),
            dhcp=self._gives_addresses(),
            proxy=not self._gives_addresses(),
            grub=any(each.loader == "grub" for each in self._site.profiles.values()),
        )


def probe_packet(asker: Asker, mac: bytes, xid: int, source: IPv4Address = _NOBODY) -> bytes:
    """Return a probe as an IPv4 packet."""
    payload = codec.encode(probe(asker, mac, xid))
    to = (dhcp4.BROADCAST, dhcp4.SERVER_PORT)
    return encode_udp4((source, dhcp4.CLIENT_PORT), to, payload)


def read(overheard: Overheard, askers: dict[int, Asker]) -> tuple[Asker, Heard] | None:
    """Return what a datagram says of a server, and who was answered; `askers` are our probes."""
    datagram = overheard.datagram
    try:
        message = codec.decode(datagram.payload)
    except WireError:
        return None
    if datagram.destination_port == dhcp4.SERVER_PORT:
        named = read_request(message, overheard.interface)
        return (Asker.OTHERS, named) if named else None
    heard = read_reply(message, datagram.source, overheard.mac, overheard.interface)
    if heard is None:
        return None
    ours = message.chaddr.startswith(PROBE_MAC)
    asker = askers.get(message.xid) if ours else Asker.OTHERS
    return (asker, heard) if asker else None  # else it is another's probe


class WatchingService(DhcpPortsService):
    """A DHCP service that looks for others beside its own work."""

    tap: TapFactory = WireTap
    mode = OFF  # until its section says otherwise
    neighbour_watch: NeighbourWatch | None = None

    def privilegedStartService(self) -> None:
        """Open the ports, and what it takes to hear others."""
        super().privilegedStartService()
        self.neighbour_watch = NeighbourWatch(
            self.site, self.protocol, self.interfaces, self.mode, self.tap
        )
        self.neighbour_watch.open()

    def startService(self) -> None:
        """Begin to answer, and to look."""
        super().startService()
        if self.neighbour_watch is not None:
            self.neighbour_watch.start()

    def stopService(self) -> None:
        """End both."""
        if self.neighbour_watch is not None:
            self.neighbour_watch.stop()
        super().stopService()
