"""DHCPv4 replies, each derived from its request."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import WireError
from pxetwist.exchange.dhcp4 import NOWHERE
from pxetwist.exchange.dhcp4_options import renewal_times
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.lease import Lease
from pxetwist.wire import pxe
from pxetwist.wire.dhcp4 import Dhcp4Message, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O

#: Sent whatever the parameter request list says (RFC 2131 table 3, PXE 2.1 §2.4).
_FORCED = frozenset(
    {O.MESSAGE_TYPE, O.SERVER_ID, O.LEASE_TIME, O.RENEWAL_TIME, O.REBINDING_TIME, O.SUBNET_MASK}
    | {O.CLIENT_ID, O.RELAY_AGENT, O.CLIENT_MACHINE_ID, O.SUBNET_SELECTION, O.MESSAGE}
    | {O.VENDOR_CLASS, O.VENDOR_SPECIFIC, O.TFTP_SERVER_NAME, O.BOOT_FILE, O.IPXE}
    # PXELINUX reads them from the packets of ROMs that never heard of them (quirk D21).
    | {O.RAPID_COMMIT, O.PXELINUX_MAGIC, O.PXELINUX_CONFIG, O.PXELINUX_PREFIX}
    | {O.PXELINUX_REBOOT_TIME}
)
#: These go first, in every reply that has them.
_FIRST = (O.MESSAGE_TYPE, O.SERVER_ID, O.LEASE_TIME, O.SUBNET_MASK)
#: Dropped last when the reply grows too long; a relay agent that cannot be told apart any more
#: is better than no reply (RFC 3046 §2.2).
_KEPT = _FORCED | {O.ROUTERS}
#: What of it goes in the end; the last one first.
_LAST_RESORT = (
    *(O.RELAY_AGENT, O.CLIENT_ID, O.CLIENT_MACHINE_ID, O.PXELINUX_MAGIC, O.PXELINUX_CONFIG),
    *(O.PXELINUX_PREFIX, O.PXELINUX_REBOOT_TIME, O.TFTP_SERVER_NAME, O.REBINDING_TIME),
    *(O.RENEWAL_TIME, O.MESSAGE),
)
#: What systems put together again when it is long (RFC 3396); of others nobody expects it.
LONG = (
    *(O.VENDOR_SPECIFIC, O.BOOT_FILE, O.DOMAIN_SEARCH, O.CLASSLESS_ROUTES, O.MICROSOFT_ROUTES),
    *(O.VENDOR_IDENTIFYING_CLASS, O.VENDOR_IDENTIFYING_INFORMATION),
)
#: How vendor classes of firmware and loaders begin.
_SIMPLE_READERS = (b"PXEClient", b"HTTPClient", b"U-Boot")
#: Texts that Microsoft's clients read up to a NUL, which must be there (quirk D14).
_MICROSOFT, _TEXTS = b"MSFT", (O.HOST_NAME, O.DOMAIN_NAME, O.PROXY_AUTODISCOVERY)
#: Echoed byte for byte (RFC 6842, RFC 3046 §2.2, PXE 2.1; GRUB reads its UUID from the reply).
_ECHOED = (O.CLIENT_ID, O.CLIENT_MACHINE_ID, O.SUBNET_SELECTION, O.RELAY_AGENT)

#: iPXE: do not wait 2 s for a ProxyDHCP offer, we are the DHCP server (option 175.176).
_NO_PXEDHCP = bytes.fromhex("b00101")
#: The menu that the ROM of a Raspberry Pi looks for before it believes a reply (quirk B22).
RASPBERRY_PI_MENU = pxe.encode_vendor(
    {
        pxe.DISCOVERY_CONTROL: b"\x08",
        pxe.BOOT_MENU: pxe.menu_item(0, b"Raspberry Pi Boot"),
        pxe.MENU_PROMPT: b"\0PXE",
    }
)
#: So much of a name has room in the header.
LARGEST_NAME = 127


@attrs.frozen
class Told:
    """What the site tells a client: options by number, some of them even unasked, and the next
    server of one that does not boot from here.
    """

    options: Mapping[int, bytes] = attrs.field(factory=dict)
    always: frozenset[int] = frozenset()
    next_server: IPv4Address = NOWHERE

    @property
    def elsewhere(self) -> BootData | None:
        """The header's part of what such a client reads."""
        name = self.options.get(O.BOOT_FILE, b"").rstrip(b"\0").decode("utf-8", "replace")
        return BootData(name, self.next_server) if name or int(self.next_server) else None


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
    seconds: int,
    server: IPv4Address,
    told: Told,
    boot: BootData | None,
    rapid: bool = False,
) -> Dhcp4Message:
    """Build an OFFER or an ACK for a lease of so many seconds. The boot data is the same in both
    (EDK2 boots from the ACK). Option 60 goes to HTTP clients and, with option 43, to Raspberry Pi
    boards only: with it alone EDK2 would ask port 4011 (quirk D1). `rapid` says that an ACK
    answers a DISCOVER (RFC 4039).
    """
    renewal, rebinding = renewal_times(seconds, told.options)
    options: dict[int, bytes] = {
        **told.options,
        O.SERVER_ID: server.packed,
        O.LEASE_TIME: seconds.to_bytes(4, "big"),
        O.RENEWAL_TIME: renewal.to_bytes(4, "big"),
        O.REBINDING_TIME: rebinding.to_bytes(4, "big"),
    }
    _end_texts(request, options)
    if rapid:
        options[O.RAPID_COMMIT] = b""
    if boot is not None:
        options |= boot_options(identity, boot)
        if identity.firmware is Firmware.UEFI_HTTP:
            options[O.VENDOR_CLASS] = b"HTTPClient"
        if identity.firmware is Firmware.RASPBERRY_PI:
            options[O.VENDOR_CLASS] = b"PXEClient"
            options[O.VENDOR_SPECIFIC] = RASPBERRY_PI_MENU
    if identity.firmware is Firmware.IPXE:
        options[O.IPXE] = told.options.get(O.IPXE, b"") + _NO_PXEDHCP
    assert isinstance(lease.address, IPv4Address)
    header = boot or told.elsewhere
    return _reply(request, kind, options, yiaddr=lease.address, boot=header, always=told.always)


def inform_reply(
    request: Dhcp4Message,
    identity: ClientIdentity,
    server: IPv4Address,
    told: Told,
    boot: BootData | None,
) -> Dhcp4Message:
    """Build the ACK to an INFORM: no address, no times (RFC 2131 §4.3.5)."""
    times = (O.RENEWAL_TIME, O.REBINDING_TIME)
    options = {code: value for code, value in told.options.items() if code not in times}
    _end_texts(request, options)
    options[O.SERVER_ID] = server.packed
    if boot is not None:
        options |= boot_options(identity, boot)
    header = boot or told.elsewhere
    return _reply(request, Dhcp4Type.ACK, options, boot=header, always=told.always)


def _end_texts(request: Dhcp4Message, options: dict[int, bytes]) -> None:
    if request.options.get(O.VENDOR_CLASS, b"").startswith(_MICROSOFT):
        options |= {code: options[code] + b"\0" for code in _TEXTS if code in options}


def bootp_reply(
    request: Dhcp4Message, lease: Lease, told: Told, boot: BootData | None
) -> Dhcp4Message:
    """Build a BOOTREPLY (RFC 951); options are for those who sent some (RFC 1534)."""
    options = told.options if request.is_dhcp else {}
    assert isinstance(lease.address, IPv4Address)
    return _reply(request, None, options, yiaddr=lease.address, boot=boot or told.elsewhere)


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


def boot_options(identity: ClientIdentity, boot: BootData) -> dict[int, bytes]:
    """Options 66 and 67. ROMs that read them as C strings get a NUL that counts (quirk D13)."""
    end = b"\0" if identity.firmware in (Firmware.BIOS, Firmware.UEFI) else b""
    return {
        O.TFTP_SERVER_NAME: str(boot.server).encode() + end,
        O.BOOT_FILE: boot.file.encode() + end,
    }


def _reply(
    request: Dhcp4Message,
    kind: Dhcp4Type | None,
    options: Mapping[int, bytes],
    *,
    yiaddr: IPv4Address = NOWHERE,
    boot: BootData | None = None,
    always: Collection[int] = (),
) -> Dhcp4Message:
    """Derive a reply: xid, flags, giaddr, chaddr and the echoed options are the request's."""
    merged = dict(options)
    if kind is not None:
        merged[O.MESSAGE_TYPE] = bytes([kind])
        merged |= {code: request.options[code] for code in _ECHOED if code in request.options}
    elif O.RELAY_AGENT in request.options:
        merged[O.RELAY_AGENT] = request.options[O.RELAY_AGENT]
    # In a DISCOVER, also one that is answered at once, it means nothing (quirk C12).
    idle = kind in (Dhcp4Type.OFFER, None) or request.message_type == Dhcp4Type.DISCOVER
    name = boot.file.encode() if boot else b""
    return Dhcp4Message(
        op=Dhcp4Op.REPLY,
        htype=request.htype,
        hlen=request.hlen,
        xid=request.xid,
        flags=request.flags & 0x8000,
        ciaddr=NOWHERE if idle else request.ciaddr,
        yiaddr=yiaddr,
        siaddr=boot.server if boot else NOWHERE,
        giaddr=request.giaddr,
        chaddr=request.chaddr,
        sname=str(boot.server).encode() if boot and int(boot.server) else b"",
        # A longer URL lives in option 67 only; loaders that read the header could not use it.
        file=name if len(name) <= LARGEST_NAME else b"",
        options=_ordered(request, merged, always),
        is_dhcp=request.is_dhcp,
    )


def _ordered(
    request: Dhcp4Message, options: dict[int, bytes], always: Collection[int]
) -> dict[int, bytes]:
    """Keep what was asked for or must be sent, in the order asked (RFC 2132 §9.8)."""
    asked = request.options.get(O.PARAMETER_REQUEST_LIST)
    if asked is None:
        asked = bytes(code for code in options if code != O.MICROSOFT_ROUTES)
    return {
        code: options[code]
        for code in (*_FIRST, *asked, *options)
        if code in options and (code in _FORCED or code in asked or code in always)
    }


def encode_reply(request: Dhcp4Message, reply: Dhcp4Message) -> bytes:
    """Encode within what the client takes (option 57), dropping what it can do without.

    The option counts the IP datagram by the letter and the payload in practice; the smaller
    reading is always safe. EDK2 claims 65280 (bytes swapped): clamped to an Ethernet frame.
    BOOTP clients know 300 bytes (RFC 951). Firmware and loaders neither look into overloaded
    fields nor put long values together: EDK2 and iPXE take the first part for the whole.
    """
    asked = int.from_bytes(request.options.get(O.MAX_MESSAGE_SIZE, b""), "big")
    limit = min(max(asked, 576), 1500) - 28 if request.message_type is not None else 300
    simple = request.options.get(O.VENDOR_CLASS, b"").startswith(_SIMPLE_READERS)
    split = _ECHOED if simple else (*_ECHOED, *LONG)
    droppable: list[int] | None = None
    while True:
        try:
            return encode(reply, limit, overload=not simple, split=split)
        except WireError:
            options = dict(reply.options)
            if droppable is None:
                droppable = [*_LAST_RESORT, *(code for code in options if code not in _KEPT)]
            if not droppable:
                raise
            options.pop(droppable.pop(), None)
            reply = attrs.evolve(reply, options=options)
