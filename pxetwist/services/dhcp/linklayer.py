"""Sends to clients that have an address but cannot answer ARP for it yet."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

from twisted.logger import Logger

from pxetwist.wire.udp4 import encode_udp4

_ETH_P_IP = 0x0800


class LinkLayerSender:
    """An AF_PACKET socket that is only written to: frames by MAC address (packet(7)).

    Without the right to open it (CAP_NET_RAW) `available` is false and the caller broadcasts,
    which all real clients accept.
    """

    log = Logger()

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._socket: socket.socket | None = None
        self.failures = 0

    @property
    def available(self) -> bool:
        """Whether frames can be sent."""
        return self._socket is not None

    def start(self) -> None:
        """Open the socket; it receives nothing (protocol 0)."""
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except PermissionError:
            self.log.warn(
                "no right to send frames on {interface} (CAP_NET_RAW): replies to clients"
                " without an address are broadcast",
                interface=self._interface,
            )
            return
        self._socket.setblocking(False)

    def stop(self) -> None:
        """Close it."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def send(
        self,
        payload: bytes,
        source: tuple[IPv4Address, int],
        destination: tuple[IPv4Address, int],
        hardware: bytes,
    ) -> None:
        """Send one UDP datagram to a MAC address; a frame that cannot leave is counted."""
        assert self._socket is not None
        packet = encode_udp4(source, destination, payload)
        try:
            self._socket.sendto(packet, (self._interface, _ETH_P_IP, 0, 0, hardware))
        except OSError:  # an interface that is down or away; the next one of its name may do
            self.failures += 1
