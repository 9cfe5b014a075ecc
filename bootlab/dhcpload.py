"""Many DHCP clients behind one relay agent, as a program: it prints each answer as it comes.

``python -m bootlab.dhcpload lease SERVER GIADDR FIRST SECONDS`` lets one client after the other
get an address, the first with the number FIRST. ``… confirm SERVER GIADDR FIRST SECONDS`` asks for
the addresses again (INIT-REBOOT) that its input names, in the lines of the output, once each, and
again until there is an answer. Lines are ``ack NUMBER ADDRESS`` and ``nak NUMBER ADDRESS``.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.dhcp4 import Dhcp4Message, decode, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type, HardwareType
from pxetwist.wire.options import OptionCode

_AT_A_TIME = 64
_PATIENCE = 0.5  # seconds until a client asks once more


@attrs.define
class Client:
    """One client: what it asks for next, and when it asked last."""

    number: int
    address: IPv4Address | None = None  # it had this one, or was offered it
    server: bytes = b""
    asked: float = 0.0

    @property
    def mac(self) -> bytes:
        """Its own address."""
        return b"\x02\x00" + self.number.to_bytes(4, "big")

    def request(self, giaddr: IPv4Address) -> bytes:
        """Return what it sends now: DISCOVER, or REQUEST for its address."""
        kind = Dhcp4Type.DISCOVER if self.address is None else Dhcp4Type.REQUEST
        options = {int(OptionCode.MESSAGE_TYPE): bytes([kind])}
        if self.address is not None:
            options[OptionCode.REQUESTED_ADDRESS] = self.address.packed
        if self.server:
            options[OptionCode.SERVER_ID] = self.server
        return encode(
            Dhcp4Message(
                Dhcp4Op.REQUEST,
                HardwareType.ETHERNET,
                6,
                hops=1,
                xid=self.number,
                giaddr=giaddr,
                chaddr=self.mac.ljust(16, b"\0"),
                options=options,
            )
        )


class Load:
    """The relay agent with its clients; `waiting` are those that are still to begin."""

    def __init__(self, server: str, giaddr: str, waiting: Iterator[Client]) -> None:
        self._server = (server, 67)
        self._giaddr = IPv4Address(giaddr)
        self._waiting = waiting
        self._asking: dict[int, Client] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((giaddr, 67))
        self._socket.settimeout(0.05)

    def run(self, seconds: float) -> None:
        """Go on until all have an answer, or the time is over."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            while len(self._asking) < _AT_A_TIME:
                client = next(self._waiting, None)
                if client is None:
                    break
                self._asking[client.number] = client
            if not self._asking:
                return
            for client in self._asking.values():
                if now - client.asked > _PATIENCE:
                    self._ask(client, now)
            self._receive()

    def _ask(self, client: Client, now: float) -> None:
        client.asked = now
        self._socket.sendto(client.request(self._giaddr), self._server)

    def _receive(self) -> None:
        try:
            message = decode(self._socket.recv(2048))
        except (TimeoutError, ConnectionRefusedError, WireError):
            return
        client = self._asking.get(message.xid)
        if client is None:
            return
        if message.message_type == Dhcp4Type.OFFER and client.address is None:
            client.address = message.yiaddr
            client.server = message.options[OptionCode.SERVER_ID]
            self._ask(client, time.monotonic())
        elif message.message_type in (Dhcp4Type.ACK, Dhcp4Type.NAK):
            word = "ack" if message.message_type == Dhcp4Type.ACK else "nak"
            print(word, client.number, message.yiaddr if word == "ack" else client.address)
            sys.stdout.flush()
            del self._asking[client.number]


def new_clients(first: int) -> Iterator[Client]:
    """Make clients without end."""
    while True:
        yield Client(first)
        first += 1


def former_clients() -> Iterator[Client]:
    """Make the clients that the input names."""
    for line in sys.stdin:
        _, number, address = line.split()
        yield Client(int(number), IPv4Address(address))


def main() -> None:
    """Run as the words of the command line say."""
    mode, server, giaddr, first, seconds = sys.argv[1:]
    clients = new_clients(int(first)) if mode == "lease" else former_clients()
    Load(server, giaddr, clients).run(float(seconds))


if __name__ == "__main__":
    main()
