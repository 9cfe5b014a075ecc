"""Services that listen for DHCP: which interfaces they take, and their ports there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from twisted.application.service import Service
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from pxetwist.errors import StartError
from pxetwist.exchange import dhcp4
from pxetwist.interfaces import IBootService, ICounts, Site
from pxetwist.services.dhcp_ports import AnswerFunction, Dhcp4Port
from pxetwist.services.interfaces import NetworkInterface, network_interfaces
from pxetwist.services.sockets import DatagramFactory, UdpSocket


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
