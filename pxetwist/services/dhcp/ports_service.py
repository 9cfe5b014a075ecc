"""Services that listen for DHCP: which interfaces they take, and their ports there.

Interfaces may come, go and change while the server runs: it starts before the network does, and a
dock is plugged in at noon. What is missing is waited for; nothing of this ends the server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Interface

import attrs
from twisted.application.service import Service
from twisted.internet.interfaces import IAddress, IDelayedCall
from zope.interface import implementer

from pxetwist.errors import StartError
from pxetwist.exchange import dhcp4
from pxetwist.interfaces import IBootService, ICounts, Site
from pxetwist.services.dhcp.ports import AnswerFunction, Dhcp4Port
from pxetwist.services.interface_watch import InterfaceWatch, WatchFactory
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import DatagramFactory, UdpSocket

#: After this many seconds ports are tried again that could not be taken when they were wanted.
RETRY = 30.0
_GONE = "{name} has gone; listens there again when it is back"


@attrs.define(eq=False)
class _Place:
    """An interface with our ports; `heard` while it is up and has an address to answer from."""

    interface: NetworkInterface
    ports: Sequence[Dhcp4Port]
    heard: bool = True

    def see(self, interface: NetworkInterface) -> None:
        """Answer from the interface's present address from now on, if it has one."""
        self.interface = interface
        for port in self.ports:
            port.interface = interface


@implementer(IBootService, ICounts)
class DhcpPortsService(Service):
    """Ports on a set of interfaces. Subclasses say which and who answers."""

    protocol = "dhcp"
    ports: Sequence[int] = (dhcp4.SERVER_PORT,)
    shared = False
    datagram: DatagramFactory = UdpSocket
    watch: WatchFactory = InterfaceWatch

    def __init__(self, site: Site, interfaces: Sequence[str], answer: AnswerFunction) -> None:
        self.site = site
        self._names = tuple(interfaces)
        self._answer = answer
        self._places: dict[str, _Place] = {}
        self._former: Counter[str] = Counter()  # counted by ports that were closed
        self._said: dict[str, str] = {}  # the last complaint about each interface
        self._watch = self.watch(site.reactor, self._changed)
        self._retry: IDelayedCall | None = None

    def interfaces(self) -> Sequence[NetworkInterface]:
        """Return the interfaces that it listens on now."""
        return [place.interface for place in self._places.values() if place.heard]

    def fits(self, interface: NetworkInterface) -> bool:
        """Whether to listen on a usable interface that was not named."""
        return True

    def speaks(self, address: IPv4Interface) -> bool:
        """Whether this address of an interface is better to answer from than others there."""
        return True

    def remark(self, interface: NetworkInterface) -> str:
        """Return what an administrator should know of an interface that it listens on."""
        return ""

    def waits_for(self) -> str:
        """Say what it waits for while no interface fits."""
        return "a network interface that is up and has an IPv4 address"

    def hopeless(self) -> str:
        """Say why no interface will ever do; empty if one may."""
        return ""

    def privilegedStartService(self) -> None:
        """Open the ports on the interfaces that are there, and wait for the others.

        :raises StartError: if a port cannot be taken, or no interface can ever do.
        """
        never = self.hopeless()
        if never:
            raise StartError(never)
        self._watch.start()
        present = self._watch.present
        for interface in self._chosen(present):
            self._take(interface)
        self._tell_waiting(present)

    def startService(self) -> None:
        """Begin to answer."""
        self.running = True
        for place in self._places.values():
            for port in place.ports:
                port.start()

    def stopService(self) -> None:
        """Close the ports."""
        self.running = False
        self._watch.stop()
        self._stop_retry()
        for name in list(self._places):
            self._let_go(name)

    def counts(self) -> Mapping[str, int]:
        """Return what its ports have counted, and those that have gone with their interface."""
        return sum((port.counters for port in self._ports()), Counter(self._former))

    def listening(self) -> Sequence[IAddress]:
        """Return the bound ports."""
        return [port.get_host() for port in self._ports()]

    def _ports(self) -> Iterator[Dhcp4Port]:
        return (port for place in self._places.values() for port in place.ports)

    # Interfaces that come, go and change

    def _chosen(self, present: Sequence[NetworkInterface]) -> list[NetworkInterface]:
        if self._names:
            known = {each.name: each for each in present}
            named = (known[name] for name in self._names if name in known)
            chosen = [each for each in named if each.ready]
        else:
            chosen = [each for each in present if each.usable and self.fits(each)]
        return [each.speaking_from(self.speaks) for each in chosen]

    def _changed(self, present: Sequence[NetworkInterface]) -> None:
        indices = {each.name: each.index for each in present}
        for name, place in list(self._places.items()):
            if indices.get(name) != place.interface.index:  # also one made anew under its name
                self._let_go(name)
                self._say(name, _GONE, name=name)
        chosen = {each.name: each for each in self._chosen(present)}
        for each in present:
            if each.name in self._places and each.name not in chosen:
                self._mute(each)
        self._stop_retry()
        for interface in chosen.values():
            if interface.name in self._places:
                self._see(interface)
            else:
                self._take_late(interface)
        self._tell_waiting(present)

    def _mute(self, interface: NetworkInterface) -> None:
        """Keep the ports, for without root they may not be had again; but answer nobody."""
        place = self._places[interface.name]
        heard, place.heard = place.heard, False
        place.see(attrs.evolve(interface, address=None, others=()))
        if heard:
            self._say(interface.name, "{it}: answers nobody there now", it=str(interface))

    def _see(self, interface: NetworkInterface) -> None:
        place = self._places[interface.name]
        before, heard = place.interface, place.heard
        place.see(interface)
        place.heard = True
        if not heard:
            self._tell_taken(interface)
        elif before.address != interface.address:
            was, now = before.address, interface.address
            name = interface.name
            self.site.log.info(
                "{name}: its address was {was}; answers from {now}", name=name, was=was, now=now
            )
            self._tell_remark(interface)

    def _take_late(self, interface: NetworkInterface) -> None:
        """Take an interface that came while the server ran; what hinders it does so there only."""
        try:
            ports = self._take(interface)
            for port in ports if self.running else ():
                port.start()
        except StartError as error:
            self._let_go(interface.name)
            self._say(interface.name, "{error}", level="error", error=str(error))
            if self._retry is None:
                self._retry = self.site.reactor.callLater(RETRY, self._look_again)
            return
        self._tell_taken(interface)

    def _take(self, interface: NetworkInterface) -> Sequence[Dhcp4Port]:
        ports: list[Dhcp4Port] = []
        self._places[interface.name] = _Place(interface, ports)
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
            ports.append(port)
            port.bind()
        self._tell_remark(interface)
        return ports

    def _let_go(self, name: str) -> None:
        place = self._places.pop(name)
        for port in place.ports:
            port.stop()
            self._former += port.counters

    def _look_again(self) -> None:
        self._retry = None
        self._changed(self._watch.present)

    def _stop_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    # What the log says of it

    def _tell_taken(self, interface: NetworkInterface) -> None:
        self._said.pop(interface.name, None)
        self.site.log.info("listens on {interface}", interface=str(interface))
        self._tell_remark(interface)

    def _tell_remark(self, interface: NetworkInterface) -> None:
        text = self.remark(interface)
        if text:
            self.site.log.warn("{text}", text=text)

    def _tell_waiting(self, present: Sequence[NetworkInterface]) -> None:
        """Say once what is missing, and once more when something else is."""
        if not self._names:
            there = ", ".join(map(str, present)) or "none"
            text = "waits for {what} (there are: {there})"
            if not self._places:
                self._say("", text, what=self.waits_for(), there=there)
            else:
                self._said.pop("", None)
            return
        known = {each.name: each for each in present}
        for name in self._names:
            interface = known.get(name)
            if interface is None and self._said.get(name) != _GONE:
                text = "waits for interface {name} (there are: {there})"
                self._say(name, text, name=name, there=", ".join(known) or "none")
            elif interface is not None and not interface.ready and name not in self._places:
                self._say(name, "waits for interface {it}", it=str(interface))

    def _say(self, about: str, text: str, level: str = "info", **fields: object) -> None:
        if self._said.get(about) != text:
            self._said[about] = text
            getattr(self.site.log, level)(text, **fields)
