"""What the services that listen on UDP ports have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import attrs
from twisted.internet.interfaces import IAddress

from pxetwist.interfaces import Port, Site
from pxetwist.services.listening import udp_socket
from pxetwist.services.sockets import (
    Binding,
    DatagramFactory,
    IDatagramReceiver,
    IDatagramSocket,
    UdpSocket,
)


@attrs.define(eq=False)
class UdpPorts:
    """The UDP ports of a service: taken while there are the rights for it, then listened on."""

    site: Site
    datagram: DatagramFactory = udp_socket
    sockets: list[IDatagramSocket] = attrs.field(init=False, factory=list)

    def take(self, port: Port, receiver: IDatagramReceiver) -> IDatagramSocket:
        """Take a port, or the one that this process has inherited.

        :raises StartError: if it cannot be taken.
        """
        made = self.datagram(self.site.reactor, receiver, Binding(port))
        inherited = self.site.inherited.get(port)
        if inherited is None:
            made.bind()
        else:
            cast(UdpSocket, made).inherit(inherited)
        self.sockets.append(made)
        return made

    def listening(self) -> Sequence[IAddress]:
        """Return the addresses of the taken ports."""
        return [each.getHost() for each in self.sockets]

    def start(self) -> None:
        """Begin to receive."""
        for each in self.sockets:
            each.start()

    def give_back(self, taken: IDatagramSocket) -> None:
        """Give one port back."""
        taken.stop()
        self.sockets.remove(taken)

    def stop(self) -> None:
        """Receive no more and give the ports back."""
        for each in list(self.sockets):
            self.give_back(each)
