"""What relay agents add to a request: option 82 and its sub-options (RFC 3046)."""

from __future__ import annotations

from collections.abc import Mapping

from pxetwist.wire import tlv

CIRCUIT_ID = 1
REMOTE_ID = 2
LINK_SELECTION = 5  # RFC 3527
SUBSCRIBER_ID = 6  # RFC 3993
FLAGS = 10  # RFC 5010
SERVER_ID_OVERRIDE = 11  # RFC 5107
RELAY_ID = 12  # RFC 6925


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
