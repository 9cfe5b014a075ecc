"""The DHCPv6 server: addresses, boot data and router advertisements for networks of IPv6."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from twisted.application.service import Service
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import list_of, option
from pxetwist.errors import StartError
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.interfaces import IBootService, ICounts, Site
from pxetwist.model.network6 import Network6
from pxetwist.services.dhcp6.addressing import AddressServer6, Answer6, Incoming6
from pxetwist.services.dhcp6.ports import Dhcp6Port
from pxetwist.services.dhcp6.router_advertisements import (
    Icmp6Factory,
    Icmp6Socket,
    RouterAdvertiser,
    advertisement_of,
)
from pxetwist.services.interface_watch import InterfaceWatch, WatchFactory
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import DatagramFactory
from pxetwist.services.sockets6 import Udp6Socket


@attrs.frozen
class Settings:
    """Options of ``[service:dhcp6]``."""

    interfaces: tuple[str, ...] = option(
        list_of(fields.interface),
        default=(),
        doc="Interfaces to answer on. Left out: each one with an address in a [subnet6:…].",
    )


@attrs.define(eq=False)
class _Place:
    """An interface with our port, and what advertises there, if anything does."""

    port: Dhcp6Port
    advertiser: RouterAdvertiser | None = None

    def start(self) -> None:
        self.port.start()
        if self.advertiser is not None:
            self.advertiser.start()

    def stop(self) -> None:
        self.port.stop()
        if self.advertiser is not None:
            self.advertiser.stop()


@implementer(IBootService, ICounts)
class Dhcp6Service(Service):
    """Port 547 on the interfaces of the site's IPv6 networks, which may come, go and change."""

    datagram: DatagramFactory = Udp6Socket
    watch: WatchFactory = InterfaceWatch
    icmp: Icmp6Factory = Icmp6Socket

    def __init__(self, settings: Settings, site: Site) -> None:
        self._names = settings.interfaces
        self._site = site
        self._server: AddressServer6 | None = None
        self._places: dict[str, _Place] = {}
        self._former: Counter[str] = Counter()  # counted on interfaces that have gone
        self._watch = self.watch(site.reactor, self._changed)
        self._said: set[str] = set()

    # IBootService, ICounts

    def listening(self) -> Sequence[IAddress]:
        """Return the bound ports."""
        return [place.port.get_host() for place in self._places.values()]

    def counts(self) -> Mapping[str, int]:
        """Return what its ports and advertisers have counted."""
        total = Counter(self._former)
        for place in self._places.values():
            total += _counted(place)
        return total

    def privilegedStartService(self) -> None:
        """Open the ports on the interfaces that are there, and wait for the others.

        :raises StartError: if a port cannot be taken, or no interface can ever do.
        """
        super().privilegedStartService()
        if not self._names and not self._site.networks6:
            raise StartError("no interface has an address in a [subnet6:…], for there is none")
        self._watch.start()
        present = self._watch.present
        for interface in present:
            if self._fits(interface):
                self._take(interface)
        self._tell_waiting(present)

    def startService(self) -> None:
        """Begin to answer."""
        super().startService()
        duid = stored_duid(self._site.state_folder / "dhcp6.duid")
        self._server = AddressServer6(
            self._site.boot, self._site.networks6, self._site.http_port, duid
        )
        for place in self._places.values():
            place.start()

    def stopService(self) -> None:
        """Close the ports."""
        super().stopService()
        self._watch.stop()
        for name in list(self._places):
            self._let_go(name)

    def interfaces(self) -> Sequence[NetworkInterface]:
        """Return the interfaces that it listens on now."""
        return [place.port.interface for place in self._places.values()]

    async def _answer(self, incoming: Incoming6) -> Answer6 | Silence:
        assert self._server is not None, "ports are started after it"
        return await self._server.answer(incoming)

    # Interfaces

    def _fits(self, interface: NetworkInterface) -> bool:
        """Whether to listen there."""
        if self._names:
            return interface.up and interface.name in self._names
        return interface.up and self._network_of(interface) is not None

    def _network_of(self, interface: NetworkInterface) -> Network6 | None:
        ours = [each.ip for each in interface.addresses6]
        networks = self._site.networks6.values()
        return next((n for n in networks for each in ours if each in n.network), None)

    def _changed(self, present: Sequence[NetworkInterface]) -> None:
        known = {each.name: each for each in present}
        for name, place in list(self._places.items()):
            interface = known.get(name)
            if interface is None or interface.index != place.port.interface.index:
                self._let_go(name)
                self._site.log.info("{name} has gone", name=name)
            else:
                place.port.interface = interface
                self._advertise(place, interface)
        for interface in present:
            if interface.name not in self._places and self._fits(interface):
                self._take_late(interface)
        self._tell_waiting(present)

    def _take_late(self, interface: NetworkInterface) -> None:
        """Take an interface that came while the server ran; what hinders it does so there only."""
        try:
            self._take(interface)
        except StartError as error:
            self._let_go(interface.name)
            self._say(f"{interface.name}: {error}")
            return
        if self.running:
            self._places[interface.name].start()
        self._site.log.info("listens on {name}", name=interface.name)

    def _take(self, interface: NetworkInterface) -> None:
        port = Dhcp6Port(self._site, interface, self._answer, self.datagram)
        place = self._places[interface.name] = _Place(port)
        port.bind()
        if any(network.advertise for network in self._site.networks6.values()):
            advertiser = RouterAdvertiser(self._site.reactor, interface.name, self.icmp)
            place.advertiser = advertiser
            advertiser.bind()
            self._advertise(place, interface)

    def _advertise(self, place: _Place, interface: NetworkInterface) -> None:
        """Say what there is to be said; only a link-local address may (RFC 4861 §6.1.2)."""
        network = self._network_of(interface)
        speaks = interface.up and any(each.ip.is_link_local for each in interface.addresses6)
        if place.advertiser is not None:
            wanted = network is not None and network.advertise and speaks
            said = advertisement_of(network, interface.mac) if network and wanted else None
            place.advertiser.say(said)

    def _let_go(self, name: str) -> None:
        place = self._places.pop(name, None)
        if place is not None:
            place.stop()
            self._former += _counted(place)

    def _tell_waiting(self, present: Sequence[NetworkInterface]) -> None:
        """Say once what is missing."""
        for name in self._names:
            if name not in self._places:
                self._say(f"waits for interface {name} with an IPv6 address")
        if not self._names and not self._places:
            wanted = ", ".join(str(each.network) for each in self._site.networks6.values())
            self._say(f"waits for an interface with an address in a [subnet6:…]: {wanted}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._site.log.warn("{text}", text=text)


def _counted(place: _Place) -> Counter[str]:
    return place.port.counters + (place.advertiser.counters if place.advertiser else Counter())


def stored_duid(path: Path) -> bytes:
    """Read our DUID, or make one (a DUID-UUID, RFC 6355): clients know us by it for long."""
    try:
        duid = bytes.fromhex(path.read_text().strip())
        if 3 <= len(duid) <= 130:
            return duid
    except (FileNotFoundError, ValueError):
        pass
    duid = b"\0\4" + uuid.uuid4().bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(f"{duid.hex()}\n")
    os.replace(fresh, path)
    return duid


def build(settings: Settings, site: Site) -> Dhcp6Service:
    """Make the service."""
    return Dhcp6Service(settings, site)
