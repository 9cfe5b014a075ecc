"""What went over the bridge, frame by frame."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import attrs

from bootlab.network import Lan

_IPV4, _ARP, _IPV6, _TCP, _UDP = 0x0800, 0x0806, 0x86DD, 6, 17
_READ_REQUEST = b"\0\1"  # TFTP's opcode


@attrs.frozen
class Frame:
    """One Ethernet frame; `time` is in seconds since the epoch."""

    time: float
    source: str
    destination: str
    kind: int  # EtherType
    payload: bytes

    @property
    def udp(self) -> Datagram | None:
        """The UDP datagram inside, if it is one."""
        return self._inside(_UDP, lambda transport: 8)

    @property
    def tcp(self) -> Datagram | None:
        """The TCP segment inside, if it is one."""
        return self._inside(_TCP, lambda transport: (transport[12] >> 4) * 4)

    @property
    def request(self) -> tuple[str, str] | None:
        """The protocol and path that a client asks for, if this frame does that."""
        datagram, segment = self.udp, self.tcp
        if datagram and datagram.destination_port == 69 and datagram.payload[:2] == _READ_REQUEST:
            return "tftp", datagram.payload[2:].partition(b"\0")[0].decode().lstrip("/")
        if segment and segment.destination_port == 80 and segment.payload[:4] == b"GET ":
            return "http", segment.payload.split(b" ", 2)[1].decode().lstrip("/")
        return None

    def _inside(self, protocol: int, header: Callable[[bytes], int]) -> Datagram | None:
        packet = self.payload
        if (self.kind, packet[9]) == (_IPV4, protocol):
            addresses, start, end = packet[12:20], (packet[0] & 15) * 4, packet[2:4]
        elif (self.kind, packet[6]) == (_IPV6, protocol):  # without extension headers
            addresses, start, end = packet[8:40], 40, packet[4:6]
        else:
            return None
        behind = 40 if self.kind == _IPV6 else 0  # where the length counts from
        transport = packet[start : behind + int.from_bytes(end, "big")]
        ports = struct.unpack_from(">HH", transport)
        half = len(addresses) // 2
        sender, receiver = ip_address(addresses[:half]), ip_address(addresses[half:])
        return Datagram(sender, ports[0], receiver, ports[1], transport[header(transport) :])

    def answers(self, mac: str) -> bool:
        """Whether this is IPv4 or ARP for this machine, by its address or by its DHCP."""
        if self.kind not in (_IPV4, _ARP):
            return False
        return self.destination == mac or self.dhcp_client == (2, mac)

    @property
    def dhcp_client(self) -> tuple[int, str] | None:
        """Of a DHCP message: 1 if it is from a client, 2 if for one, and the client's MAC."""
        inside = self.udp
        if inside is None or not {67, 68, 4011} & {inside.source_port, inside.destination_port}:
            return None
        return inside.payload[0], inside.payload[28:34].hex(":")


@attrs.frozen
class Datagram:
    """One UDP datagram or TCP segment."""

    source: IPv4Address | IPv6Address
    source_port: int
    destination: IPv4Address | IPv6Address
    destination_port: int
    payload: bytes


class Capture:
    """A running capture of everything that passes the bridge."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self.file = folder / "network.pcap"
        self._process = lan.server.start(
            # Debian's tcpdump gives up root, but the folder is root's
            [
                *("tcpdump", "-Z", "root", "-n", "-U", "--immediate-mode"),
                *("-i", lan.bridge, "-s", "700", "-w", str(self.file)),
            ],
            folder / "tcpdump.log",
        )
        self._process.wait_for("listening on", 10)

    def frames(self) -> list[Frame]:
        """Return what was captured so far."""
        return list(_frames(self.file.read_bytes()))

    def requests(self) -> list[tuple[str, str]]:
        """Return what clients asked for over ``tftp`` and ``http`` so far, in order."""
        return [each for frame in self.frames() if (each := frame.request)]

    def close(self) -> None:
        """End the capture."""
        self._process.stop()


def _frames(data: bytes) -> Iterator[Frame]:
    """Read a pcap file in this machine's byte order, as tcpdump writes it."""
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, length = struct.unpack_from("=III", data, at)
        frame = data[at + 16 : at + 16 + length]
        at += 16 + length
        if len(frame) == length >= 34:
            yield Frame(
                seconds + fraction / 1e6,
                frame[6:12].hex(":"),
                frame[:6].hex(":"),
                int.from_bytes(frame[12:14], "big"),
                frame[14:],
            )
