"""What a machine is known by besides MAC and UUID, in one spelling for all directories."""

from __future__ import annotations

import re

from pxetwist.model.identity import parse_mac

_HEX = re.compile(r"(?:[0-9a-f]{1,2}:)+[0-9a-f]{1,2}", re.IGNORECASE)
_HEX_NUMBER = re.compile(r"0x((?:[0-9a-f]{2})+)", re.IGNORECASE)
_SHORT_MAC = re.compile(r"[0-9a-f]{1,2}(?:[:-][0-9a-f]{1,2}){5}", re.IGNORECASE)


def octets(text: str) -> bytes:
    """Return the bytes of an id: ``01:52:54:0a``, ``0x0152540a``, or else text in UTF-8."""
    if _HEX.fullmatch(text):
        return bytes(int(pair, 16) for pair in text.split(":"))
    if number := _HEX_NUMBER.fullmatch(text):
        return bytes.fromhex(number[1])
    return text.encode()


def port_mark(circuit_id: bytes, remote_id: bytes) -> tuple[bytes, bytes] | None:
    """Return what tells a port of a switch from others, if anything does (RFC 3046)."""
    return (circuit_id, remote_id) if circuit_id or remote_id else None


def unpadded_mac(text: str) -> str:
    """Return a MAC address of which ``ethers`` and DHCP servers may leave out leading zeros.

    :raises ValueError: if it is none.
    """
    if _SHORT_MAC.fullmatch(text):
        text = ":".join(pair.zfill(2) for pair in re.split("[:-]", text))
    return parse_mac(text)
