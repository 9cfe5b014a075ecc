"""The network interfaces of this host, as far as a boot server needs them."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface

import attrs

_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFNETMASK, _SIOCGIFHWADDR = 0x8913, 0x8915, 0x891B, 0x8927
_UP, _LOOPBACK, _POINT_TO_POINT = 0x1, 0x8, 0x10
#: Bridges of container and VM software: no machine boots there by itself.
_NOT_BY_ITSELF = ("docker", "br-", "virbr", "veth", "lxc", "cni", "podman", "tun", "wg")


@attrs.frozen
class NetworkInterface:
    """An interface: its name and kernel index, its first IPv4 address (if any), its MAC."""

    name: str
    index: int
    address: IPv4Interface | None
    mac: str
    flags: int

    @property
    def usable(self) -> bool:
        """Whether machines may boot here unasked: up, with an address, a real LAN."""
        return (
            bool(self.flags & _UP)
            and not self.flags & (_LOOPBACK | _POINT_TO_POINT)
            and self.address is not None
            and not self.name.startswith(_NOT_BY_ITSELF)
        )

    @property
    def local(self) -> IPv4Address:
        """Our address there; 0.0.0.0 without one."""
        return self.address.ip if self.address else IPv4Address(0)

    def __str__(self) -> str:
        words = [self.name, str(self.address or "without IPv4 address")]
        return " ".join(words if self.flags & _UP else [*words, "down"])


def network_interfaces() -> Sequence[NetworkInterface]:
    """List the interfaces of this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return [_read(probe, index, name) for index, name in socket.if_nameindex()]


def _read(probe: socket.socket, index: int, name: str) -> NetworkInterface:
    address = _ask(probe, name, _SIOCGIFADDR)[4:8]
    mask = _ask(probe, name, _SIOCGIFNETMASK)[4:8]
    hardware = _ask(probe, name, _SIOCGIFHWADDR)[2:8]
    flags = _ask(probe, name, _SIOCGIFFLAGS)[:2]
    interface = None
    if any(address):
        interface = IPv4Interface((address, bin(int.from_bytes(mask, "big")).count("1")))
    return NetworkInterface(
        name, index, interface, hardware.hex(":"), int(struct.unpack("=H", flags)[0])
    )


def _ask(probe: socket.socket, name: str, question: int) -> bytes:
    """Ask the kernel (netdevice(7)); zeros if it has no answer."""
    request = struct.pack("16s24x", name.encode())
    try:
        return fcntl.ioctl(probe, question, request)[16:]
    except OSError:
        return bytes(24)
