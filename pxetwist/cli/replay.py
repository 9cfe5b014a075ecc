"""``pxetwist explain --pcap``: each request of a capture, and what it would be answered now."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pxetwist.cli.steps import Explanation
from pxetwist.errors import StartError, WireError
from pxetwist.exchange import dhcp4, dhcp6
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.services.dhcp.incoming import Incoming
from pxetwist.wire import dhcp4 as dhcp4_codec
from pxetwist.wire import tftp
from pxetwist.wire.dhcp6 import unwrap
from pxetwist.wire.iana import Dhcp4Type, Dhcp6Type
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
    except OSError as error:
        raise StartError(f"{file}: {error.strerror}") from error
    except WireError as error:
        raise StartError(f"{file}: {error}") from error
    began = packets[0].time if packets else 0.0
    for packet in packets:
        await _explain_packet(explanation, packet, f"{packet.time - began:8.3f} s")


async def _explain_packet(explanation: Explanation, packet: Packet, when: str) -> None:
    udp = packet.protocol == "udp"
    if udp and packet.destination_port in _DHCP_PORTS:
        await _explain_dhcp(explanation, packet, when)
    elif udp and packet.destination_port == dhcp6.SERVER_PORT:
        await _explain_dhcp6(explanation, packet, when)
    elif udp and packet.destination_port == _TFTP_PORT:
        await _explain_tftp(explanation, packet, when)
    elif not udp and packet.payload.startswith((b"GET ", b"HEAD ")):
        await _explain_http(explanation, packet, when)


def _who(identity: ClientIdentity) -> str:
    architecture = identity.architecture.short if identity.architecture is not None else "?"
    return f"{identity} ({identity.firmware.value}, {architecture})"


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
    explanation.say(f"{when}  {kind}{port} of {_who(identity)}")
    incoming = Incoming.of(
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


async def _explain_dhcp6(explanation: Explanation, packet: Packet, when: str) -> None:
    server = explanation.server6
    if server is None:
        return
    try:
        message, relays = unwrap(packet.payload)
        incoming = server.incoming(message, IPv6Address(packet.source), relays)
        held = [each.address for ia in incoming.associations for each in ia.addresses]
    except WireError as error:
        explanation.say(f"{when}  malformed DHCPv6 from {packet.source}: {error}")
        return
    identity = incoming.identity
    explanation.say(f"{when}  {message.type.name} of {_who(identity)}")
    if message.type == Dhcp6Type.REQUEST:
        for address in held:  # the server of the capture gives them
            explanation.boot.locate(address, identity, incoming.now)
    await explanation.explain_message6(server, incoming)


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
        ip_address(source)
    except ValueError as error:
        explanation.say(f"refused: {error}", 1)
        return
    request = await _request_from(explanation, source, protocol, path)
    await explanation.explain_content(path, request, whole=False)


async def _request_from(
    explanation: Explanation, peer: str, protocol: Protocol, path: ContentPath
) -> BootRequest:
    """Resolve a request for content from an address."""
    boot, server6 = explanation.boot, explanation.server6
    identity, boot_id = await boot.identify(peer, boot.now())
    ours = server6.address if server6 is not None and ":" in peer else explanation.server
    endpoints = Endpoints(str(ours), boot.http_port)
    request = BootRequest(identity, BootStage.LOADER, protocol, path, endpoints, boot_id=boot_id)
    return (await boot.resolve(request)).request
