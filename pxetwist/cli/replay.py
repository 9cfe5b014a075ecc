"""``pxetwist explain --pcap``: each request of a capture, and what it would be answered now."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pxetwist.cli.steps import Explanation
from pxetwist.errors import StartError, WireError
from pxetwist.exchange import dhcp4
from pxetwist.model.boot import Protocol
from pxetwist.model.content import ContentPath
from pxetwist.services.incoming import Incoming
from pxetwist.wire import dhcp4 as dhcp4_codec
from pxetwist.wire import tftp
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode
from pxetwist.wire.pcap import Packet, read_packets

_DHCP_PORTS = (dhcp4.SERVER_PORT, dhcp4.BINL_PORT)
_TFTP_PORT = 69


async def replay(explanation: Explanation, file: Path) -> None:
    """Explain the DHCP, TFTP and HTTP requests of a capture, in their order.

    :raises StartError: if the file cannot be read or is no capture.
    """
    try:
        packets = list(read_packets(file.read_bytes()))
    except (OSError, WireError) as error:
        raise StartError(f"{file}: {error}") from error
    began = packets[0].time if packets else 0.0
    for packet in packets:
        await _explain_packet(explanation, packet, f"{packet.time - began:8.3f} s")


async def _explain_packet(explanation: Explanation, packet: Packet, when: str) -> None:
    udp = packet.protocol == "udp"
    if udp and packet.destination_port in _DHCP_PORTS:
        await _explain_dhcp(explanation, packet, when)
    elif udp and packet.destination_port == _TFTP_PORT:
        await _explain_tftp(explanation, packet, when)
    elif not udp and packet.payload.startswith((b"GET ", b"HEAD ")):
        await _explain_http(explanation, packet, when)


async def _explain_dhcp(explanation: Explanation, packet: Packet, when: str) -> None:
    try:
        message = dhcp4_codec.decode(packet.payload)
    except WireError as error:
        explanation.say(f"{when}  malformed DHCP from {packet.source}: {error}")
        return
    if isinstance(dhcp4.classify(message, port=packet.destination_port), dhcp4.Silence):
        return  # replies of servers are heard on port 67 as well
    identity = dhcp4.identify(message)
    kind = message.message_type.name if message.message_type else "BOOTP"
    port = f" on port {packet.destination_port}" if packet.destination_port != 67 else ""
    architecture = identity.architecture.short if identity.architecture is not None else "?"
    who = f"{identity} ({identity.firmware.value}, {architecture})"
    explanation.say(f"{when}  {kind}{port} of {who}")
    incoming = Incoming(
        message,
        explanation.server,
        explanation.boot.now(),
        port=packet.destination_port,
        source=(packet.source, packet.source_port),
    )
    wanted = dhcp4.address_option(message, OptionCode.REQUESTED_ADDRESS) or identity.address
    if isinstance(wanted, IPv4Address) and message.message_type == Dhcp4Type.REQUEST:
        await explanation.assume(identity, wanted)
    await explanation.explain_incoming(incoming)


async def _explain_tftp(explanation: Explanation, packet: Packet, when: str) -> None:
    try:
        request = tftp.decode(packet.payload)
    except WireError as error:
        explanation.say(f"{when}  malformed TFTP from {packet.source}: {error}")
        return
    if not isinstance(request, tftp.ReadRequest):
        return
    options = " ".join(f"{name}={value}" for name, value in request.options)
    name = request.name.decode("latin-1")
    explanation.say(f"{when}  TFTP read of {name} by {packet.source} {options}".rstrip())
    await _explain_path(explanation, packet.source, Protocol.TFTP, request.name)


async def _explain_http(explanation: Explanation, packet: Packet, when: str) -> None:
    line = packet.payload.split(b"\r\n", 1)[0].decode("latin-1")
    explanation.say(f"{when}  HTTP {line} by {packet.source}")
    target = line.split(" ")[1] if line.count(" ") > 1 else ""
    path = unquote(urlsplit(target).path)
    await _explain_path(explanation, packet.source, Protocol.HTTP, path)


async def _explain_path(
    explanation: Explanation, source: str, protocol: Protocol, name: bytes | str
) -> None:
    try:
        path = ContentPath.parse(name)
        IPv4Address(source)
    except ValueError as error:
        explanation.say(f"refused: {error}", 1)
        return
    request = await explanation.request_from(source, protocol, path)
    await explanation.explain_content(path, request, whole=False)
