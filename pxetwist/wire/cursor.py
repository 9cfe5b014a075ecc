"""The only place that takes input apart: a reader that cannot leave its bounds, and a writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from pxetwist.errors import WireError


class Reader:
    """Reads big-endian values from bytes; raises nothing but :class:`WireError`.

    `position` counts from the start of the whole input, also inside :meth:`restricted`.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._end = len(data)
        self.position = 0

    @property
    def remaining(self) -> int:
        """How many bytes may still be read."""
        return self._end - self.position

    def octets(self, count: int) -> bytes:
        """Read `count` bytes."""
        start = self.position
        if count < 0 or count > self._end - start:
            raise WireError(f"{count} bytes expected, {self.remaining} left", start)
        self.position = start + count
        return self._data[start : self.position]

    def rest(self) -> bytes:
        """Read all that remains."""
        return self.octets(self.remaining)

    def uint(self, size: int) -> int:
        """Read an unsigned number of `size` bytes."""
        return int.from_bytes(self.octets(size), "big")

    def uint8(self) -> int:
        """Read one byte."""
        return self.uint(1)

    def uint16(self) -> int:
        """Read two bytes."""
        return self.uint(2)

    def uint32(self) -> int:
        """Read four bytes."""
        return self.uint(4)

    def address(self) -> IPv4Address:
        """Read an IPv4 address."""
        return IPv4Address(self.octets(4))

    def until_nul(self) -> bytes:
        """Read up to a NUL byte and consume it; it must be there."""
        end = self._data.find(b"\0", self.position, self._end)
        if end < 0:
            raise WireError("a text without its NUL", self.position)
        text = self.octets(end - self.position)
        self.position += 1
        return text

    @contextmanager
    def restricted(self, count: int) -> Iterator[Reader]:
        """Narrow the reader to the next `count` bytes, which must be consumed exactly."""
        if count < 0 or count > self.remaining:
            raise WireError(f"{count} bytes expected, {self.remaining} left", self.position)
        outer, self._end = self._end, self.position + count
        yield self
        if self.remaining:
            raise WireError(f"{self.remaining} bytes too many", self.position)
        self._end = outer


class Writer:
    """Puts big-endian values together."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def octets(self, data: bytes) -> Writer:
        """Append bytes."""
        self._parts += data
        return self

    def uint8(self, value: int) -> Writer:
        """Append one byte."""
        self._parts.append(value)
        return self

    def uint16(self, value: int) -> Writer:
        """Append two bytes."""
        self._parts += value.to_bytes(2, "big")
        return self

    def uint32(self, value: int) -> Writer:
        """Append four bytes."""
        self._parts += value.to_bytes(4, "big")
        return self

    def padded(self, data: bytes, size: int) -> Writer:
        """Append bytes and zeros up to `size`."""
        self._parts += data.ljust(size, b"\0")
        return self

    def __len__(self) -> int:
        return len(self._parts)

    def getvalue(self) -> bytes:
        """Return all that was written."""
        return bytes(self._parts)
