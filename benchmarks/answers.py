"""DHCP answers: what one exchange costs the server, without a network in between.

The whole product is in the path: a directory of machines, a policy of rules, SQLite, events. Raw
datagrams go into the port of the service and come out of a socket that only collects them, so
that the figure is that of the program alone, and steady on a machine that does other things too.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import attrs
from twisted.internet.address import IPv4Address as UdpAddress
from twisted.internet.epollreactor import EPollReactor
from zope.interface import implementer

from benchmarks.report import Result
from benchmarks.servers import Server
from bootlab.processes import LabError
from pxetwist.config.assemble import Assembly, assemble
from pxetwist.config.load import load
from pxetwist.exchange.dhcp4 import NOWHERE
from pxetwist.interfaces import IBootObserver
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.services.dhcp.addressing import AddressServer
from pxetwist.services.dhcp.ports import Dhcp4Port
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Arrival, Binding, IDatagramReceiver
from pxetwist.wire.dhcp4 import Dhcp4Message, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O

#: Who is measured; only the name is of use here.
SERVERS = (Server("pxetwist", str(Path(sys.executable).with_name("twistd")), lambda _: ()),)

_LOCAL = IPv4Address("10.99.0.1")
_ARRIVAL = Arrival("bench0", 2, str(_LOCAL), "255.255.255.255")
_RELAYED = Arrival("bench0", 2, str(_LOCAL), str(_LOCAL))
_RELAY = IPv4Address("10.99.0.2")
_RULES = """
    group=exam arch=arm64 -> exam
    room=a* -> desk
    room=b12 -> desk
    unknown -> desk"""
_INI = """
[pxe]
services = dhcp
hosts = rack
policies = main
state = leases
observers =
[service:dhcp]
[subnet:bench]
network = 10.99.0.0/16
pool = 10.99.16.0 - 10.99.250.250
routers = 10.99.0.1
name-servers = 10.99.0.1, 10.99.0.3
domain = bench.example
[hosts:rack]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules = {rules}
[state:leases]
plugin = sqlite
durability = {durability}
[profile:exam]
kind = local
[profile:desk]
kind = local
"""


@attrs.frozen
class Size:
    """How many machines the directory has, how many exchanges a run, and how many runs.

    `together` is how many clients ask at the same moment.
    """

    machines: int = 10_000
    exchanges: int = 9000
    together: int = 32
    repeats: int = 3


@attrs.frozen
class Client:
    """One kind of client: what all of them send, besides what tells them apart."""

    options: Mapping[int, bytes]
    relay: IPv4Address = NOWHERE
    new: bool = True  # whether each comes for the first time

    def discover(self, number: int) -> Dhcp4Message:
        """Return the first message of one client."""
        mac = _mac(number)
        options = {int(O.MESSAGE_TYPE): bytes([Dhcp4Type.DISCOVER]), **self.options}
        if O.CLIENT_ID in options:
            options[O.CLIENT_ID] = b"\1" + mac
        if O.CLIENT_MACHINE_ID in options:
            options[O.CLIENT_MACHINE_ID] = b"\0" + number.to_bytes(16, "little")
        return Dhcp4Message(
            Dhcp4Op.REQUEST,
            1,
            6,
            xid=0x10000 + number,
            giaddr=self.relay,
            chaddr=mac.ljust(16, b"\0"),
            options=options,
        )


_ROM_LIST = bytes.fromhex("0102030405060c0d0f111216171c28292a2b3233363a3b3c4243618081828384858687")
_UEFI: Mapping[int, bytes] = {
    O.MAX_MESSAGE_SIZE: bytes.fromhex("05c0"),
    O.PARAMETER_REQUEST_LIST: _ROM_LIST,
    O.CLIENT_MACHINE_ID: b"",
    O.NETWORK_INTERFACE: b"\1\3\0",
    O.CLIENT_ARCHITECTURE: b"\0\7",
    O.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003000",
}
_IPXE: Mapping[int, bytes] = {
    O.MAX_MESSAGE_SIZE: bytes.fromhex("05c0"),
    O.CLIENT_ARCHITECTURE: b"\0\7",
    O.NETWORK_INTERFACE: b"\1\3\x0a",
    O.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003010",
    O.USER_CLASS: b"iPXE",
    O.PARAMETER_REQUEST_LIST: bytes.fromhex("010306070c0f111a2b3c424377808182838485868700afcb"),
    O.IPXE: bytes.fromhex("130101110101"),
    O.CLIENT_ID: b"",
    O.CLIENT_MACHINE_ID: b"",
}
_SYSTEM: Mapping[int, bytes] = {O.PARAMETER_REQUEST_LIST: bytes.fromhex("011c02030f060c")}
#: `plain` are systems behind a relay, `again` the same when each has been there before, as
#: perfdhcp plays them; of the others each comes for the first time.
CASES = {
    "plain": Client(_SYSTEM, _RELAY),
    "again": Client(_SYSTEM, _RELAY, new=False),
    "uefi": Client(_UEFI),
    "ipxe": Client(_IPXE),
}


@implementer(IBootObserver)
@attrs.define(eq=False)
class _Count:
    """An observer as one that keeps metrics is: it looks at each event, and counts."""

    kinds: dict[tuple[EventKind, str], int] = attrs.field(factory=dict)

    def notice(self, event: BootEvent) -> None:
        key = (event.kind, event.protocol)
        self.kinds[key] = self.kinds.get(key, 0) + 1


@attrs.define(eq=False)
class _Collector:
    """The socket and the link layer of the port: keeps what is sent."""

    sent: list[bytes] = attrs.field(factory=list)
    available = True

    def bind(self) -> None:
        """Take no port."""

    start = stop = bind

    def send(self, data: bytes, *where: object, **more: object) -> None:
        """Keep the payload."""
        self.sent.append(data)

    def getHost(self) -> UdpAddress:
        """Return what a socket would be bound to."""
        return UdpAddress("UDP", "0.0.0.0", 67)


class _Reactor(EPollReactor):
    """A reactor that is turned by hand: what other threads want of it waits in a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, f: Callable[..., Any], *args: object, **kwargs: object) -> None:
        self.asked.put(partial(f, *args, **kwargs))

    def turn(self) -> None:
        """Do what is due, then wait for a thread.

        :raises LabError: if none has anything to say.
        """
        self.iterate(0)
        try:
            self.asked.get(timeout=10)()
        except Empty:
            raise LabError("answers: nothing happens any more") from None


class Bench:
    """A running server but for its sockets."""

    def __init__(self, folder: Path, size: Size, durability: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        rows = (f"pc{n},{_mac(n).hex(':')},b12" for n in range(size.machines))
        (folder / "hosts.csv").write_text("name,mac,room\n" + "\n".join(rows))
        (folder / "pxe.ini").write_text(_INI.format(rules=_RULES, durability=durability))
        self.reactor = _Reactor()
        self.assembly: Assembly = assemble(load(folder / "pxe.ini"), self.reactor)
        boot = self.assembly.boot
        boot._observers = [("count", _Count())]
        [(_, service)] = self.assembly.of_kind("service")
        [(_, self._store)] = self.assembly.of_kind("state")
        self._store.startService()
        site = service.site
        address = IPv4Interface(f"{_LOCAL}/16")
        interface = NetworkInterface("bench0", 2, address, "", 1)
        self.out = _Collector()
        server = AddressServer(boot, site.networks, 80)
        self.port = Dhcp4Port(
            site,
            "dhcp",
            interface,
            67,
            server.answer,
            shared=False,
            datagram=self._socket,
            frames=lambda _: self.out,
        )
        self.reactor.startRunning(installSignalHandlers=False)

    def _socket(self, reactor: Any, receiver: IDatagramReceiver, binding: Binding) -> Any:
        self.receiver = receiver
        return self.out

    def close(self) -> None:
        """Store what waits and stop."""
        ended = self._store.stopService()
        while ended is not None and not ended.called:
            self.reactor.turn()

    def deliver(self, datagrams: Sequence[bytes], arrival: Arrival) -> tuple[list[bytes], float]:
        """Let the port take datagrams as one batch; return the replies, and seconds of
        processor time.
        """
        self.out.sent = []
        used = time.process_time()
        for each in datagrams:
            self.receiver.received(each, ("0.0.0.0", 68), arrival)
        self.receiver.drained()
        while len(self.out.sent) < len(datagrams):
            self.reactor.turn()
        return self.out.sent, time.process_time() - used

    def exchange(self, discovers: Sequence[Dhcp4Message]) -> float:
        """Carry out one exchange of each client; return seconds of processor time."""
        arrival = _RELAYED if int(discovers[0].giaddr) else _ARRIVAL
        offers, first = self.deliver([encode(each) for each in discovers], arrival)
        requests = []
        for message, offer in zip(discovers, offers, strict=True):
            options = dict(message.options)
            options[O.MESSAGE_TYPE] = bytes([Dhcp4Type.REQUEST])
            options[O.SERVER_ID] = _LOCAL.packed
            options[O.REQUESTED_ADDRESS] = offer[16:20]
            requests.append(encode(attrs.evolve(message, options=options)))
        acks, second = self.deliver(requests, arrival)
        if any(ack[242] != Dhcp4Type.ACK for ack in acks):
            raise LabError("answers: a request was refused")
        return first + second


def case(word: str) -> str:
    """Return the name of a case."""
    if word not in CASES:
        raise ValueError(f"expected one of {', '.join(CASES)}")
    return word


def measure(cases: Sequence[str], folder: Path, size: Size) -> list[Result]:
    """Measure each kind of client.

    :raises LabError: if one is not answered as it must be.
    """
    return [
        _measured(each, durability, folder / each / durability, size)
        for each in cases
        for durability in ("normal", "full")
    ]


def _measured(case: str, durability: str, folder: Path, size: Size) -> Result:
    costs = []
    for number in range(size.repeats):
        bench = Bench(folder / str(number), size, durability)
        try:
            costs.append(run(bench, CASES[case], size))
        finally:
            bench.close()
    return Result(
        benchmark="answers",
        case=case,
        server="pxetwist" if durability == "normal" else "pxetwist-full",
        ours=True,
        unit="exchanges/s of one core",
        values=tuple(1 / cost for cost in costs),
        cost=statistics.median(costs) * 1e6,
        cost_unit="µs each",
        note=f"{size.machines} machines known, {size.together} clients at a time",
    )


def run(bench: Bench, client: Client, size: Size, step: Callable[[], object] = int) -> float:
    """Carry out many exchanges; return the processor time of one, in seconds."""
    numbers = range(min(size.exchanges, size.machines) // size.together * size.together)
    groups = [numbers[n : n + size.together] for n in range(0, len(numbers), size.together)]
    # What comes before is not counted: it fills what is remembered between exchanges.
    for group in groups[:1] if client.new else groups:
        bench.exchange([client.discover(number) for number in group])
    step()
    counted = groups[1:] if client.new else groups
    used = sum(bench.exchange([client.discover(n) for n in group]) for group in counted)
    return used / (len(counted) * size.together)


def _mac(number: int) -> bytes:
    return b"\x52\x54" + number.to_bytes(4, "big")
