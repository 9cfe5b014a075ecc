"""What a machine is known by besides MAC and UUID, in one spelling for all directories."""

from __future__ import annotations

import re

from pxetwist.model.identity import parse_mac

_HEX = re.compile(r"(?:[0-9a-f]{1,2}:)+[0-9a-f]{1,2}", re.IGNORECASE)
_HEX_NUMBER = re.compile(r"0x((?:[0-9a-f]{2})+)", re.IGNORECASE)
_SHORT_MAC = re.compile(r"[0-9a-f]{1,2}(?:[:-][0-9a-f]{1,2}){5}", re.IGNORECASE)

#: What makers leave in SMBIOS where a serial number or an asset tag belongs.
_SHARED = frozenset(
    each.strip()
    for each in """
    none|null|n/a|na|unknown|empty|oem|o.e.m.|invalid|default string|default|not available
    not specified|not applicable|not settable|to be filled by o.e.m.|to be filled by oem
    system serial number|chassis serial number|base board serial number|serial number
    asset tag|no asset tag|no asset information|asset-1234567890|123456789|1234567890|0123456789
    system serial|sys-1234567890|chassis asset tag|system asset tag|standard|type1sku0|tbd
    """.replace("\n", "|").split("|")
)
_FILLERS = " .-_*?0x"


def inventory_mark(text: str) -> str:
    """Return a serial number or asset tag as it is compared: without case and outer blanks.

    Empty if it is one of those that many machines share: they identify nobody.
    """
    mark = text.strip(" \t\r\n\0").casefold()
    return "" if mark in _SHARED or not mark.strip(_FILLERS) else mark


def octets(text: str) -> bytes:
    """Return a client or circuit id: ``01:52:54:0a``, ``0x0152540a``, or else text in UTF-8."""
    if _HEX.fullmatch(text):
        return bytes(int(pair, 16) for pair in text.split(":"))
    if number := _HEX_NUMBER.fullmatch(text):
        return bytes.fromhex(number[1])
    return text.encode()


def unpadded_mac(text: str) -> str:
    """Return a MAC address of which ``ethers`` and DHCP servers may leave out leading zeros.

    :raises ValueError: if it is none.
    """
    if _SHORT_MAC.fullmatch(text):
        text = ":".join(pair.zfill(2) for pair in re.split("[:-]", text))
    return parse_mac(text)
