"""What directories with questions of a site's own may ask by: an identity as named texts."""

from __future__ import annotations

from collections.abc import Mapping

from pxetwist.hosts.marks import octets
from pxetwist.model.identity import ClientIdentity, inventory_mark, swapped

#: The names, in the order of the documentation, and what they are.
PARAMETERS: Mapping[str, str] = {
    "mac": "52:54:00:12:34:56",
    "mac_dashed": "52-54-00-12-34-56",
    "mac_bare": "525400123456",
    "uuid": "the UUID as Linux prints it",
    "uuid_swapped": "the UUID as firmware of SMBIOS < 2.6 spells it",
    "serial": "the serial number (SMBIOS)",
    "asset": "the asset tag (SMBIOS)",
    "certificate": "the name in the certificate that it showed over TLS",
    "hostname": "the name that the client gives itself (option 12)",
    "client_id": "option 61, like 01:52:54:00:12:34:56",
    "circuit_id": "the port of the switch (option 82.1): text, or like 00:04:00:01",
    "remote_id": "the switch (option 82.2): text, or like 00:04:00:01",
}


def parameters_of(identity: ClientIdentity) -> dict[str, str | None]:
    """Return every parameter of an identity; `None` is what it lacks.

    What no database can hold (NUL, half a surrogate pair) identifies nobody and is lacking too.
    """
    mac, uuid, relay = identity.mac, identity.uuid, identity.relay
    values = {
        "mac": mac,
        "mac_dashed": mac.replace(":", "-"),
        "mac_bare": mac.replace(":", ""),
        "uuid": str(uuid) if uuid else "",
        "uuid_swapped": str(swapped(uuid)) if uuid else "",
        "serial": _inventoried(identity.serial),
        "asset": _inventoried(identity.asset),
        "certificate": identity.certificate,
        "hostname": identity.hostname,
        "client_id": _digits(identity.client_id),
        "circuit_id": _spelled(relay.circuit_id) if relay else "",
        "remote_id": _spelled(relay.remote_id) if relay else "",
    }
    return {name: values[name] if _sane(values[name]) else None for name in PARAMETERS}


def _spelled(raw: bytes) -> str:
    """Spell bytes that are mostly text, so that :func:`octets` reads the same from it."""
    text = raw.decode("latin-1")
    plain = text.isascii() and text.isprintable() and octets(text) == raw
    return text if plain else _digits(raw)


def _digits(raw: bytes) -> str:
    return raw.hex(":") if len(raw) > 1 else f"0x{raw.hex()}" if raw else ""


def _inventoried(text: str) -> str:
    """Return a serial number or asset tag, unless many machines share it."""
    return text.strip(" \t\r\n\0") if inventory_mark(text) else ""


def _sane(text: str) -> bool:
    if not text or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
