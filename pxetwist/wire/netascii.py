"""The netascii mode of TFTP (RFC 764, RFC 1350 §1): text lines end in CR LF, a lone CR is CR NUL.

A transfer's blocks cut the translated text at any byte, also between CR and LF, and may be asked
for again. So the text is translated in pieces, and an index tells where each piece lies.
"""

from __future__ import annotations

import re
from bisect import bisect_right

#: How many bytes of the file make one piece of a :class:`NetasciiIndex`.
PIECE = 1 << 16

_PAIR = re.compile(rb"\r[\n\0]")


def encode(text: bytes) -> bytes:
    """Translate bytes of a file; pieces of it translate independently of one another."""
    return text.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


class NetasciiDecoder:
    """Translates text as it comes in, block by block; a CR waits for what follows it."""

    def __init__(self) -> None:
        self._waits = b""

    def decode(self, block: bytes, *, last: bool) -> bytes:
        """Return bytes of the file; a CR before anything but LF or NUL stays as it is."""
        text = self._waits + block
        self._waits = b""
        if text.endswith(b"\r") and not last:
            text, self._waits = text[:-1], b"\r"
        return _PAIR.sub(lambda pair: b"\n" if pair[0] == b"\r\n" else b"\r", text)


class NetasciiIndex:
    """Where the translation of each :data:`PIECE` of a file begins; `size` is that of the whole.

    Built by one pass over the file, :meth:`add` taking its pieces in order.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Count the next piece; all but the last have :data:`PIECE` bytes."""
        self._starts.append(self.size)
        self.size += len(piece) + piece.count(b"\r") + piece.count(b"\n")

    def locate(self, offset: int) -> tuple[int, int]:
        """Return the number of the piece that holds a translated byte, and the byte's place in
        the translation of that piece.
        """
        number = max(bisect_right(self._starts, offset) - 1, 0)
        return number, offset - (self._starts[number] if self._starts else 0)
