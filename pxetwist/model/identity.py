"""Who is asking: what a packet or a connection proves about its sender."""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

import attrs

from pxetwist.wire.iana import Architecture

#: The numbers of HTTP and HTTPS among iPXE's features (option 175).
IPXE_HTTP, IPXE_HTTPS = 0x13, 0x14

_MAC = re.compile(r"[0-9a-f]{12}")

#: UUIDs that boards carry by the thousand: they identify nobody (field lists of such values).
_SHARED_UUIDS = frozenset(
    {
        UUID(int=0),
        UUID(int=(1 << 128) - 1),
        UUID("03000200-0400-0500-0006-000700080009"),
        UUID("00020003-0004-0005-0006-000700080009"),
    }
)

_SHARED_RAW = frozenset(raw for each in _SHARED_UUIDS for raw in (each.bytes, each.bytes_le))

#: What makers leave in SMBIOS where a serial number or an asset tag belongs.
_SHARED_MARKS = frozenset(
    each.strip()
    for each in """
    none|null|n/a|na|unknown|empty|oem|o.e.m.|invalid|default string|default|not available
    not specified|not applicable|not settable|to be filled by o.e.m.|to be filled by oem
    system serial number|chassis serial number|base board serial number|serial number
    asset tag|no asset tag|no asset information|asset-1234567890|123456789|1234567890|0123456789
    system serial|sys-1234567890|chassis asset tag|system asset tag|standard|type1sku0|tbd
    """.replace("\n", "|").split("|")
)
_FILLERS = " .-_*?0x"


#: OUIs of Raspberry Pi boards, whose ROM calls itself a BIOS (quirk C10).
RASPBERRY_PI = (
    *("b8:27:eb", "dc:a6:32", "e4:5f:01", "28:cd:c1", "d8:3a:dd", "2c:cf:67", "88:a2:9e"),
)


class Firmware(enum.Enum):
    """Who is speaking now; selects the NBP, as the architecture selects the system."""

    BIOS = "bios"
    UEFI = "uefi"
    UEFI_HTTP = "uefi-http"
    IPXE = "ipxe"
    UBOOT = "u-boot"
    RASPBERRY_PI = "raspberry-pi"
    SYSTEM = "system"  # the DHCP client of an operating system or an initramfs
    UNKNOWN = "unknown"

    @property
    def boots(self) -> bool:
        """Whether it starts a file that it is told."""
        return self not in (Firmware.SYSTEM, Firmware.UNKNOWN)


def parse_mac(text: str) -> str:
    """Return a MAC address as ``52:54:00:12:34:56``, from any usual spelling.

    :raises ValueError: if it is none.
    """
    digits = re.sub(r"[-:. ]", "", text).lower()
    if not _MAC.fullmatch(digits):
        raise ValueError(f"expected a MAC address like 52:54:00:12:34:56, got {text!r}")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def address_mac(address: IPv6Address) -> str:
    """Return the MAC that an address was made of (RFC 4291, appendix A); empty if it was not."""
    identifier = address.packed[8:]
    if identifier[3:5] != b"\xff\xfe":
        return ""
    return bytes([identifier[0] ^ 2, *identifier[1:3], *identifier[5:]]).hex(":")


def machine_uuid(raw: bytes) -> UUID | None:
    """Read the 16 bytes of SMBIOS or option 97 (first three fields little-endian).

    Constants that many boards share give `None`: they identify nobody.
    """
    if len(raw) != 16:
        return None
    return None if raw in _SHARED_RAW else _uuid(raw)


@lru_cache(maxsize=8192)
def _uuid(raw: bytes) -> UUID:
    return UUID(bytes_le=raw)


def swapped(uuid: UUID) -> UUID:
    """Return the same UUID as firmware of SMBIOS < 2.6 and PXELINUX spell it."""
    return UUID(bytes=uuid.bytes_le)


def inventory_mark(text: str) -> str:
    """Return a serial number or asset tag as it is compared: without case and outer blanks.

    Empty if it is one of those that many machines share: they identify nobody.
    """
    mark = text.strip(" \t\r\n\0").casefold()
    return "" if mark in _SHARED_MARKS or not mark.strip(_FILLERS) else mark


@attrs.frozen
class Relay:
    """What a relay agent added (RFC 3046): its address and the sub-options of option 82; over
    IPv6 its link-address, interface-id and remote-id (RFC 8415 §9).
    """

    address: IPv4Address | IPv6Address | None = None
    circuit_id: bytes = b""
    remote_id: bytes = b""
    link_selection: IPv4Address | None = None


@attrs.frozen
class ClientIdentity:
    """What a packet or connection proves about the machine behind it.

    `mac` is normalised by :func:`parse_mac`, `uuid` is in the canonical order (as Linux and
    iPXE print it), `interface` is ours, on which the packet arrived, `address` is the one the
    client speaks from, if it has one. `features` are iPXE's (option 175), by number. `serial`
    and `asset` (SMBIOS) are told by loaders that know them. `certificate` is the name in the one
    that it showed over TLS.
    """

    mac: str = ""
    uuid: UUID | None = None
    client_id: bytes = b""
    architecture: Architecture | None = None
    firmware: Firmware = Firmware.UNKNOWN
    vendor_class: str = ""
    user_class: str = ""
    hostname: str = ""
    relay: Relay | None = None
    interface: str = ""
    address: IPv4Address | IPv6Address | None = None
    features: frozenset[int] = frozenset()
    serial: str = ""
    asset: str = ""
    certificate: str = ""

    @property
    def uuids(self) -> tuple[UUID, ...]:
        """Both byte orders of the UUID, canonical first; empty if it has none."""
        return () if self.uuid is None else (self.uuid, swapped(self.uuid))

    @property
    def speaks_http(self) -> bool:
        """Whether it can load from HTTP: an iPXE that tells its features may lack it (C3)."""
        return not self.features or IPXE_HTTP in self.features

    @property
    def speaks_https(self) -> bool:
        """Whether it surely can load from HTTPS: firmware that boots from HTTP, and an iPXE that
        tells so (quirk H12: most builds cannot).
        """
        return self.firmware is Firmware.UEFI_HTTP or IPXE_HTTPS in self.features

    @property
    def key(self) -> str:
        """One machine, one key: the MAC, so that ROM, loader and OS share it (RFC 2131 §4.2
        allows it; they send three different client identifiers in one boot). Without a MAC
        (IPoIB, RFC 4390) the client identifier, then the UUID; empty if nothing is known.
        """
        if self.mac:
            return self.mac
        if self.client_id:
            return "id:" + self.client_id.hex()
        return f"uuid:{self.uuid}" if self.uuid else ""

    def __str__(self) -> str:
        return self.key or (str(self.address) if self.address else "an unknown machine")
