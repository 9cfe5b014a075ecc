"""A network in memory, part of the public test kit :mod:`pxetwist.testing`.

Everything runs on one :class:`twisted.internet.task.Clock`; nothing here opens a socket.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

import attrs
from twisted.internet.address import IPv4Address as UdpAddress
from twisted.internet.address import IPv6Address as UdpAddress6
from twisted.internet.task import Clock

from pxetwist.errors import StartError
from pxetwist.services.ports import ALL_IPV4, ALL_IPV6
from pxetwist.services.sockets import Arrival, Binding, IDatagramReceiver, IDatagramSocket, Peer
from pxetwist.services.tftp.following import Following
from pxetwist.services.tftp.images import Piece
from pxetwist.services.tftp.transfer_interfaces import ITransferReceiver, Packets
from pxetwist.wire.tftp import Opcode, acknowledged

#: What becomes of a datagram on its way: none, one or several copies arrive.
Link = Callable[[bytes], Sequence[bytes]]

_REQUESTS = tuple(int(code).to_bytes(2, "big") for code in (Opcode.RRQ, Opcode.WRQ))


def perfect(data: bytes) -> Sequence[bytes]:
    """Deliver everything once."""
    return [data]


class Lossy:
    """A link that loses, and doubles, some datagrams; the same ones for the same `seed`.

    `lose` and `double` are probabilities; `drop` names further losses by number, from 0.
    """

    def __init__(
        self, lose: float = 0.0, double: float = 0.0, drop: Collection[int] = (), seed: int = 0
    ) -> None:
        self._lose = lose
        self._double = double
        self._drop = drop
        self._random = random.Random(seed)
        self.seen = 0

    def __call__(self, data: bytes) -> Sequence[bytes]:
        """Decide over one datagram."""
        number = self.seen
        self.seen += 1
        if number in self._drop or self._random.random() < self._lose:
            return []
        return [data, data] if self._random.random() < self._double else [data]


@attrs.frozen
class Datagram:
    """One datagram as it arrived or was sent; `index` is the interface that was asked for."""

    data: bytes
    source: Peer
    destination: Peer
    index: int = 0


class MemoryNetwork:
    """Interfaces of one server, and clients that talk to it.

    :meth:`socket` stands in for :class:`~pxetwist.services.sockets.UdpSocket`, :meth:`transfers`
    for :class:`~pxetwist.services.tftp.transfer_sockets.TransferSockets`. Datagrams travel when
    the clock is advanced, also by 0. `sent` holds all that the server sent.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock if clock is not None else Clock()
        self.to_server: Link = perfect
        self.to_client: Link = perfect
        self.mtu = 1500
        self.segments = True  # whether send_segments works
        self.sent: list[Datagram] = []
        self.sockets: list[MemorySocket] = []
        self.clients: list[MemoryClient] = []
        self._interfaces: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._connected: dict[tuple[Peer, Peer], MemoryTransferSocket] = {}
        self._next_port = 32768
        self.add_interface("eth0", "10.0.0.1")

    def add_interface(self, name: str, *addresses: str) -> int:
        """Give the server an interface with addresses, or others; return its index."""
        index, _ = self._interfaces.get(name, (len(self._interfaces) + 2, ()))
        self._interfaces[name] = (index, tuple(filter(None, addresses)))
        return index

    @property
    def _addresses(self) -> set[str]:
        return {each for _, addresses in self._interfaces.values() for each in addresses}

    def socket(self, reactor: Any, receiver: IDatagramReceiver, binding: Binding) -> MemorySocket:
        """Make a server's socket; it is a `DatagramFactory`."""
        port = binding.port
        return MemorySocket(self, receiver, port.address, port.number, port.interface)

    def transfers(
        self, reactor: Any, ports: Collection[int] = (), *, busy_poll: bool = True
    ) -> MemoryTransferSockets:
        """Make the set of connected sockets of a TFTP service."""
        return MemoryTransferSockets(self)

    def client(self, address: str, port: int = 1024, interface: str = "eth0") -> MemoryClient:
        """Put a client on an interface's wire."""
        made = MemoryClient(self, (address, port), interface)
        self.clients.append(made)
        return made

    def interface_of(self, index: int) -> str:
        """Return an interface's name."""
        return next((n for n, (i, _) in self._interfaces.items() if i == index), "")

    def bind(self, made: MemorySocket) -> None:
        """Register a server's socket.

        :raises StartError: as the real one does.
        """
        name, address = made.interface, made.address
        if name and name not in self._interfaces:
            raise StartError(f"there is no interface {name}")
        if address not in ("", ALL_IPV4, ALL_IPV6, *self._addresses):
            raise StartError(f"no interface has the address {address}")
        key = (made.port, name, address)
        if key in ((s.port, s.interface, s.address) for s in self.sockets):
            raise StartError(f"port {made.port} is in use")
        self.sockets.append(made)

    def from_client(self, sender: MemoryClient, data: bytes, to: Peer) -> None:
        """Carry a client's datagram to every server socket that would get it."""
        for copy in self.to_server(data):
            self.clock.callLater(0, self._arrive, sender, copy, to)

    def _arrive(self, sender: MemoryClient, data: bytes, to: Peer) -> None:
        index, there = self._interfaces[sender.interface]
        connected = self._connected.get((to, sender.address))
        if connected is not None and data[:2] not in _REQUESTS:
            connected.arrived(data, self.clock.seconds())
            return
        first = next((each for each in there if ":" not in each and ":" not in to[0]), "")
        local = to[0] if to[0] in self._addresses else first
        arrival = Arrival(sender.interface, index, local, to[0])
        for bound in list(self.sockets):
            if bound.started and bound.takes(sender.interface, to):
                bound.receiver.received(data, sender.address, arrival)
                bound.receiver.drained()

    def from_server(self, datagram: Datagram) -> None:
        """Carry a server's datagram to the clients that would get it."""
        self.sent.append(datagram)
        for copy in self.to_client(datagram.data):
            self.clock.callLater(0, self._reach, attrs.evolve(datagram, data=copy))

    def _reach(self, datagram: Datagram) -> None:
        name = self.interface_of(datagram.index)
        address, port = datagram.destination
        for client in list(self.clients):
            meant = address in (client.address[0], "255.255.255.255")
            if meant and client.address[1] == port and name in ("", client.interface):
                client.received.append(datagram)
                client.on_datagram(datagram)

    def connect(
        self, local: str, peer: Peer, receiver: ITransferReceiver, over: MemorySocket | None
    ) -> MemoryTransferSocket:
        """Make one transfer's socket, with a port of its own or that of a request socket."""
        self._next_port += 1
        port = over.port if over is not None else self._next_port
        made = MemoryTransferSocket(self, (local, port), peer, receiver)
        self._connected[(made.local, peer)] = made
        return made

    def disconnect(self, made: MemoryTransferSocket) -> None:
        """Forget a connected socket."""
        self._connected.pop((made.local, made.peer), None)

    @property
    def connected(self) -> int:
        """How many connected sockets are open."""
        return len(self._connected)


@attrs.define(eq=False)
class MemoryClient:
    """A client's socket: `received` collects, and `on_datagram` is called for each datagram."""

    network: MemoryNetwork
    address: Peer
    interface: str
    received: list[Datagram] = attrs.field(factory=list)
    on_datagram: Callable[[Datagram], object] = lambda datagram: None

    def send(self, data: bytes, to: Peer) -> None:
        """Send a datagram to the server; any address that is not the server's is a broadcast."""
        self.network.from_client(self, data, to)


@attrs.define(eq=False)
class MemorySocket:
    """The surface of :class:`pxetwist.services.sockets.UdpSocket` without a socket."""

    network: MemoryNetwork
    receiver: IDatagramReceiver
    address: str
    port: int
    interface: str
    started: bool = False

    def bind(self) -> None:
        """Take the port."""
        self.network.bind(self)

    def start(self) -> None:
        """Begin to receive; binds first if that was not done."""
        if self not in self.network.sockets:
            self.bind()
        self.started = True

    def stop(self) -> None:
        """Give the port back."""
        self.started = False
        if self in self.network.sockets:
            self.network.sockets.remove(self)

    def getHost(self) -> UdpAddress | UdpAddress6:
        """Return what it is bound to."""
        if ":" in self.address:
            return UdpAddress6("UDP", self.address, self.port)
        return UdpAddress("UDP", self.address or ALL_IPV4, self.port)

    def send(self, data: bytes, peer: Peer, source: str = "", index: int = 0) -> None:
        """Send one datagram."""
        self.network.from_server(Datagram(data, (source or self.address, self.port), peer, index))

    def takes(self, interface: str, to: Peer) -> bool:
        """Whether the kernel would deliver to it what came in on `interface` for `to`."""
        if to[1] != self.port or self.interface not in ("", interface):
            return False
        if self.address in ("", ALL_IPV4, ALL_IPV6):
            return (":" in to[0]) == (":" in self.address)
        return to[0] == self.address


@attrs.define(eq=False)
class MemoryTransferSockets:
    """The surface of :class:`pxetwist.services.tftp.transfer_sockets.TransferSockets`."""

    network: MemoryNetwork

    def start(self) -> None:
        """Begin; nothing to do."""

    def stop(self) -> None:
        """End; nothing to do."""

    def adopt(self, requests: IDatagramSocket) -> None:
        """Receive for a request socket, too."""
        requests.start()

    def open(
        self,
        local: str,
        peer: Peer,
        receiver: ITransferReceiver,
        *,
        over: IDatagramSocket | None = None,
        shared: bool = False,
    ) -> MemoryTransferSocket:
        """Return a socket from our address `local` to `peer`; none is shared here, but `over`."""
        return self.network.connect(local, peer, receiver, cast(MemorySocket | None, over))


@attrs.define(eq=False)
class MemoryTransferSocket(Following):
    """The surface of :class:`pxetwist.services.tftp.connected_sockets.TransferSocket`."""

    network: MemoryNetwork
    local: Peer
    peer: Peer
    receiver: ITransferReceiver

    def __attrs_pre_init__(self) -> None:
        """Follow nothing yet."""
        super().__init__()

    def arrived(self, data: bytes, now: float) -> None:
        """Take a packet of the peer."""
        block = acknowledged(data)
        if block is None:
            self.receiver.received(data, now)
        elif int.from_bytes(data, "big") == self.wanted and self._sent():
            self.answered(now)
        else:
            self.receiver.acknowledged(block, now)

    def _sent(self) -> bool:
        window = self.piece.packets[self.at : self.at + self.size]
        return self.send_segments(window, self.piece.packet)

    @property
    def payload(self) -> int:
        """What fits into a datagram of the network's MTU."""
        return self.network.mtu - (48 if ":" in self.peer[0] else 28)

    def send(self, packet: Packets) -> None:
        """Send one datagram."""
        self.network.from_server(Datagram(bytes(packet), self.local, self.peer))

    def send_part(self, piece: Piece, start: int, stop: int) -> None:
        """Send bytes of a piece as one datagram."""
        self.send(piece.packets[start:stop])

    def send_segments(self, packets: Packets, segment: int) -> bool:
        """Send datagrams of `segment` bytes."""
        if not self.network.segments or segment > self.payload:
            return False
        for start in range(0, len(packets), segment):
            self.send(packets[start : start + segment])
        return True

    def close(self) -> None:
        """Let go of it."""
        self.network.disconnect(self)
