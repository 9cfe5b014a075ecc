"""The network interfaces of this host, as far as a boot server needs them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

import attrs

from pxetwist.errors import StartError, WireError
from pxetwist.wire import rtnetlink

_UP, _LOOPBACK, _POINT_TO_POINT = 0x1, 0x8, 0x10
#: Bridges of container and VM software: no machine boots there by itself.
_NOT_BY_ITSELF = ("docker", "br-", "virbr", "veth", "lxc", "cni", "podman", "tun", "wg")
_LARGE = 1 << 18  # more than the kernel puts into one datagram
_ATTEMPTS = 3  # an answer is cut short when interfaces change meanwhile


@attrs.frozen
class NetworkInterface:
    """An interface: its name and kernel index, its first IPv4 address (if any), its MAC.

    `others` are further IPv4 addresses. `addresses6` are those of IPv6 which can be used, the
    link-local one among them.
    """

    name: str
    index: int
    address: IPv4Interface | None
    mac: str
    flags: int
    others: tuple[IPv4Interface, ...] = ()
    addresses6: tuple[IPv6Interface, ...] = ()

    @property
    def up(self) -> bool:
        """Whether somebody has switched it on; a cable is another matter."""
        return bool(self.flags & _UP)

    @property
    def ready(self) -> bool:
        """Whether it is up and has an IPv4 address."""
        return self.up and self.address is not None

    @property
    def usable(self) -> bool:
        """Whether machines may boot here unasked: up, with an address, a real LAN."""
        return (
            self.ready
            and not self.flags & (_LOOPBACK | _POINT_TO_POINT)
            and not self.name.startswith(_NOT_BY_ITSELF)
        )

    @property
    def local(self) -> IPv4Address:
        """Our address there; 0.0.0.0 without one."""
        return self.address.ip if self.address else IPv4Address(0)

    @property
    def addresses(self) -> tuple[IPv4Interface, ...]:
        """All its IPv4 addresses, the first one first."""
        return (self.address, *self.others) if self.address else ()

    def speaking_from(self, preferred: Callable[[IPv4Interface], bool]) -> NetworkInterface:
        """Return it with the first of its addresses that is preferred, if there is one, first."""
        addresses = sorted(self.addresses, key=lambda each: not preferred(each))
        if not addresses or addresses[0] == self.address:
            return self
        return attrs.evolve(self, address=addresses[0], others=tuple(addresses[1:]))

    def __str__(self) -> str:
        words = [self.name, str(self.address or "without IPv4 address")]
        return " ".join(words if self.up else [*words, "down"])


def network_interfaces() -> Sequence[NetworkInterface]:
    """List the interfaces of this network namespace, in the order of their indices.

    :raises StartError: if the kernel does not let us know.
    """
    try:
        links = _asked(rtnetlink.ask_links)
        addresses = _asked(rtnetlink.ask_addresses)
    except OSError as error:
        raise StartError(f"cannot ask for the network interfaces (netlink): {error}") from error
    return sorted(
        (_joined(each, addresses) for each in links if isinstance(each, rtnetlink.Link)),
        key=lambda interface: interface.index,
    )


def _joined(link: rtnetlink.Link, messages: Sequence[rtnetlink.Message]) -> NetworkInterface:
    four: list[IPv4Interface] = []
    six: list[IPv6Interface] = []
    for each in messages:
        if not isinstance(each, rtnetlink.Address) or each.index != link.index:
            continue
        if isinstance(each.address, IPv4Interface):
            four.append(each.address)
        elif not each.tentative:
            six.append(each.address)
    return NetworkInterface(
        link.name,
        link.index,
        four[0] if four else None,
        link.hardware.hex(":"),
        link.flags,
        tuple(four[1:]),
        tuple(six),
    )


def _asked(question: Callable[[int], bytes]) -> Sequence[rtnetlink.Message]:
    """Return the kernel's answer, which is there as soon as it is asked."""
    for sequence in range(1, _ATTEMPTS + 1):
        try:
            with socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            ) as asked:
                asked.settimeout(1.0)
                asked.send(question(sequence))
                return list(_answer(asked, sequence))
        except (OSError, WireError):
            if sequence == _ATTEMPTS:
                raise
    return []


def _answer(asked: socket.socket, sequence: int) -> Iterator[rtnetlink.Message]:
    while True:
        for message in rtnetlink.decode(asked.recv(_LARGE)):
            if not isinstance(message, rtnetlink.Done):
                yield message
            elif message.sequence == sequence:
                if message.error:
                    raise OSError(message.error, os.strerror(message.error))
                return
