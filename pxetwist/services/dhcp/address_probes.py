"""Questions to the wire whether anybody has an address: by ARP, and beyond routers by ping."""

from __future__ import annotations

import contextlib
import secrets
import socket
from abc import abstractmethod
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, Protocol

from pxetwist.errors import WireError
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.reading import SocketReader
from pxetwist.wire import arp, icmp4

#: Told of an answer: the MAC of who has the address, empty if that cannot be known.
Found = Callable[[str], None]

_EVERYBODY = b"\xff" * 6


class Question(Protocol):
    """One question that is on the wire."""

    def ask(self) -> None:
        """Send it, once more if it was sent before.

        :raises OSError: if it cannot be sent.
        """

    def stop(self) -> None:
        """Listen no more; stopping twice does no harm."""


class _Probe(SocketReader):
    """A socket that listens for answers to one question, and ends with it."""

    def __init__(self, reactor: Any, opened: socket.socket, found: Found) -> None:
        super().__init__(reactor)
        self._found = found
        self._socket = self._opened = opened
        opened.setblocking(False)
        self.start()

    def _read(self, opened: socket.socket) -> None:
        data = opened.recv(2048)  # an error: a router says that nobody is there
        with contextlib.suppress(WireError):
            self._look(data)

    @abstractmethod
    def _look(self, data: bytes) -> None:
        """Judge a packet.

        :raises WireError: if it is none.
        """


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
        self._opened.sendto(self._question, (self._name, arp.ETHERTYPE, 0, 0, _EVERYBODY))

    def _look(self, data: bytes) -> None:
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
        self._opened.send(icmp4.encode_echo(self._identifier, self._sent))

    def _look(self, data: bytes) -> None:
        """Only replies from this address come here; ours have our number."""
        if icmp4.decode_reply(data) == self._identifier:
            self._found("")
