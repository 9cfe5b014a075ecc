"""Real UDP sockets on loopback, read by hand in the place of a reactor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.config.server import spelled
from pxetwist.errors import StartError
from pxetwist.interfaces import Port
from pxetwist.services.listening import addresses_to_take, listen_tcp, own_address, udp_socket
from pxetwist.services.ports import start_error
from pxetwist.services.sockets import Arrival, Binding, UdpSocket
from pxetwist.services.tftp import connected_sockets
from pxetwist.services.tftp.connected_sockets import TransferSocket
from pxetwist.services.tftp.images import Piece, framed
from pxetwist.services.tftp.transfer_interfaces import ITransferSocket
from pxetwist.services.tftp.transfer_sockets import TransferSockets
from pxetwist.wire.tftp import Ack, ReadRequest, data_header, encode


class Reactor(Clock):
    """A clock that knows its readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        if reader in self.readers:
            self.readers.remove(reader)


@attrs.define(eq=False)
class Receiver:
    """Keeps what arrives, and calls `then` for each."""

    arrived: list[tuple[bytes, tuple[str, int], Arrival]] = attrs.field(factory=list)
    batches: int = 0
    then: Callable[[], object] = lambda: None

    def received(self, data: bytes, peer: tuple[str, int], arrival: Arrival) -> None:
        self.arrived.append((data, peer, arrival))
        self.then()

    def drained(self) -> None:
        self.batches += 1


@attrs.define(eq=False)
class Transfer:
    """Keeps what arrives on one transfer's socket."""

    packets: list[bytes] = attrs.field(factory=list)
    was_closed: bool = False
    then: Callable[[int], object] = lambda block: None

    def received(self, data: bytes, now: float) -> None:
        self.packets.append(data)

    def acknowledged(self, block: int, now: float) -> None:
        self.packets.append(encode(Ack(block)))
        self.then(block)

    def closed(self) -> None:
        self.was_closed = True


class SocketCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.client.close)
        self.client.bind(("127.0.0.9", 0))
        self.client.settimeout(5)

    @property
    def peer(self) -> tuple[str, int]:
        host, port = self.client.getsockname()
        return host, port


def at(address: str, port: int = 0, interface: str = "") -> Binding:
    return Binding(Port("udp", address, port, interface))


class UdpSocketTests(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.receiver = Receiver()
        self.socket = self.started()

    def started(self, address: str = "", interface: str = "") -> UdpSocket:
        made = UdpSocket(self.reactor, self.receiver, at(address, interface=interface))
        made.start()
        self.addCleanup(made.stop)
        return made

    def test_reader(self) -> None:
        verifyObject(IReadDescriptor, self.socket)
        self.assertEqual(self.reactor.readers, [self.socket])
        self.socket.stop()
        self.socket.stop()
        self.assertEqual((self.reactor.readers, self.socket.fileno()), ([], -1))

    def test_a_datagram_and_where_it_came_in(self) -> None:
        self.client.sendto(b"hello", ("127.0.0.5", self.socket.getHost().port))
        self.socket.doRead()
        index = socket.if_nametoindex("lo")
        arrival = Arrival("lo", index, "127.0.0.5", "127.0.0.5")
        self.assertEqual(self.receiver.arrived, [(b"hello", self.peer, arrival)])

    def test_the_answer_leaves_from_the_address_that_was_asked(self) -> None:
        port = self.socket.getHost().port
        self.socket.send(b"one", self.peer, source="127.0.0.5")
        self.socket.send(b"two", self.peer, "127.0.0.6", socket.if_nametoindex("lo"))
        self.assertEqual(self.client.recvfrom(99), (b"one", ("127.0.0.5", port)))
        self.assertEqual(self.client.recvfrom(99), (b"two", ("127.0.0.6", port)))

    def test_datagrams_that_are_one_to_the_kernel(self) -> None:
        """Those that are too large for it leave one by one."""
        port, index = self.socket.getHost().port, socket.if_nametoindex("lo")
        for size in (300, 40_000):
            datagrams = [os.urandom(size) for _ in range(3)]
            self.socket.send_alike(datagrams, self.peer, "127.0.0.5", index)
            self.assertEqual(
                [self.client.recvfrom(65536) for _ in datagrams],
                [(each, ("127.0.0.5", port)) for each in datagrams],
            )
        self.socket.send_alike([b"alone"], self.peer, "127.0.0.5", index)
        self.assertEqual(self.client.recv(99), b"alone")
        self.assertFalse(self.socket.failures)
        self.socket.send_alike([b"a", b"b"], self.peer, "192.0.2.1", index)  # not ours
        self.assertEqual(self.socket.failures.total(), 1)

    def test_one_event_reads_a_bounded_batch(self) -> None:
        for number in range(300):
            self.client.sendto(b"%d" % number, ("127.0.0.1", self.socket.getHost().port))
        self.socket.doRead()
        self.assertEqual((len(self.receiver.arrived), self.receiver.batches), (256, 1))
        self.socket.doRead()
        self.assertEqual((len(self.receiver.arrived), self.receiver.batches), (300, 2))

    def test_a_glance(self) -> None:
        """A receiver may drop what it does not want before anything else is done with it."""

        class Choosy(Receiver):
            def glance(self, data: bytearray, size: int) -> bool:
                return bytes(data[:size]) == b"good"

        self.receiver = Choosy()
        made = self.started()
        for data in (b"bad", b"good", b"goodbye"):
            self.client.sendto(data, ("127.0.0.1", made.getHost().port))
        made.doRead()
        self.assertEqual([data for data, _, _ in self.receiver.arrived], [b"good"])

    def test_an_empty_datagram(self) -> None:
        self.client.sendto(b"", ("127.0.0.1", self.socket.getHost().port))
        self.socket.doRead()
        self.assertEqual(self.receiver.arrived[0][0], b"")

    def test_a_bug_in_the_receiver_stops_nothing(self) -> None:
        def fail() -> None:
            raise RuntimeError("a bug")

        self.receiver.then = fail
        for _ in range(2):
            self.client.sendto(b"x", ("127.0.0.1", self.socket.getHost().port))
        self.socket.doRead()
        self.assertEqual(len(self.receiver.arrived), 2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_stopped_while_it_reads(self) -> None:
        self.receiver.then = self.socket.stop
        for _ in range(2):
            self.client.sendto(b"x", ("127.0.0.1", self.socket.getHost().port))
        self.socket.doRead()
        self.assertEqual(len(self.receiver.arrived), 1)

    def test_what_cannot_be_sent_is_counted(self) -> None:
        self.socket.send(b"x" * 70000, self.peer)
        self.socket.send(b"x", ("255.255.255.255", 9), index=socket.if_nametoindex("lo"))
        self.socket.send(b"x", self.peer, source="192.0.2.1")
        self.assertEqual(self.socket.failures["EMSGSIZE"], 1)
        self.assertEqual(self.socket.failures["EACCES"], 1)  # broadcast was not asked for
        self.assertEqual(sum(self.socket.failures.values()), 3)

    def test_a_port_in_use_names_its_owner(self) -> None:
        port = self.socket.getHost().port
        other = UdpSocket(self.reactor, self.receiver, at("", port))
        message = str(self.assertRaises(StartError, other.bind))
        self.assertIn(f"udp port {port} on all addresses is in use by ", message)
        self.assertIn(f"(pid {os.getpid()})", message)

    def test_no_such_address_or_interface(self) -> None:
        other = UdpSocket(self.reactor, self.receiver, at("192.0.2.1"))
        self.assertIn("192.0.2.1", str(self.assertRaises(StartError, other.bind)))
        error = start_error(OSError(19, "No such device"), Port("udp", "", 67, "eth9"))
        self.assertEqual(
            str(error),
            "cannot take udp port 67 on all addresses of eth9: there is no interface eth9",
        )

    def test_missing_rights(self) -> None:
        error = start_error(PermissionError(13, "Permission denied"), Port("udp", "", 69))
        self.assertIn("CAP_NET_BIND_SERVICE", str(error))


class Udp6SocketTests(SynchronousTestCase):
    """A datagram and its answer over IPv6, beside a socket of IPv4 on the same port."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.receiver = Receiver()
        self.client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(self.client.close)
        self.client.settimeout(5)

    def started(self, address: str, port: int = 0) -> UdpSocket:
        made = udp_socket(self.reactor, self.receiver, at(address, port))
        made.start()
        self.addCleanup(made.stop)
        return made

    def test_both_families_on_one_port(self) -> None:
        six = self.started("::")
        port = six.getHost().port
        four = self.started("0.0.0.0", port)
        self.assertEqual(spelled(six.getHost()), f"udp [::]:{port}")
        self.assertEqual(spelled(four.getHost()), f"udp 0.0.0.0:{port}")
        self.client.sendto(b"x", ("::1", port))
        six.doRead()
        [(data, peer, arrival)] = self.receiver.arrived
        self.assertEqual((data, peer), (b"x", ("::1", self.client.getsockname()[1])))
        index = socket.if_nametoindex("lo")
        self.assertEqual(arrival, Arrival("lo", index, "::1", "::1"))
        six.send(b"y", peer, source=arrival.local, index=arrival.index)
        self.assertEqual(self.client.recvfrom(99)[:2], (b"y", ("::1", port, 0, 0)))

    def test_errors(self) -> None:
        port = self.started("::1").getHost().port
        for address, said in {
            "::1": f"udp port {port} on ::1 is in use by ",
            "2001:db8::7": "no interface has the address 2001:db8::7, or the kernel still looks",
            "fe80::1%eth99": "there is no interface eth99",
        }.items():
            other = udp_socket(self.reactor, self.receiver, at(address, port))
            self.assertIn(said, str(self.assertRaises(StartError, other.bind)))

    def test_a_transfer(self) -> None:
        """Its socket knows what the path carries, and sends many blocks at once."""
        sockets = TransferSockets(self.reactor)
        sockets.start()
        self.addCleanup(sockets.stop)
        self.client.bind(("::1", 0))
        transfer = Transfer()
        opened = sockets.open("::1", ("::1", self.client.getsockname()[1]), transfer)
        assert isinstance(opened, TransferSocket)
        self.assertEqual(opened.payload, self.mtu() - 48)
        self.assertTrue(opened.send_segments(b"a" * 300 + b"b" * 300, 300))
        for letter in (b"a", b"b"):
            data, source = self.client.recvfrom(2000)
            self.assertEqual((data, source[:2]), (letter * 300, ("::1", opened.getHost().port)))
        self.client.sendto(b"x", ("::1", opened.getHost().port))
        sockets.doRead()
        self.assertEqual(transfer.packets, [b"x"])
        self.assertFalse(opened.send_segments(b"x" * 200000, 1000))
        self.client.close()
        opened.send(b"x")
        sockets.doRead()
        self.assertTrue(transfer.was_closed)

    @staticmethod
    def mtu() -> int:
        return int(Path("/sys/class/net/lo/mtu").read_text())


class ListenTests(SynchronousTestCase):
    """Ports of TCP, of which each family has its own."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()

    def taken(self) -> socket.socket:
        """Return a listening socket in the place of somebody else's."""
        made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.addCleanup(made.close)
        made.bind(("::1", 0))
        made.listen()
        return made

    def test_the_family_is_that_of_the_address(self) -> None:
        for address in ("0.0.0.0", "::", "127.0.0.1", "::1"):
            listen_tcp(self.reactor, Factory(), address, 0)
        families = [family for _, family, _ in self.reactor.adoptedPorts]
        self.assertEqual(families, [socket.AF_INET, socket.AF_INET6] * 2)

    def test_a_port_in_use_names_its_owner(self) -> None:
        port = self.taken().getsockname()[1]
        error = self.assertRaises(StartError, listen_tcp, self.reactor, Factory(), "::1", port)
        self.assertIn(f"tcp port {port} on ::1 is in use by ", str(error))
        self.assertIn(f"(pid {os.getpid()})", str(error))

    def test_missing_rights(self) -> None:
        error = start_error(PermissionError(13, "Permission denied"), Port("tcp", "::", 80))
        self.assertIn("no right to take tcp port 80 on all IPv6 addresses", str(error))

    def test_own_addresses(self) -> None:
        for text, address in {
            "10.0.0.1": IPv4Address("10.0.0.1"),
            "::": IPv6Address("::"),
            "[fd00::1]": IPv6Address("fd00::1"),
            "fe80::1%eth0": IPv6Address("fe80::1%eth0"),
        }.items():
            self.assertEqual(own_address(text), address)
        for text, said in {
            "[fd00::1]:69": "the port is an option of its own",
            "fe80::1": "fe80::1 needs its interface: fe80::1%eth0",
        }.items():
            error = self.assertRaises(ValueError, own_address, text)
            self.assertIn(said, str(error))

    def test_a_kernel_without_ipv6(self) -> None:
        def no_such_family(family: int, kind: int) -> None:
            raise OSError(97, "Address family not supported by protocol")

        self.assertEqual(addresses_to_take([]), ("0.0.0.0", "::"))
        self.patch(socket, "socket", no_such_family)
        self.assertEqual(addresses_to_take([]), ("0.0.0.0",))
        chosen: list[IPv4Address | IPv6Address] = [IPv6Address("fd00::1"), IPv4Address("10.0.0.1")]
        self.assertEqual(addresses_to_take(chosen), ["fd00::1", "10.0.0.1"])


class TransferSocketTests(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.sockets = self.started()
        self.transfer = Transfer()
        self.socket = self.open()

    def started(self, *ports: int) -> TransferSockets:
        made = TransferSockets(self.reactor, ports)
        made.start()
        self.addCleanup(made.stop)
        return made

    def open(self) -> TransferSocket:
        opened = self.sockets.open("127.0.0.5", self.peer, self.transfer)
        assert isinstance(opened, TransferSocket)
        return opened

    def test_one_descriptor_for_all(self) -> None:
        others = [self.open() for _ in range(3)]
        self.assertEqual(self.reactor.readers, [self.sockets])
        for opened in (self.socket, *others):
            self.client.sendto(b"x", ("127.0.0.5", opened.getHost().port))
        self.sockets.doRead()
        self.assertEqual(self.transfer.packets, [b"x"] * 4)
        self.sockets.stop()
        self.sockets.stop()
        self.assertEqual((self.reactor.readers, self.sockets.fileno()), ([], -1))

    def test_a_few_are_looked_for_before_the_process_sleeps(self) -> None:
        """Four are not, nor are any without `busy_poll`."""
        looks: list[int] = []
        self.patch(os, "sched_yield", lambda: looks.append(1))
        for busy_poll, transfers, looked in ((True, 3, True), (True, 4, False), (False, 1, False)):
            self.sockets = TransferSockets(self.reactor, busy_poll=busy_poll)
            self.sockets.start()
            self.addCleanup(self.sockets.stop)
            for _ in range(transfers):
                self.open()
            looks.clear()
            self.sockets.doRead()
            self.assertEqual(bool(looks), looked)

    def test_only_the_peer_is_heard(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"x", ("127.0.0.5", self.socket.getHost().port))
        self.sockets.doRead()
        self.assertEqual(self.transfer.packets, [])

    def test_segments(self) -> None:
        packets = framed(memoryview(data := os.urandom(1000)), 1, 5, 300)
        self.assertTrue(self.socket.send_segments(packets, 304))
        for number in range(4):
            packet, source = self.client.recvfrom(2000)
            self.assertEqual(source[0], "127.0.0.5")
            block = data[number * 300 : number * 300 + 300]
            self.assertEqual(packet, data_header(number + 1) + block)

    def test_segments_that_cannot_be(self) -> None:
        self.assertFalse(self.socket.send_segments(b"x" * 65508, 60000))
        self.assertFalse(self.socket.send_segments(b"x" * 200000, 1000))

    def test_acks_in_order_are_answered(self) -> None:
        data = os.urandom(100)
        for window, length in ((1, 14), (3, 42)):
            piece = Piece(1, 10, 14, framed(memoryview(data), 1, 10, 10))
            self.socket.follow(piece, window + 1, window, 2)
            self.transfer.packets.clear()
            for block in (window, 2 * window, window, 3 * window):
                self.acknowledge(block)
            answers = b"".join(self.client.recv(2000) for _ in range(2 * window))
            self.assertEqual(answers, bytes(piece.packets[length : 3 * length]))
            self.assertEqual(self.transfer.packets, [encode(Ack(n)) for n in (window, 3 * window)])
            self.assertEqual((self.socket.taken(), self.socket.taken()), (2, 0))

    def test_a_window_of_more_than_one_send(self) -> None:
        packets = framed(memoryview(os.urandom(190000)), 1, 20, 10000)
        self.socket.follow(Piece(1, 20, 10004, packets), 10, 9, 1)
        self.acknowledge(9)
        answers = [self.client.recv(65536) for _ in range(9)]
        self.assertEqual(b"".join(answers), bytes(packets[90036 : 2 * 90036]))
        self.assertEqual(({len(each) for each in answers}, self.socket.taken()), ({10004}, 1))

    def test_a_window_that_does_not_fit_any_more(self) -> None:
        """The transfer is asked, when the kernel does not cut it."""
        self.patch(connected_sockets, "MAX_SEND", 120000)
        self.socket.follow(Piece(1, 3, 60000, memoryview(bytearray(120000))), 1, 2, 1)
        self.acknowledge(0)
        self.assertEqual((self.transfer.packets, self.socket.taken()), ([encode(Ack(0))], 0))

    def acknowledge(self, block: int) -> None:
        self.client.sendto(encode(Ack(block)), ("127.0.0.5", self.socket.getHost().port))
        self.sockets.doRead()

    def test_the_mtu(self) -> None:
        self.assertGreaterEqual(self.socket.payload, 1500 - 28)

    def test_a_closed_port_is_told(self) -> None:
        self.client.close()
        self.socket.send(b"x")
        self.sockets.doRead()
        self.assertTrue(self.transfer.was_closed)

    def test_a_range_of_ports(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.5", 0))
            taken = probe.getsockname()[1]
            self.sockets = self.started(taken)
            self.assertRaises(OSError, self.open)
        opened = self.open()
        self.assertEqual(opened.getHost().port, taken)
        self.assertRaises(OSError, self.open)
        opened.close()
        opened.close()
        self.assertEqual(self.open().getHost().port, taken)


class SharedPortTests(SocketCase):
    """Many peers of one port; read and sent in batches."""

    family, ours, theirs = socket.AF_INET, "127.0.0.5", "127.0.0.9"

    def setUp(self) -> None:
        super().setUp()
        self.sockets = TransferSockets(self.reactor)
        self.sockets.start()
        self.addCleanup(self.sockets.stop)
        for _ in range(3):  # a few have sockets of their own
            self.sockets.open(self.ours, self.another().getsockname()[:2], Transfer(), shared=True)
        self.clients = [self.another() for _ in range(3)]
        self.transfers = [Transfer() for _ in self.clients]
        self.piece = Piece(1, 4, 14, framed(memoryview(bytes(range(30))), 1, 4, 10))

    def another(self) -> socket.socket:
        made = socket.socket(self.family, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind((self.theirs, 0))
        made.settimeout(5)
        return made

    def open(self, number: int) -> ITransferSocket:
        peer = self.clients[number].getsockname()[:2]
        return self.sockets.open(self.ours, peer, self.transfers[number], shared=True)

    def ports(self) -> list[tuple[Any, ...]]:
        """Let each client take a datagram; return where they came from."""
        return [client.recvfrom(2000)[1] for client in self.clients]

    def test_each_hears_its_peer(self) -> None:
        opened = [self.open(number) for number in range(3)]
        for number, each in enumerate(opened):
            each.send_part(self.piece, 14 * number, 14 * number + 14)
        (port,) = set(self.ports())
        self.assertEqual(port[0], self.ours)
        for number, client in enumerate(self.clients):
            client.sendto(encode(Ack(number)), port)
            client.sendto(b"\0\3\0\1" + bytes(1000 + number), port)
        self.another().sendto(encode(Ack(7)), port)  # a stranger
        self.sockets.doRead()
        for number, transfer in enumerate(self.transfers):
            block = b"\0\3\0\1" + bytes(1000 + number)
            self.assertEqual(transfer.packets, [encode(Ack(number)), block])

    def test_acks_in_order_are_answered(self) -> None:
        opened = [self.open(number) for number in range(3)]
        for each in opened:
            each.send(b"x")
            each.follow(self.piece, 2, 1, 2)
        for number, (client, port) in enumerate(zip(self.clients, self.ports(), strict=True)):
            for block in (1, 1, number + 1):
                client.sendto(encode(Ack(block)), port)
        self.sockets.doRead()
        packets = bytes(self.piece.packets)
        for client in self.clients:
            self.assertEqual(client.recv(2000), packets[14:28])
        self.assertEqual(self.clients[1].recv(2000), packets[28:42])
        delivered = [[encode(Ack(n)) for n in blocks] for blocks in ((1, 1), (1,), (1, 3))]
        self.assertEqual([each.packets for each in self.transfers], delivered)
        self.assertEqual([each.taken() for each in opened], [1, 2, 1])
        opened[1].close()
        self.clients[1].sendto(encode(Ack(3)), port)
        self.sockets.doRead()
        self.assertEqual(len(self.transfers[1].packets), 1)

    def test_larger_windows_are_the_transfers_business(self) -> None:
        opened = self.open(0)
        opened.send(b"x")
        opened.follow(self.piece, 2, 2, 1)
        self.clients[0].sendto(encode(Ack(1)), self.clients[0].recvfrom(100)[1])
        self.sockets.doRead()
        self.assertEqual(self.transfers[0].packets, [encode(Ack(1))])

    def test_what_is_said_in_a_batch_leaves_after_it(self) -> None:
        opened = [self.open(number) for number in range(3)]
        for number, each in enumerate(opened):
            each.send(b"x")

            def answer(block: int, each: ITransferSocket = each) -> None:
                each.send_part(self.piece, 14 * block, 14 * block + 14)

            self.transfers[number].then = answer
        for number, (client, port) in enumerate(zip(self.clients, self.ports(), strict=True)):
            client.sendto(encode(Ack(number)), port)
        self.sockets.doRead()
        for number, client in enumerate(self.clients):
            packets = bytes(self.piece.packets)
            self.assertEqual(client.recv(2000), packets[14 * number : 14 * number + 14])

    def test_segments(self) -> None:
        opened = self.open(0)
        self.assertTrue(opened.send_segments(self.piece.packets, 14))
        for number in range(3):
            block = data_header(number + 1) + bytes(range(10 * number, 10 * number + 10))
            self.assertEqual(self.clients[0].recv(2000), block)
        self.assertFalse(opened.send_segments(bytes(200000), 1000))

    def test_what_cannot_be_sent_holds_nothing_up(self) -> None:
        good = [self.open(number) for number in range(3)]
        nowhere = self.sockets.open(self.ours, (self.theirs, 0), Transfer(), shared=True)
        order = [nowhere, good[0], nowhere, nowhere, good[1], good[2]]

        def answer(block: int) -> None:
            for each in order:
                each.send_part(self.piece, 0, 14)

        self.transfers[0].then = answer
        good[0].send(b"x")
        self.clients[0].sendto(encode(Ack(1)), self.clients[0].recvfrom(10)[1])
        self.sockets.doRead()
        for client in self.clients:
            self.assertEqual(len(client.recv(2000)), 14)
        self.assertEqual(self.sockets.failures, {"EINVAL": 6})

    def test_a_peer_that_comes_back_gets_another_port(self) -> None:
        first = self.open(0)
        first.send(b"x")
        port = self.clients[0].recvfrom(100)[1]
        first.close()
        first.close()
        self.open(0).send(b"x")
        self.assertNotEqual(self.clients[0].recvfrom(100)[1], port)

    def test_a_closed_port_is_told(self) -> None:
        opened = [self.open(number) for number in range(2)]
        self.clients[0].close()
        for each in (*opened, *opened):  # also while nothing else is sent
            each.send_part(self.piece, 0, 14)
        self.sockets.doRead()
        self.assertEqual([each.was_closed for each in self.transfers], [True, False, False])
        self.assertEqual(len(self.clients[1].recv(2000)), 14)

    def test_the_mtu(self) -> None:
        self.assertGreaterEqual(self.open(0).payload, 1500 - 48)

    def test_over_the_request_port(self) -> None:
        """From the address that was asked, and requests still go their way."""
        receiver = Receiver()
        requests = udp_socket(self.reactor, receiver, at(self.everywhere()))
        requests.bind()
        self.addCleanup(requests.stop)
        self.sockets.adopt(requests)
        port = requests.getHost().port
        client = self.clients[0]
        client.sendto(encode(ReadRequest(b"nbp")), (self.ours, port))
        self.sockets.doRead()
        ((data, peer, arrival),) = receiver.arrived
        self.assertEqual((data, arrival.destination), (encode(ReadRequest(b"nbp")), self.ours))
        opened = self.sockets.open(arrival.local, peer, self.transfers[0], over=requests)
        opened.send_part(self.piece, 0, 14)
        opened.send(b"x")
        self.assertTrue(opened.send_segments(self.piece.packets, 14))
        for length in (14, 1, 14, 14, 14):
            answer, source = client.recvfrom(2000)
            self.assertEqual((len(answer), source[:2]), (length, (self.ours, port)))
        for packet in (encode(Ack(1)), encode(ReadRequest(b"again"))):
            client.sendto(packet, (self.ours, port))
        self.sockets.doRead()
        self.assertEqual(self.transfers[0].packets, [encode(Ack(1))])
        self.assertEqual(receiver.arrived[1][0], encode(ReadRequest(b"again")))

    def everywhere(self) -> str:
        return "::" if self.family == socket.AF_INET6 else "0.0.0.0"


class SharedPort6Tests(SharedPortTests):
    """The same over IPv6."""

    family, ours, theirs = socket.AF_INET6, "::1", "::1"
