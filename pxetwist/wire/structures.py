"""The shapes of values that have a structure of their own: sub-options, routes, domain names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

import attrs

from pxetwist.errors import WireError
from pxetwist.wire import tlv
from pxetwist.wire.cursor import Reader, Writer
from pxetwist.wire.shapes import ADDRESSES, OCTETS, U8, U32, Shape, words

T = TypeVar("T")
Route = tuple[IPv4Network, IPv4Address]


def _structured(shape: Shape[T], text: str) -> T:
    try:
        return shape.decode(OCTETS.parse(text))
    except WireError as error:
        raise ValueError(f"expected number, length, value in hexadecimal: {error}") from None


@attrs.frozen
class _Encapsulated:
    """Sub-options: number to value. With `marks` they know pads and an end (not option 82)."""

    marks: bool = True

    def decode(self, raw: bytes) -> dict[int, bytes]:
        options: dict[int, bytes] = {}
        tlv.split(raw, options, marks=self.marks)
        return options

    def encode(self, value: Mapping[int, bytes]) -> bytes:
        return tlv.encapsulated(value, self.marks)

    def parse(self, text: str) -> dict[int, bytes]:
        return _structured(self, text)

    def show(self, value: Mapping[int, bytes]) -> str:
        return ", ".join(f"{code}={raw.hex()}" for code, raw in value.items())


@attrs.frozen
class _Enterprises:
    """Values of enterprises, each with its IANA number (RFC 3925)."""

    def decode(self, raw: bytes) -> tuple[tuple[int, bytes], ...]:
        reader = Reader(raw)
        values: list[tuple[int, bytes]] = []
        while reader.remaining:
            values.append((reader.uint32(), reader.octets(reader.uint8())))
        return tuple(values)

    def encode(self, value: tuple[tuple[int, bytes], ...]) -> bytes:
        writer = Writer()
        for number, raw in value:
            writer.octets(U32.encode(number))
            writer.octets(U8.encode(len(raw))).octets(raw)
        return writer.getvalue()

    def parse(self, text: str) -> tuple[tuple[int, bytes], ...]:
        return _structured(self, text)

    def show(self, value: tuple[tuple[int, bytes], ...]) -> str:
        return ", ".join(f"{number}={raw.hex()}" for number, raw in value)


@attrs.frozen
class _Routes:
    """Routes with prefixes of any length, the unneeded bytes of them left out (RFC 3442)."""

    def decode(self, raw: bytes) -> tuple[Route, ...]:
        reader = Reader(raw)
        routes: list[Route] = []
        while reader.remaining or not routes:
            width = reader.uint8()
            if width > 32:
                raise WireError(f"a prefix of {width} bits", reader.position - 1)
            prefix = reader.octets((width + 7) // 8).ljust(4, b"\0")
            network = IPv4Network((prefix, width), strict=False)
            routes.append((network, reader.address()))
        return tuple(routes)

    def encode(self, value: tuple[Route, ...]) -> bytes:
        if not value:
            raise WireError("no routes")
        writer = Writer()
        for network, router in value:
            width = network.prefixlen
            writer.uint8(width).octets(network.network_address.packed[: (width + 7) // 8])
            writer.octets(router.packed)
        return writer.getvalue()

    def parse(self, text: str) -> tuple[Route, ...]:
        routes = []
        for part in re.split(r"[,\n]", text.strip(", \t\r\n")):
            network, _, router = part.partition(" via ")
            try:
                routes.append((IPv4Network(network.strip()), IPv4Address(router.strip())))
            except ValueError:
                expected = "expected routes like 10.1.0.0/16 via 10.0.0.1"
                raise ValueError(f"{expected}, got {part.strip()!r}") from None
        return tuple(routes)

    def show(self, value: tuple[Route, ...]) -> str:
        return ", ".join(f"{network} via {router}" for network, router in value)


@attrs.frozen
class _Names:
    """Domain names as in DNS; what is repeated becomes a pointer (RFC 1035 §4.1.4, RFC 3397)."""

    def decode(self, raw: bytes) -> tuple[str, ...]:
        reader = Reader(raw)
        names: list[str] = []
        while reader.remaining or not names:
            names.append(_read_name(reader))
        return tuple(names)

    def encode(self, value: tuple[str, ...]) -> bytes:
        if not value:
            raise WireError("no names")
        writer = Writer()
        seen: dict[tuple[bytes, ...], int] = {}
        for name in value:
            _write_name(writer, seen, name)
        return writer.getvalue()

    def parse(self, text: str) -> tuple[str, ...]:
        names = tuple(word.rstrip(".") for word in words(text, "domain names"))
        try:
            self.encode(names)
        except WireError as error:
            raise ValueError(f"expected domain names, got {text!r}: {error.reason}") from None
        return names

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value)


@attrs.frozen
class _Servers:
    """Servers of SIP: names or addresses, but not both (RFC 3361)."""

    def decode(self, raw: bytes) -> tuple[str, ...] | tuple[IPv4Address, ...]:
        match raw[:1]:
            case b"\0":
                return NAMES.decode(raw[1:])
            case b"\1":
                return ADDRESSES.decode(raw[1:])
        raise WireError(f"servers of an unknown kind {raw[:1].hex()}")

    def encode(self, value: tuple[str, ...] | tuple[IPv4Address, ...]) -> bytes:
        addresses = tuple(each for each in value if isinstance(each, IPv4Address))
        if addresses:
            return b"\1" + ADDRESSES.encode(addresses)
        # a client reads each name by itself: no pointers
        return b"\0" + b"".join(NAMES.encode((str(name),)) for name in value)

    def parse(self, text: str) -> tuple[str, ...] | tuple[IPv4Address, ...]:
        try:
            return ADDRESSES.parse(text)
        except ValueError:
            names = NAMES.parse(text)
        if any(re.fullmatch(r"[0-9.]+", name) for name in names):
            raise ValueError(f"expected names, or addresses, but not both, got {text!r}")
        return names

    def show(self, value: tuple[str, ...] | tuple[IPv4Address, ...]) -> str:
        return ", ".join(map(str, value))


def _read_name(reader: Reader) -> str:
    labels: list[bytes] = []
    lowest, after = reader.position, 0
    while True:
        length = reader.uint8()
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | reader.uint8()
            after = after or reader.position
            if target >= lowest:  # backwards only, so that it ends
                raise WireError("a name that points forward", reader.position - 2)
            lowest = reader.position = target
        elif length > 63:
            raise WireError("a label of unknown kind", reader.position - 1)
        elif length:
            labels.append(_label(reader.octets(length), reader.position))
            if sum(map(len, labels)) + len(labels) > 254:
                raise WireError("a name longer than 255 bytes", reader.position)
        else:
            break
    if not labels:
        raise WireError("an empty name", reader.position)
    reader.position = after or reader.position
    return b".".join(labels).decode("ascii")


def _write_name(writer: Writer, seen: dict[tuple[bytes, ...], int], name: str) -> None:
    try:
        labels = tuple(_label(label.encode("ascii")) for label in name.rstrip(".").split("."))
    except UnicodeEncodeError:
        raise WireError(f"a name that is not in ASCII: {name!a}") from None
    if sum(map(len, labels)) + len(labels) > 254:
        raise WireError("a name longer than 255 bytes")
    while labels:
        if labels in seen:
            writer.uint16(0xC000 | seen[labels])
            return
        if len(writer) < 0x4000:
            seen[labels] = len(writer)
        writer.uint8(len(labels[0])).octets(labels[0])
        labels = labels[1:]
    writer.uint8(0)


def _label(raw: bytes, position: int = 0) -> bytes:
    if not 0 < len(raw) < 64 or not all(0x20 < byte < 0x7F and byte not in b".," for byte in raw):
        raise WireError(f"a label that is no host name: {raw.hex()}", position)
    return raw


ENCAPSULATED = _Encapsulated()
RELAY_INFORMATION = _Encapsulated(marks=False)
ENTERPRISES = _Enterprises()
ROUTES = _Routes()
NAMES = _Names()
SERVERS = _Servers()
