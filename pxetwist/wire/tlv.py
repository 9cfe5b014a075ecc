"""Code, length, value: how DHCP lays out its options and what they encapsulate (RFC 2132 §2)."""

from __future__ import annotations

from collections.abc import Mapping

from pxetwist.errors import WireError

PAD = 0
END = 255


def split(
    data: bytes,
    into: dict[int, bytes],
    start: int = 0,
    end: int | None = None,
    marks: bool = True,
) -> None:
    """Add the options in ``data[start:end]`` to `into`; those that occur again are concatenated
    (RFC 3396 §7). With `marks` 0 is a pad and 255 ends the block, which may also end without.

    :raises WireError: if an option reaches beyond the end.
    """
    position = start
    end = len(data) if end is None else end
    while position < end:
        code = data[position]
        if marks and code == PAD:
            position += 1
            continue
        if marks and code == END:
            return
        value = position + 2
        if value > end:
            raise WireError(f"option {code} without a length", position)
        following = value + data[position + 1]
        if following > end:
            raise WireError(f"option {code} is longer than what is left", position)
        if code in into:
            into[code] += data[value:following]
        else:
            into[code] = data[value:following]
        position = following


def joined(code: int, value: bytes) -> bytes:
    """Write one option; a value longer than 255 bytes as several instances (RFC 3396 §5)."""
    if len(value) <= 255:
        return bytes((code, len(value))) + value
    chunks = (value[i : i + 255] for i in range(0, len(value), 255))
    return b"".join(bytes((code, len(chunk))) + chunk for chunk in chunks)


def encapsulated(options: Mapping[int, bytes], marks: bool = True) -> bytes:
    """Write sub-options one after the other, without an end.

    :raises WireError: if a code or a length does not fit into its byte.
    """
    for code, value in options.items():
        if not 0 <= code <= 255 or (marks and code in (PAD, END)):
            raise WireError(f"sub-option {code} cannot be written")
        if len(value) > 255:
            raise WireError(f"sub-option {code} is longer than 255 bytes")
    return b"".join(joined(code, value) for code, value in options.items())
