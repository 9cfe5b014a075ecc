"""UEFI variables written into a copy of OVMF's empty store, so that firmware boots in our order.

OVMF takes a network card's place in QEMU's boot order for four ways to boot: PXE and HTTP, each
over IPv4 and IPv6, and waits a minute for each. A ``BootNext`` variable makes OVMF do one of them
alone, as firmware that has no other, and then go on with the disk.
"""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

from bootlab.processes import LabError

_STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792")  # authenticated variables
_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_KEPT_SEEN_BY_BOTH = 7  # non-volatile, boot services, runtime

#: The PCI slot in which a machine's network card must be, for the path below to find it.
CARD_SLOT = 0x10


def boot_network_once(store: Path, mac: str, *, ipv6: bool = False, http: bool = False) -> None:
    """Make the next boot try one way on the card in `CARD_SLOT` before all else.

    :raises LabError: if the file is no variable store.
    """
    data = bytearray(store.read_bytes())
    path = _node(2, 1, struct.pack("<II", 0x0A0341D0, 0))  # PciRoot(0)
    path += _node(1, 1, bytes([0, CARD_SLOT]))
    path += _node(3, 11, bytes.fromhex(mac.replace(":", "")).ljust(32, b"\0") + b"\1")
    path += _node(3, 13, bytes(39) + b"\x40" + bytes(16)) if ipv6 else _node(3, 12, bytes(23))
    path += _node(3, 24, b"") if http else b""  # a URI, by DHCP
    path += _node(0x7F, 0xFF, b"")
    option = struct.pack("<IH", 1, len(path)) + "network".encode("utf-16-le") + b"\0\0" + path
    _append(data, "Boot0077", option)
    _append(data, "BootNext", struct.pack("<H", 0x0077))
    store.write_bytes(data)


def _node(kind: int, subtype: int, content: bytes) -> bytes:
    """One node of a device path (UEFI 10.3.1)."""
    return struct.pack("<BBH", kind, subtype, 4 + len(content)) + content


def _append(data: bytearray, name: str, value: bytes) -> None:
    """Add a variable behind the last one (EDK2's VariableFormat.h)."""
    (volume_header,) = struct.unpack_from("<H", data, 48)
    if data[volume_header : volume_header + 16] != _STORE.bytes_le:
        raise LabError("this is not a store of authenticated UEFI variables")
    at = volume_header + 28
    while data[at : at + 2] == b"\xaa\x55":
        name_size, value_size = struct.unpack_from("<II", data, at + 36)
        at = _aligned(at + 60 + name_size + value_size)
    text = name.encode("utf-16-le") + b"\0\0"
    header = struct.pack("<HBxI28x", 0x55AA, 0x3F, _KEPT_SEEN_BY_BOTH)
    header += struct.pack("<II", len(text), len(value)) + _GLOBAL.bytes_le
    data[at : at + len(header) + len(text) + len(value)] = header + text + value


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3
