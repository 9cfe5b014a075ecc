"""A connection whose every message is sealed (a SASL security layer, RFC 4422 §3.7)."""

from __future__ import annotations

from typing import Any, Protocol

#: The longest sealed message (bytes) that we take: a length has three bytes (RFC 4752 §3.1).
LONGEST = 0xFFFFFF


class ISeals(Protocol):
    """Who seals; both raise `OSError`."""

    def seal(self, message: bytes) -> bytes:
        """Return a message encrypted."""

    def open(self, sealed: bytes) -> bytes:
        """Return what was encrypted."""


class SealedSocket:
    """Stands in for a socket: sends at most `most` bytes in one sealed message."""

    def __init__(self, socket: Any, seal: ISeals, most: int) -> None:
        self._socket = socket
        self._seal = seal
        self._most = most
        self._received = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)  # closing, time-outs

    def sendall(self, data: bytes) -> None:
        """Send all of it.

        :raises OSError: as a socket does.
        """
        for start in range(0, len(data), self._most):
            sealed = self._seal.seal(data[start : start + self._most])
            self._socket.sendall(len(sealed).to_bytes(4, "big") + sealed)

    def recv(self, size: int) -> bytes:
        """Return the next message, however long; empty at the end of the connection.

        :raises OSError: as a socket does, or if a message is not the server's.
        """
        message = b""
        while not message:
            head = self._take(4, size)
            length = int.from_bytes(head, "big")
            if length > LONGEST:
                raise OSError(f"a sealed message of {length} bytes is too long")
            sealed = self._take(length, size) if head else b""
            if not sealed:
                return b""
            message = self._seal.open(sealed)
        return message

    def _take(self, length: int, size: int) -> bytes:
        """Return that many bytes; empty if the connection ends before."""
        while len(self._received) < length:
            piece = self._socket.recv(size)
            if not piece:
                return b""
            self._received += piece
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken
