"""DHCPv6 messages and the messages of relay agents (RFC 8415 §7.3, §8, §9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.cursor import Reader, Writer
from pxetwist.wire.iana import Dhcp6Option, Dhcp6Type

#: RFC 8415 §7.6: what has passed more relay agents is dropped.
HOP_LIMIT = 32

Option = tuple[int, bytes]

_RELAYED = (Dhcp6Type.RELAY_FORW, Dhcp6Type.RELAY_REPL)


@attrs.frozen
class Options6:
    """Options in the order of the wire; some may stand several times (IA_NA, vendor class)."""

    items: tuple[Option, ...] = ()

    def get(self, code: int) -> bytes | None:
        """Return the first option of a number."""
        return next((value for number, value in self.items if number == code), None)

    def all(self, code: int) -> tuple[bytes, ...]:
        """Return every option of a number."""
        return tuple(value for number, value in self.items if number == code)

    def __contains__(self, code: object) -> bool:
        return any(number == code for number, _ in self.items)

    def __iter__(self) -> Iterator[Option]:
        return iter(self.items)


NO_OPTIONS = Options6()


@attrs.frozen
class Dhcp6Message:
    """A message between client and server; `xid` has 24 bits."""

    type: Dhcp6Type
    xid: int
    options: Options6 = NO_OPTIONS

    @property
    def asked(self) -> tuple[int, ...]:
        """The option request option: what the client wants to be told; empty if malformed."""
        raw = self.options.get(Dhcp6Option.OPTION_REQUEST) or b""
        if len(raw) % 2:
            return ()
        return tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))


@attrs.frozen
class RelayMessage:
    """What a relay agent puts around a message; `peer` is where it got that from."""

    type: Dhcp6Type
    hops: int
    link: IPv6Address
    peer: IPv6Address
    options: Options6 = NO_OPTIONS

    @property
    def inner(self) -> bytes:
        """The message inside.

        :raises WireError: if there is none.
        """
        inside = self.options.get(Dhcp6Option.RELAY_MESSAGE)
        if inside is None:
            raise WireError("a relay agent's message with nothing in it")
        return inside


def decode(data: bytes) -> Dhcp6Message | RelayMessage:
    """Read one message; what a relay agent's message holds is left to :func:`unwrap`.

    :raises WireError: if it is short or an option reaches beyond its end.
    """
    reader = Reader(data)
    kind = Dhcp6Type(reader.uint8())
    if kind not in _RELAYED:
        return Dhcp6Message(kind, reader.uint(3), read_options(reader))
    hops = reader.uint8()
    link, peer = IPv6Address(reader.octets(16)), IPv6Address(reader.octets(16))
    return RelayMessage(kind, hops, link, peer, read_options(reader))


def unwrap(data: bytes) -> tuple[Dhcp6Message, tuple[RelayMessage, ...]]:
    """Read a client's message and the relay agents' around it, the outermost first.

    :raises WireError: if one of them is broken, or there are too many.
    """
    relays: list[RelayMessage] = []
    message = decode(data)
    while isinstance(message, RelayMessage):
        relays.append(message)
        if len(relays) > HOP_LIMIT or message.hops > HOP_LIMIT:
            raise WireError("passed too many relay agents")
        message = decode(message.inner)
    return message, tuple(relays)


def encode(message: Dhcp6Message | RelayMessage) -> bytes:
    """Write a message.

    :raises WireError: if an option is too long.
    """
    writer = Writer().uint8(message.type)
    if isinstance(message, Dhcp6Message):
        writer.uint8(message.xid >> 16).uint16(message.xid & 0xFFFF)
    else:
        writer.uint8(message.hops).octets(message.link.packed).octets(message.peer.packed)
    return writer.octets(write_options(message.options)).getvalue()


def read_options(reader: Reader) -> Options6:
    """Read options up to the end.

    :raises WireError: if one reaches beyond it.
    """
    items: list[Option] = []
    while reader.remaining:
        code = reader.uint16()
        items.append((code, reader.octets(reader.uint16())))
    return Options6(tuple(items))


def write_options(options: Iterable[Option]) -> bytes:
    """Write options in their order.

    :raises WireError: if one is too long.
    """
    writer = Writer()
    for code, value in options:
        if not 0 <= code <= 0xFFFF or len(value) > 0xFFFF:
            raise WireError(f"option {code} of {len(value)} bytes cannot be written")
        writer.uint16(code).uint16(len(value)).octets(value)
    return writer.getvalue()
