"""What relay agents add to a request: option 82 and its sub-options (RFC 3046)."""

from __future__ import annotations

from collections.abc import Mapping

from pxetwist.wire import tlv
from pxetwist.wire.cursor import Reader

CIRCUIT_ID = 1
REMOTE_ID = 2
LINK_SELECTION = 5  # RFC 3527
SUBSCRIBER_ID = 6  # RFC 3993
FLAGS = 10  # RFC 5010
SERVER_ID_OVERRIDE = 11  # RFC 5107
RELAY_ID = 12  # RFC 6925
SOURCE_PORT = 19  # RFC 8357

_NAMES = {
    CIRCUIT_ID: "circuit-id",
    REMOTE_ID: "remote-id",
    LINK_SELECTION: "link-selection",
    SUBSCRIBER_ID: "subscriber-id",
    FLAGS: "flags",
    SERVER_ID_OVERRIDE: "server-id-override",
    RELAY_ID: "relay-id",
    SOURCE_PORT: "source-port",
}


def decode_relay(raw: bytes) -> dict[int, bytes]:
    """Read the sub-options of an option 82; it has neither pads nor an end (RFC 3046 §2.0).

    :raises WireError: if a sub-option reaches beyond the end.
    """
    options: dict[int, bytes] = {}
    tlv.split(raw, options, marks=False)
    return options


def encode_relay(options: Mapping[int, bytes]) -> bytes:
    """Write sub-options as the value of an option 82.

    :raises WireError: if one is longer than 255 bytes.
    """
    return tlv.encapsulated(options, marks=False)


def describe_relay(raw: bytes) -> str:
    """Print the sub-options of an option 82 on one line; identifiers are often text.

    :raises WireError: if it is broken.
    """
    return ", ".join(
        f"{_NAMES.get(code, code)} {_describe(code, value)}"
        for code, value in decode_relay(raw).items()
    )


def _describe(code: int, value: bytes) -> str:
    if code in (LINK_SELECTION, SERVER_ID_OVERRIDE):
        return str(Reader(value).address())
    if value and all(0x20 <= byte < 0x7F for byte in value):
        return repr(value.decode("ascii"))
    return value.hex(":")
