"""Other DHCP servers on the wire: probes that bring them out, and what their replies tell.

A probe is a DISCOVER of nobody; no lease is ever completed. Everything is bounded: whoever invents
servers costs no more than this table.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from ipaddress import IPv4Address

import attrs

from pxetwist.exchange.dhcp4 import NOWHERE, address_option
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Architecture, Dhcp4Op, Dhcp4Type, HardwareType
from pxetwist.wire.options import OptionCode as O

#: The MAC of probes begins with this: locally administered, then "pxe" in ASCII.
PROBE_MAC = bytes.fromhex("02707865")
_CLIENT_ID = b"\0pxetwist"
_ASKED = bytes((1, 3, 6, 43, 54, 60, 66, 67))
#: So many servers are remembered, and so many manners to answer of each.
_SERVERS = 64
_MANNERS = 8


class Asker(enum.Enum):
    """Who asked: servers answer differently."""

    PLAIN = "plain DHCP client"
    BIOS = "BIOS PXE client"
    UEFI = "UEFI PXE client"
    HTTP = "UEFI HTTP Boot client"
    OTHERS = "others"  # a machine that we overheard


_CLASSES = {
    Asker.BIOS: ("PXEClient", Architecture.X86_BIOS),
    Asker.UEFI: ("PXEClient", Architecture.X64_UEFI),
    Asker.HTTP: ("HTTPClient", Architecture.X64_UEFI_HTTP),
}


def probe(asker: Asker, mac: bytes, xid: int) -> Dhcp4Message:
    """Make a DISCOVER whose answers come by broadcast."""
    options: dict[int, bytes] = {
        O.MESSAGE_TYPE: bytes([Dhcp4Type.DISCOVER]),
        O.CLIENT_ID: _CLIENT_ID,
        O.PARAMETER_REQUEST_LIST: _ASKED,
    }
    if asker in _CLASSES:
        name, architecture = _CLASSES[asker]
        options[O.VENDOR_CLASS] = f"{name}:Arch:{architecture:05d}:UNDI:003000".encode()
        options[O.CLIENT_ARCHITECTURE] = int(architecture).to_bytes(2, "big")
        options[O.NETWORK_INTERFACE] = b"\1\3\0"
    return Dhcp4Message(
        op=Dhcp4Op.REQUEST,
        htype=HardwareType.ETHERNET,
        hlen=6,
        xid=xid,
        flags=0x8000,
        chaddr=mac.ljust(16, b"\0"),
        options=options,
    )


@attrs.frozen
class Heard:
    """What one reply of a server says; `address` is what it offers, if anything."""

    server: IPv4Address
    mac: str
    interface: str
    source: IPv4Address = NOWHERE
    address: IPv4Address | None = None
    next_server: IPv4Address = NOWHERE
    boot_file: str = ""
    server_name: str = ""
    vendor_class: str = ""
    vendor: bytes = b""

    @property
    def is_proxy(self) -> bool:
        """Whether it is a ProxyDHCP server's."""
        return self.address is None and self.vendor_class.startswith(("PXEClient", "HTTPClient"))

    @property
    def manner(self) -> tuple[object, ...]:
        """What is the same for all machines of a kind, whatever their addresses and files."""
        return self.address is None, self.vendor_class

    @property
    def whole(self) -> tuple[object, ...]:
        """What is the same each time that one machine asks."""
        boot = (self.next_server, self.boot_file, self.server_name, self.vendor)
        return (*self.manner, *boot)

    def __str__(self) -> str:
        words = ["ProxyDHCP" if self.is_proxy else f"address {self.address or 'none'}"]
        if int(self.next_server):
            words.append(f"next server {self.next_server}")
        if self.boot_file:
            words.append(f"boot file {self.boot_file}")
        if self.server_name:
            words.append(f"option 66 {self.server_name}")
        if self.vendor_class:
            words.append(f"option 60 {self.vendor_class}")
        if self.vendor:
            words.append(f"option 43 of {len(self.vendor)} bytes")
        return ", ".join(words)


def read_reply(
    message: Dhcp4Message, source: IPv4Address, mac: str, interface: str
) -> Heard | None:
    """Read an OFFER or ACK that a server sent; `None` if it is none."""
    if message.op != Dhcp4Op.REPLY or message.message_type not in (
        Dhcp4Type.OFFER,
        Dhcp4Type.ACK,
    ):
        return None
    options = message.options
    vendor_class = _text(options.get(O.VENDOR_CLASS, b""))
    if not int(message.yiaddr) and not vendor_class:
        return None  # the answer to an INFORM
    return Heard(
        server=address_option(message, O.SERVER_ID) or source,
        mac=mac,
        interface=interface,
        source=source,
        address=message.yiaddr if int(message.yiaddr) else None,
        next_server=message.siaddr,
        boot_file=_text(options.get(O.BOOT_FILE, b"") or message.file),
        server_name=_text(options.get(O.TFTP_SERVER_NAME, b"")),
        vendor_class=vendor_class,
        vendor=options.get(O.VENDOR_SPECIFIC, b""),
    )


def read_request(message: Dhcp4Message, interface: str) -> Heard | None:
    """Read a client's broadcast that takes one server's offer: it names that server."""
    server = address_option(message, O.SERVER_ID)
    if message.op != Dhcp4Op.REQUEST or message.message_type != Dhcp4Type.REQUEST:
        return None
    if server is None or not int(server):
        return None
    wanted = address_option(message, O.REQUESTED_ADDRESS)
    return Heard(server=server, mac="", interface=interface, address=wanted)


def _text(raw: bytes) -> str:
    """Read what others wrote: printable, and not longer than one looks at."""
    text = raw.split(b"\0", 1)[0][:128].decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else "?" for c in text)


@attrs.define
class Neighbour:
    """One server in one role, and its latest reply for each kind of asker."""

    server: IPv4Address
    mac: str
    interface: str
    is_proxy: bool
    last: float
    replies: dict[Asker, Heard] = attrs.field(factory=dict)
    manners: set[tuple[object, ...]] = attrs.field(factory=set)  # towards others

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return "ProxyDHCP server" if self.is_proxy else "DHCP server"

    def __str__(self) -> str:
        mac = f" ({self.mac})" if self.mac else ""
        return f"{self.kind} {self.server}{mac} on {self.interface}"


class Neighbours:
    """The servers that were heard lately."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, IPv4Address, bool], Neighbour] = {}

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(list(self._known.values()))

    def hear(self, asker: Asker, heard: Heard, now: float) -> tuple[Neighbour, str] | None:
        """Take a reply; return the server with ``new`` or ``changed`` if that is news."""
        key = (heard.interface, heard.server, heard.is_proxy)
        known = self._known.get(key)
        news = ""
        if known is None:
            if len(self._known) >= _SERVERS:
                return None  # an invention, or a network beyond help; those known are watched on
            news = "new"
            known = Neighbour(heard.server, heard.mac, heard.interface, heard.is_proxy, now)
            self._known[key] = known
        elif heard.mac and known.mac not in ("", heard.mac):
            news = "changed"
        known.mac, known.last = heard.mac or known.mac, now
        former = known.replies.get(asker)
        if heard.mac or former is None:  # a request that names it tells least
            known.replies[asker] = heard
        if asker is not Asker.OTHERS:
            differs = former is not None and former.whole != heard.whole
        else:
            differs = bool(known.manners) and heard.manner not in known.manners
            if heard.mac and len(known.manners) < _MANNERS:
                known.manners.add(heard.manner)
        news = news or ("changed" if differs and heard.mac else "")
        return (known, news) if news else None

    def sweep(self, before: float) -> list[Neighbour]:
        """Forget the servers that were not heard since, and return them."""
        gone = [(key, each) for key, each in self._known.items() if each.last < before]
        for key, _ in gone:
            del self._known[key]
        return [each for _, each in gone]
