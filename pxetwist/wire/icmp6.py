"""Router solicitations and advertisements (RFC 4861 §4, RFC 8106)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.cursor import Reader, Writer
from pxetwist.wire.dhcp6_options import write_addresses, write_names

ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134

_SOURCE_LINK_LAYER, _PREFIX, _MTU, _RDNSS, _DNSSL = 1, 3, 5, 25, 31
_MANAGED, _OTHER = 0x80, 0x40
_ON_LINK, _AUTONOMOUS = 0x80, 0x40


@attrs.frozen
class Prefix:
    """A prefix of the link (§4.6.2); lifetimes in seconds."""

    network: IPv6Network
    on_link: bool = True
    autonomous: bool = False
    valid: int = 86400
    preferred: int = 14400


@attrs.frozen
class RouterAdvertisement:
    """What a router says; a `lifetime` of 0 means: I am no default router (§4.2).

    `managed` sends hosts to DHCPv6 for addresses, `other` for everything else.
    """

    managed: bool = False
    other: bool = False
    lifetime: int = 0
    hop_limit: int = 64
    mac: bytes = b""
    mtu: int = 0
    prefixes: tuple[Prefix, ...] = ()
    name_servers: tuple[IPv6Address, ...] = ()
    search: tuple[str, ...] = ()
    dns_lifetime: int = 0


def is_solicitation(data: bytes) -> bool:
    """Whether these are the bytes of a valid router solicitation (§6.1.1), from ICMP's type on;
    the kernel has checked the sum.

    :raises WireError: if its options are broken.
    """
    reader = Reader(data)
    if reader.uint8() != ROUTER_SOLICITATION or reader.uint8() != 0:
        return False
    reader.octets(6)
    _check_options(reader)
    return True


def _check_options(reader: Reader) -> None:
    while reader.remaining:
        reader.uint8()
        units = reader.uint8()
        if not units:
            raise WireError("an option of no length", reader.position)
        reader.octets(units * 8 - 2)


def encode_advertisement(said: RouterAdvertisement) -> bytes:
    """Write an advertisement with a checksum of 0, which a raw socket fills in (RFC 3542 §3.1).

    :raises WireError: if a search domain is malformed.
    """
    flags = (_MANAGED if said.managed else 0) | (_OTHER if said.other else 0)
    writer = Writer().uint8(ROUTER_ADVERTISEMENT).uint8(0).uint16(0)
    writer.uint8(said.hop_limit).uint8(flags).uint16(said.lifetime).uint32(0).uint32(0)
    if said.mac:
        _option(writer, _SOURCE_LINK_LAYER, said.mac)
    if said.mtu:
        _option(writer, _MTU, bytes(2) + said.mtu.to_bytes(4, "big"))
    for prefix in said.prefixes:
        _option(writer, _PREFIX, _prefix(prefix))
    life = said.dns_lifetime.to_bytes(4, "big")
    if said.name_servers:
        _option(writer, _RDNSS, bytes(2) + life + write_addresses(said.name_servers))
    if said.search:
        _option(writer, _DNSSL, bytes(2) + life + write_names(said.search))
    return writer.getvalue()


def _prefix(prefix: Prefix) -> bytes:
    flags = (_ON_LINK if prefix.on_link else 0) | (_AUTONOMOUS if prefix.autonomous else 0)
    writer = Writer().uint8(prefix.network.prefixlen).uint8(flags)
    writer.uint32(prefix.valid).uint32(prefix.preferred).uint32(0)
    return writer.octets(prefix.network.network_address.packed).getvalue()


def _option(writer: Writer, kind: int, body: bytes) -> None:
    """Write an option: its length counts units of 8 bytes, what is left is zeros (§4.6)."""
    units = (len(body) + 9) // 8
    writer.uint8(kind).uint8(units).padded(body, units * 8 - 2)
