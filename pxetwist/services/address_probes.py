"""Questions to the wire whether anybody has an address: by ARP, and beyond routers by ping."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.errors import WireError
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.wire import arp, icmp4

#: Told of an answer: the MAC of who has the address, empty if that cannot be known.
Found = Callable[[str], None]

_BATCH = 64
_EVERYBODY = b"\xff" * 6


class Question(Protocol):
    """One question that is on the wire."""

    def ask(self) -> None:
        """Send it, once more if it was sent before.

        :raises OSError: if it cannot be sent.
        """

    def stop(self) -> None:
        """Listen no more; stopping twice does no harm."""


@implementer(IReadDescriptor)
class _Probe:
    """A socket that listens for answers to one question, and ends with it."""

    prefix = ""

    def __init__(self, reactor: Any, opened: socket.socket, found: Found) -> None:
        self._reactor = reactor
        self._found = found
        self._socket = opened
        opened.setblocking(False)
        reactor.addReader(self)

    def stop(self) -> None:
        """Close the socket."""
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Name it in the reactor's log."""
        return type(self).__name__

    def connectionLost(self, reason: Failure) -> None:
        """Close; the reactor says this when it stops."""
        self.stop()

    def doRead(self) -> None:
        """Look at what has arrived."""
        for _ in range(_BATCH):
            if self._socket.fileno() < 0:
                return
            try:
                data = self._socket.recv(2048)
            except OSError:  # nothing more, or a router says that nobody is there
                return
            try:
                self.look(data)
            except WireError:
                continue

    def look(self, data: bytes) -> None:
        """Judge a packet."""
        raise NotImplementedError


class ArpProbe(_Probe):
    """Asks by ARP on one interface (RFC 5227 §2.1.1), without a claim to the address."""

    def __init__(
        self, reactor: Any, interface: NetworkInterface, address: IPv4Address, found: Found
    ) -> None:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        opened.bind((interface.name, arp.ETHERTYPE))
        self._address = address
        self._name = interface.name
        self._question = arp.encode_probe(bytes.fromhex(interface.mac.replace(":", "")), address)
        super().__init__(reactor, opened, found)

    def ask(self) -> None:
        """Ask everybody."""
        self._socket.sendto(self._question, (self._name, arp.ETHERTYPE, 0, 0, _EVERYBODY))

    def look(self, data: bytes) -> None:
        """Whoever sends with this address has it."""
        packet = arp.decode(data)
        if packet.sender == self._address:
            self._found(packet.hardware.hex(":"))


class Ping(_Probe):
    """Asks by ICMP echo."""

    def __init__(self, reactor: Any, address: IPv4Address, found: Found) -> None:
        opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        try:
            opened.connect((str(address), 0))
        except OSError:
            opened.close()
            raise
        self._identifier = secrets.randbits(16)
        self._sent = 0
        super().__init__(reactor, opened, found)

    def ask(self) -> None:
        """Send an echo request."""
        self._sent += 1
        self._socket.send(icmp4.encode_echo(self._identifier, self._sent))

    def look(self, data: bytes) -> None:
        """Only replies from this address come here; ours have our number."""
        if icmp4.decode_reply(data) == self._identifier:
            self._found("")
