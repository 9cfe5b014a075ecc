"""What real clients sent, from the captures."""

from __future__ import annotations

from pathlib import Path

from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.pcap import Packet, read_packets

CAPTURES = Path(__file__).parents[2] / "captures"


def packets(capture: str, *ports: int) -> list[Packet]:
    """Return the DHCP requests to one of our ports in a capture."""
    found = read_packets((CAPTURES / f"{capture}.pcap").read_bytes())
    return [p for p in found if p.protocol == "udp" and p.destination_port in ports]


def first(capture: str, kind: Dhcp4Type, port: int = 67) -> Dhcp4Message:
    """Return the first message of a type in a capture."""
    messages = (decode(packet.payload) for packet in packets(capture, port))
    return next(each for each in messages if each.message_type == kind)
