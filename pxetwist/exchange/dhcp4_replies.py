"""DHCPv4 replies, each derived from its request."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import WireError
from pxetwist.exchange.dhcp4 import NOWHERE
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.lease import Lease, Network
from pxetwist.wire.dhcp4 import Dhcp4Message, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O

#: Sent whatever the parameter request list says (RFC 2131 table 3, PXE 2.1 §2.4).
_FORCED = frozenset(
    {O.MESSAGE_TYPE, O.SERVER_ID, O.LEASE_TIME, O.RENEWAL_TIME, O.REBINDING_TIME, O.SUBNET_MASK}
    | {O.CLIENT_ID, O.RELAY_AGENT, O.CLIENT_MACHINE_ID, O.SUBNET_SELECTION, O.MESSAGE}
    | {O.VENDOR_CLASS, O.VENDOR_SPECIFIC, O.TFTP_SERVER_NAME, O.BOOT_FILE, O.IPXE}
)
#: These go first, in every reply that has them.
_FIRST = (O.MESSAGE_TYPE, O.SERVER_ID, O.LEASE_TIME, O.SUBNET_MASK)
#: Never dropped when the reply grows too long.
_KEPT = _FORCED | {O.ROUTERS}
#: Echoed byte for byte (RFC 6842, RFC 3046 §2.2, PXE 2.1; GRUB reads its UUID from the reply).
_ECHOED = (O.CLIENT_ID, O.CLIENT_MACHINE_ID, O.SUBNET_SELECTION, O.RELAY_AGENT)

#: iPXE: do not wait 2 s for a ProxyDHCP offer, we are the DHCP server (option 175.176).
_NO_PXEDHCP = bytes.fromhex("b00101")
_LARGEST_NAME = 127


@attrs.frozen
class BootData:
    """What a client is to load: a path on the boot server, or a URL."""

    file: str
    server: IPv4Address


def address_reply(
    request: Dhcp4Message,
    identity: ClientIdentity,
    kind: Dhcp4Type,
    *,
    lease: Lease,
    network: Network,
    server: IPv4Address,
    boot: BootData | None,
    hostname: str = "",
) -> Dhcp4Message:
    """Build an OFFER or an ACK for a lease. The boot data is the same in both (EDK2 boots from
    the ACK). Option 60 goes to HTTP clients only: with it but without option 43 EDK2 would ask
    port 4011 (quirk D1).
    """
    options: dict[int, bytes] = {
        O.SERVER_ID: server.packed,
        O.LEASE_TIME: network.lease_time.to_bytes(4, "big"),
        O.RENEWAL_TIME: (network.lease_time // 2).to_bytes(4, "big"),
        O.REBINDING_TIME: (network.lease_time * 7 // 8).to_bytes(4, "big"),
        **network_options(network, hostname),
    }
    if boot is not None:
        options |= boot_options(identity, boot)
        if identity.firmware is Firmware.UEFI_HTTP:
            options[O.VENDOR_CLASS] = b"HTTPClient"
    if identity.firmware is Firmware.IPXE:
        options[O.IPXE] = _NO_PXEDHCP
    assert isinstance(lease.address, IPv4Address)
    return _reply(request, kind, options, yiaddr=lease.address, boot=boot)


def inform_reply(
    request: Dhcp4Message,
    identity: ClientIdentity,
    network: Network,
    server: IPv4Address,
    boot: BootData | None,
) -> Dhcp4Message:
    """Build the ACK to an INFORM: no address, no times (RFC 2131 §4.3.5)."""
    options: dict[int, bytes] = {O.SERVER_ID: server.packed, **network_options(network, "")}
    if boot is not None:
        options |= boot_options(identity, boot)
    return _reply(request, Dhcp4Type.ACK, options, boot=boot)


def bootp_reply(
    request: Dhcp4Message, address: IPv4Address, network: Network, boot: BootData | None
) -> Dhcp4Message:
    """Build a BOOTREPLY for a reserved address (RFC 951, RFC 1534)."""
    options = network_options(network, "") if request.is_dhcp else {}
    return _reply(request, None, options, yiaddr=address, boot=boot)


def nak(request: Dhcp4Message, server: IPv4Address, reason: str) -> Dhcp4Message:
    """Build a NAK; a relay must broadcast it, hence the flag (RFC 2131 §4.3.2)."""
    options: dict[int, bytes] = {O.SERVER_ID: server.packed, O.MESSAGE: reason.encode()}
    reply = _reply(request, Dhcp4Type.NAK, options)
    flags = reply.flags | (0x8000 if int(request.giaddr) else 0)
    return attrs.evolve(reply, ciaddr=NOWHERE, flags=flags)


def addressless_reply(
    request: Dhcp4Message, kind: Dhcp4Type, options: Mapping[int, bytes], boot: BootData
) -> Dhcp4Message:
    """Build a reply that gives boot data and no address."""
    return _reply(request, kind, options, boot=boot)


def network_options(network: Network, hostname: str) -> dict[int, bytes]:
    """What a network tells its clients."""
    net = network.network
    options: dict[int, bytes] = {
        O.SUBNET_MASK: net.netmask.packed,
        O.ROUTERS: _addresses(network.routers),
        O.DOMAIN_NAME_SERVERS: _addresses(network.name_servers),
        O.HOST_NAME: hostname.encode(),
        O.DOMAIN_NAME: network.domain.encode(),
        O.BROADCAST: net.broadcast_address.packed,
        O.NTP_SERVERS: _addresses(network.time_servers),
        **network.options,
    }
    return {code: value for code, value in options.items() if value}


def boot_options(identity: ClientIdentity, boot: BootData) -> dict[int, bytes]:
    """Options 66 and 67. ROMs that read them as C strings get a NUL that counts (quirk D13)."""
    end = b"\0" if identity.firmware in (Firmware.BIOS, Firmware.UEFI) else b""
    return {
        O.TFTP_SERVER_NAME: str(boot.server).encode() + end,
        O.BOOT_FILE: boot.file.encode() + end,
    }


def _addresses(addresses: tuple[IPv4Address, ...]) -> bytes:
    return b"".join(address.packed for address in addresses)


def _reply(
    request: Dhcp4Message,
    kind: Dhcp4Type | None,
    options: Mapping[int, bytes],
    yiaddr: IPv4Address = NOWHERE,
    boot: BootData | None = None,
) -> Dhcp4Message:
    """Derive a reply: xid, flags, giaddr, chaddr and the echoed options are the request's."""
    merged = dict(options)
    if kind is not None:
        merged[O.MESSAGE_TYPE] = bytes([kind])
        merged |= {code: request.options[code] for code in _ECHOED if code in request.options}
    name = boot.file.encode() if boot else b""
    return Dhcp4Message(
        op=Dhcp4Op.REPLY,
        htype=request.htype,
        hlen=request.hlen,
        xid=request.xid,
        flags=request.flags & 0x8000,
        ciaddr=NOWHERE if kind in (Dhcp4Type.OFFER, None) else request.ciaddr,
        yiaddr=yiaddr,
        siaddr=boot.server if boot else NOWHERE,
        giaddr=request.giaddr,
        chaddr=request.chaddr,
        sname=str(boot.server).encode() if boot else b"",
        # A longer URL lives in option 67 only; loaders that read the header could not use it.
        file=name if len(name) <= _LARGEST_NAME else b"",
        options=_ordered(request, merged),
        is_dhcp=request.is_dhcp,
    )


def _ordered(request: Dhcp4Message, options: dict[int, bytes]) -> dict[int, bytes]:
    """Keep what was asked for or must be sent, in the order asked (RFC 2132 §9.8)."""
    asked = request.options.get(O.PARAMETER_REQUEST_LIST)
    asked = bytes(options) if asked is None else asked
    return {
        code: options[code]
        for code in (*_FIRST, *asked, *options)
        if code in options and (code in _FORCED or code in asked)
    }


def encode_reply(request: Dhcp4Message, reply: Dhcp4Message) -> bytes:
    """Encode within what the client takes (option 57), dropping what it can do without.

    The option counts the IP datagram by the letter and the payload in practice; the smaller
    reading is always safe. EDK2 claims 65280 (bytes swapped): clamped to an Ethernet frame.
    """
    asked = int.from_bytes(request.options.get(O.MAX_MESSAGE_SIZE, b""), "big")
    limit = min(max(asked, 576), 1500) - 28
    droppable = [code for code in reply.options if code not in _KEPT]
    while True:
        try:
            return encode(reply, limit)
        except WireError:
            if not droppable:
                raise
            dropped = droppable.pop()
        options = {code: reply.options[code] for code in reply.options if code != dropped}
        reply = attrs.evolve(reply, options=options)
