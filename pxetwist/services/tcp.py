"""What the services that listen on TCP ports have in common."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from zope.interface import implementer

from pxetwist.interfaces import IBootService, ICounts, Port, Site
from pxetwist.services.listening import OwnAddress, addresses_to_take, adopt_tcp, listen_tcp


@implementer(IBootService, ICounts)
class TcpService(Service):
    """Listens on TCP ports; `accepts` makes the connections, with `factory` below its TLS.

    The factory has `counters`, and `drain()` returns a Deferred that fires when all is sent and
    closed, or a few seconds are over.
    """

    listen = staticmethod(listen_tcp)
    factory: Any

    def __init__(
        self, addresses: Sequence[OwnAddress], port: int, factory: Any, site: Site
    ) -> None:
        self.factory = factory
        self.accepts: IProtocolFactory = factory
        self._addresses = addresses
        self._port = port
        self._site = site
        self._ports: list[IListeningPort] = []

    def counts(self) -> Mapping[str, int]:
        """Return what was counted on its connections."""
        return dict(self.factory.counters)

    def listening(self) -> Sequence[IAddress]:
        """Return the addresses of its ports."""
        return [port.getHost() for port in self._ports]

    def ports(self) -> Sequence[Port]:
        """Return one for each address."""
        addresses = addresses_to_take(self._addresses)
        return [Port("tcp", address, self._port) for address in addresses]

    def privilegedStartService(self) -> None:
        """Take the ports, while there are the rights for it.

        :raises StartError: if one cannot be taken.
        """
        super().privilegedStartService()
        for port in self.ports():
            self._ports.append(self._taken(port, self._site.inherited.get(port)))

    def _taken(self, port: Port, inherited: socket.socket | None) -> IListeningPort:
        reactor = self._site.reactor
        if inherited is None:
            return self.listen(reactor, self.accepts, port.address, port.number)
        return adopt_tcp(reactor, self.accepts, inherited)

    def startService(self) -> None:
        """Listen, if that was not done before."""
        super().startService()
        if not self._ports:
            self.privilegedStartService()

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """Take no more connections; let running answers end, for a few seconds."""
        super().stopService()
        closing = [Deferred.fromCoroutine(close(port)) for port in self._ports]
        self._ports.clear()
        return DeferredList([*closing, self.factory.drain()])


async def close(port: IListeningPort) -> None:
    """Listen no more."""
    closed = port.stopListening()
    if closed is not None:
        await closed
