"""The shapes that values of DHCP options have: in bytes, in Python, in the INI and in print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Protocol, TypeVar

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.iana import Architecture, Dhcp4Type, OpenIntEnum

T = TypeVar("T")


def read_text(raw: bytes) -> str:
    """Read text of a client: it ends at a NUL, and what is no UTF-8 becomes ``\\xff``, so that
    the result can always be logged and stored.
    """
    return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """Return the text itself, or quoted and escaped if it could upset a terminal."""
    return text if text.isprintable() else ascii(text)


def words(text: str, what: str) -> list[str]:
    """Split a list at commas and white space; raises ValueError if it is empty."""
    words = re.split(r"[,\s]+", text.strip(", \t\r\n"))
    if words == [""]:
        raise ValueError(f"expected {what}, got nothing")
    return words


class Shape(Protocol[T]):
    """One way to lay out a value."""

    def decode(self, raw: bytes) -> T:
        """Read the value; raises WireError."""

    def encode(self, value: T) -> bytes:
        """Write the value; raises WireError if it cannot be written so."""

    def parse(self, text: str) -> T:
        """Read the value from the INI; raises ValueError that says what is expected."""

    def show(self, value: T) -> str:
        """Print the value on one line, as the INI spells it where it can."""


@attrs.frozen
class _Address:
    """One IPv4 address."""

    def decode(self, raw: bytes) -> IPv4Address:
        if len(raw) != 4:
            raise WireError(f"an address of {len(raw)} bytes")
        return IPv4Address(raw)

    def encode(self, value: IPv4Address) -> bytes:
        return value.packed

    def parse(self, text: str) -> IPv4Address:
        try:
            return IPv4Address(text.strip())
        except ValueError:
            raise ValueError(f"expected an address like 10.0.0.1, got {text!r}") from None

    def show(self, value: IPv4Address) -> str:
        return str(value)


@attrs.frozen
class _Addresses:
    """One or more IPv4 addresses, or pairs of them."""

    group: int = 1

    def decode(self, raw: bytes) -> tuple[IPv4Address, ...]:
        if not raw or len(raw) % (4 * self.group):
            raise WireError(f"addresses in {len(raw)} bytes")
        return tuple(IPv4Address(raw[i : i + 4]) for i in range(0, len(raw), 4))

    def encode(self, value: tuple[IPv4Address, ...]) -> bytes:
        if not value or len(value) % self.group:
            raise WireError(f"{len(value)} addresses")
        return b"".join(address.packed for address in value)

    def parse(self, text: str) -> tuple[IPv4Address, ...]:
        addresses = tuple(_Address().parse(word) for word in words(text, "addresses"))
        if len(addresses) % self.group:
            raise ValueError(f"expected pairs of addresses, got {text!r}")
        return addresses

    def show(self, value: tuple[IPv4Address, ...]) -> str:
        return ", ".join(str(address) for address in value)


def _number(text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ValueError(f"expected a number from {least} to {most}, got {text!r}")
    return value


def _named(value: int, names: type[OpenIntEnum] | None) -> str:
    return f"{value} {names(value).name}" if names else str(value)


@attrs.frozen
class _Number:
    """A number of `size` bytes; `names` are printed beside it."""

    size: int
    signed: bool = False
    names: type[OpenIntEnum] | None = None

    def decode(self, raw: bytes) -> int:
        if len(raw) != self.size:
            raise WireError(f"a number of {len(raw)} bytes, not {self.size}")
        return int.from_bytes(raw, "big", signed=self.signed)

    def encode(self, value: int) -> bytes:
        try:
            return value.to_bytes(self.size, "big", signed=self.signed)
        except OverflowError:
            raise WireError(f"{value} does not fit into {self.size} bytes") from None

    def parse(self, text: str) -> int:
        span = 1 << (8 * self.size)
        least = -span // 2 if self.signed else 0
        return _number(text, least, least + span - 1)

    def show(self, value: int) -> str:
        return _named(value, self.names)


@attrs.frozen
class _Words:
    """A number of one byte that has words for people; the number will do as well."""

    words: Mapping[str, int]

    def decode(self, raw: bytes) -> int:
        return U8.decode(raw)

    def encode(self, value: int) -> bytes:
        return U8.encode(value)

    def parse(self, text: str) -> int:
        if text in self.words:
            return self.words[text]
        if text.isdigit() and int(text) in self.words.values():
            return int(text)
        raise ValueError(f"expected {' or '.join(self.words)}, got {text!r}")

    def show(self, value: int) -> str:
        names = {number: word for word, number in self.words.items()}
        return f"{value} {names[value]}" if value in names else str(value)


@attrs.frozen
class _Numbers:
    """One or more unsigned numbers of `size` bytes each."""

    size: int
    names: type[OpenIntEnum] | None = None

    def decode(self, raw: bytes) -> tuple[int, ...]:
        if not raw or len(raw) % self.size:
            raise WireError(f"numbers in {len(raw)} bytes")
        return tuple(
            int.from_bytes(raw[i : i + self.size], "big") for i in range(0, len(raw), self.size)
        )

    def encode(self, value: tuple[int, ...]) -> bytes:
        if not value:
            raise WireError("no numbers")
        return b"".join(_Number(self.size).encode(number) for number in value)

    def parse(self, text: str) -> tuple[int, ...]:
        return tuple(_Number(self.size).parse(word) for word in words(text, "numbers"))

    def show(self, value: tuple[int, ...]) -> str:
        return ", ".join(_named(number, self.names) for number in value)


@attrs.frozen
class _Text:
    """Text in UTF-8; NULs at its end are not part of it (RFC 2132 §2)."""

    def decode(self, raw: bytes) -> str:
        return read_text(raw)

    def encode(self, value: str) -> bytes:
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise WireError("text that is no UTF-8") from None

    def parse(self, text: str) -> str:
        if not text or not text.isprintable():
            raise ValueError(f"expected some text on one line, got {text!r}")
        return text

    def show(self, value: str) -> str:
        return printable(value)


@attrs.frozen
class _Flag:
    """An option without a value: its being there says it."""

    def decode(self, raw: bytes) -> bool:
        if raw:
            raise WireError(f"a flag of {len(raw)} bytes")
        return True

    def encode(self, value: bool) -> bytes:
        if not value:
            raise WireError("a flag that is not set")
        return b""

    def parse(self, text: str) -> bool:
        if not _Switch().parse(text):
            raise ValueError("expected yes; leave the option out for no")
        return True

    def show(self, value: bool) -> str:
        return "yes"


@attrs.frozen
class _Switch:
    """Yes or no, in one byte."""

    def decode(self, raw: bytes) -> bool:
        if raw not in (b"\0", b"\1"):
            raise WireError("neither 0 nor 1")
        return raw == b"\1"

    def encode(self, value: bool) -> bytes:
        return b"\1" if value else b"\0"

    def parse(self, text: str) -> bool:
        words = {"yes": True, "true": True, "on": True, "1": True}
        words |= {"no": False, "false": False, "off": False, "0": False}
        try:
            return words[text.strip().lower()]
        except KeyError:
            raise ValueError(f"expected yes or no, got {text!r}") from None

    def show(self, value: bool) -> str:
        return "yes" if value else "no"


@attrs.frozen
class _Octets:
    """Bytes as they are; hexadecimal digits for people."""

    def decode(self, raw: bytes) -> bytes:
        return raw

    def encode(self, value: bytes) -> bytes:
        return value

    def parse(self, text: str) -> bytes:
        try:
            raw = bytes.fromhex(re.sub(r"[:\s]", "", text))
        except ValueError:
            raw = b""
        if not raw:
            raise ValueError(f"expected hexadecimal bytes like 01:0a:ff, got {text!r}")
        return raw

    def show(self, value: bytes) -> str:
        return value.hex(":")


ADDRESS = _Address()
ADDRESSES = _Addresses()
ADDRESS_PAIRS = _Addresses(group=2)
U8 = _Number(1)
U16 = _Number(2)
U32 = _Number(4)
S32 = _Number(4, signed=True)
U8_LIST = _Numbers(1)
U16_LIST = _Numbers(2)
U32_LIST = _Numbers(4)
NODE_TYPE = _Words({"b-node": 1, "p-node": 2, "m-node": 4, "h-node": 8})  # RFC 1002
TEXT = _Text()
FLAG = _Flag()
SWITCH = _Switch()
OCTETS = _Octets()
MESSAGE_TYPE = _Number(1, names=Dhcp4Type)
ARCHITECTURES = _Numbers(2, names=Architecture)
