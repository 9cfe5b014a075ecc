"""The values of DHCPv6 options: addresses, classes, identifiers, what boots (RFC 8415 §21)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.cursor import Reader, Writer
from pxetwist.wire.dhcp6 import NO_OPTIONS, Options6, read_options, write_options
from pxetwist.wire.iana import Dhcp6Option as O
from pxetwist.wire.iana import Dhcp6Status, DuidType, HardwareType
from pxetwist.wire.shapes import read_text

#: A time that never comes (RFC 8415 §7.7).
INFINITY = 0xFFFFFFFF
#: The enterprise number under which PXE and HTTP boot clients speak (Intel's).
BOOT_ENTERPRISE = 343


@attrs.frozen
class IaAddress:
    """One address of an IA_NA, with its lifetimes in seconds (§21.6)."""

    address: IPv6Address
    preferred: int = 0
    valid: int = 0
    options: Options6 = NO_OPTIONS


@attrs.frozen
class IaNa:
    """An identity association for addresses (§21.4); `t1` and `t2` in seconds."""

    iaid: int
    t1: int = 0
    t2: int = 0
    options: Options6 = NO_OPTIONS

    @property
    def addresses(self) -> tuple[IaAddress, ...]:
        """The addresses in it.

        :raises WireError: if one of them is broken.
        """
        return tuple(read_ia_address(raw) for raw in self.options.all(O.IA_ADDRESS))


def read_ia_na(raw: bytes) -> IaNa:
    """Read option 3.

    :raises WireError: if it is broken.
    """
    reader = Reader(raw)
    return IaNa(reader.uint32(), reader.uint32(), reader.uint32(), read_options(reader))


def write_ia_na(ia: IaNa) -> bytes:
    """Write option 3."""
    writer = Writer().uint32(ia.iaid).uint32(ia.t1).uint32(ia.t2)
    return writer.octets(write_options(ia.options)).getvalue()


def read_ia_address(raw: bytes) -> IaAddress:
    """Read option 5.

    :raises WireError: if it is broken.
    """
    reader = Reader(raw)
    address = IPv6Address(reader.octets(16))
    return IaAddress(address, reader.uint32(), reader.uint32(), read_options(reader))


def write_ia_address(address: IaAddress) -> bytes:
    """Write option 5."""
    writer = Writer().octets(address.address.packed)
    writer.uint32(address.preferred).uint32(address.valid)
    return writer.octets(write_options(address.options)).getvalue()


def read_status(raw: bytes) -> tuple[Dhcp6Status, str]:
    """Read option 13.

    :raises WireError: if it is short.
    """
    reader = Reader(raw)
    return Dhcp6Status(reader.uint16()), read_text(reader.rest())


def write_status(status: Dhcp6Status, text: str = "") -> bytes:
    """Write option 13."""
    return Writer().uint16(status).octets(text.encode()).getvalue()


def read_addresses(raw: bytes) -> tuple[IPv6Address, ...]:
    """Read a list of addresses, as options 23 and 31 are.

    :raises WireError: if it is not made of whole addresses.
    """
    if len(raw) % 16:
        raise WireError(f"addresses in {len(raw)} bytes")
    return tuple(IPv6Address(raw[at : at + 16]) for at in range(0, len(raw), 16))


def write_addresses(addresses: Iterable[IPv6Address]) -> bytes:
    """Write a list of addresses."""
    return b"".join(address.packed for address in addresses)


def read_texts(raw: bytes) -> tuple[bytes, ...]:
    """Read data with two bytes of length before each: user classes (15), parameters (60).

    :raises WireError: if one reaches beyond the end.
    """
    reader, found = Reader(raw), []
    while reader.remaining:
        found.append(reader.octets(reader.uint16()))
    return tuple(found)


def write_texts(texts: Iterable[bytes]) -> bytes:
    """Write data with two bytes of length before each."""
    return b"".join(len(text).to_bytes(2, "big") + text for text in texts)


def read_vendor_class(raw: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Read option 16: an enterprise number and what it says.

    :raises WireError: if it is broken.
    """
    reader = Reader(raw)
    return reader.uint32(), read_texts(reader.rest())


def write_vendor_class(enterprise: int, texts: Iterable[bytes]) -> bytes:
    """Write option 16."""
    return Writer().uint32(enterprise).octets(write_texts(texts)).getvalue()


def read_names(raw: bytes) -> tuple[str, ...]:
    """Read option 24: domain names in the format of the DNS, uncompressed (RFC 1035 §3.1).

    :raises WireError: if a name does not end, or a label is longer than 63 bytes.
    """
    reader, names = Reader(raw), []
    while reader.remaining:
        labels = []
        while size := reader.uint8():
            if size > 63:
                raise WireError(f"a label of {size} bytes", reader.position)
            labels.append(read_text(reader.octets(size)))
        names.append(".".join(labels))
    return tuple(names)


def write_names(names: Iterable[str]) -> bytes:
    """Write option 24.

    :raises WireError: if a label is empty or longer than 63 bytes.
    """
    writer = Writer()
    for name in names:
        for label in name.rstrip(".").encode().split(b"."):
            if not 0 < len(label) < 64:
                raise WireError(f"a label of {len(label)} bytes in {name!r}")
            writer.uint8(len(label)).octets(label)
        writer.uint8(0)
    return writer.getvalue()


def read_fqdn(raw: bytes) -> str:
    """Read the name of option 39 (RFC 4704), which may lack its end.

    :raises WireError: if it is broken.
    """
    reader, labels = Reader(raw), []
    reader.uint8()
    while reader.remaining and (size := reader.uint8()):
        labels.append(read_text(reader.octets(size)))
    return ".".join(labels)


def duid_mac(duid: bytes) -> str:
    """Return the MAC address in a DUID-LLT or DUID-LL of Ethernet; empty if it has none."""
    kind = int.from_bytes(duid[:2], "big")
    hardware = {DuidType.LINK_LAYER_TIME: duid[8:], DuidType.LINK_LAYER: duid[4:]}.get(
        DuidType(kind), b""
    )
    ethernet = int.from_bytes(duid[2:4], "big") == HardwareType.ETHERNET
    return hardware.hex(":") if ethernet and len(hardware) == 6 else ""


def duid_uuid(duid: bytes) -> bytes:
    """Return the 16 bytes of a DUID-UUID (RFC 6355); empty if it is none."""
    return duid[2:] if len(duid) == 18 and duid[:2] == b"\0\4" else b""


def link_layer_mac(raw: bytes) -> str:
    """Return the MAC address of option 79 (RFC 6939); empty if it is not Ethernet's."""
    return raw[2:].hex(":") if len(raw) == 8 and raw[:2] == b"\0\1" else ""
