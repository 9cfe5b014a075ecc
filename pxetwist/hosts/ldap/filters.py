"""Search filters (RFC 4515). What a machine says of itself is escaped, always and whole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

import attrs

from pxetwist.model.identity import ClientIdentity, swapped

#: Bytes that stand for themselves: all others are written as two hexadecimal digits.
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:")
_ALL_PLAIN = re.compile(r"[a-zA-Z0-9._:-]*")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def escaped(value: str | bytes) -> str:
    """Return a value as it may stand in a filter, whatever its bytes."""
    if isinstance(value, str):
        if _ALL_PLAIN.fullmatch(value):
            return value
        raw = octets(value)
    else:
        raw = value
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02x}" for byte in raw)


def octets(value: str) -> bytes:
    """Return the bytes that stand for a text; those of the wire come back as they were sent."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def equal(attribute: str, value: str | bytes) -> str:
    """Return the filter for entries that have this value."""
    return f"({attribute}={escaped(value)})"


def any_of(filters: Iterable[str]) -> str:
    """Return the filter for entries that one of these is true of; no filters give no filter."""
    terms = list(dict.fromkeys(filters))
    return terms[0] if len(terms) == 1 else f"(|{''.join(terms)})" if terms else ""


def all_of(*filters: str) -> str:
    """Return the filter for entries that all of these are true of; empty ones do not count."""
    terms = [each for each in filters if each]
    return terms[0] if len(terms) == 1 else f"(&{''.join(terms)})"


@attrs.frozen
class MarkFilter:
    """The filter for entries that have one of these values, and that `condition` holds for.

    Requests are made of it as it is; its text is for people.
    """

    condition: str
    values: tuple[tuple[str, str | bytes], ...]

    def __str__(self) -> str:
        """Spell it."""
        return all_of(self.condition, any_of(equal(*each) for each in self.values))


#: Filters as text, or not yet.
Filter = str | MarkFilter


def mac_spellings(mac: str) -> list[str]:
    """Return a MAC address in every spelling that directories hold it in.

    Servers compare ``macAddress`` as text, and Active Directory minds upper and lower case.
    """
    plain = mac.replace(":", "")
    dotted = ".".join(plain[i : i + 4] for i in (0, 4, 8))
    forms = (mac, mac.replace(":", "-"), plain, dotted)
    return list(dict.fromkeys([*forms, *(form.upper() for form in forms)]))


def uuid_spellings(uuid: UUID) -> list[str]:
    """Return a UUID as text, in both byte orders and both cases."""
    texts = (str(uuid), str(swapped(uuid)))
    return list(dict.fromkeys(each for text in texts for each in (text, text.upper())))


def values_of(identity: ClientIdentity) -> dict[str, str | bytes]:
    """Return what may be asked for, by the names of placeholders; what is unknown is empty."""
    uuid = identity.uuid
    return {
        "mac": identity.mac,
        "mac-dashes": identity.mac.replace(":", "-"),
        "mac-plain": identity.mac.replace(":", ""),
        "uuid": str(uuid or ""),
        "uuid-swapped": str(swapped(uuid)) if uuid else "",
        "uuid-bytes": uuid.bytes_le if uuid else b"",
        "hostname": identity.hostname,
        "serial": identity.serial,
        "asset": identity.asset,
        "client-id": identity.client_id,
        "circuit-id": identity.relay.circuit_id if identity.relay else b"",
        "remote-id": identity.relay.remote_id if identity.relay else b"",
        "address": str(identity.address or ""),
    }


@attrs.frozen
class Template:
    """A filter of the site's own, with placeholders like ``{mac}``."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """Check a template.

        :raises ValueError: if a placeholder is unknown or missing.
        """
        known = values_of(ClientIdentity())
        names = _PLACEHOLDER.findall(text)
        for name in names:
            if name not in known:
                raise ValueError(f"{{{name}}} is no placeholder (known: {', '.join(known)})")
        if not names:
            raise ValueError(
                f"{text!r} has no placeholder like {{mac}}: it finds the same for all"
            )
        return cls(text)

    def fill(self, identity: ClientIdentity) -> str:
        """Return the filter for a machine; empty if the machine lacks one of the values."""
        values = values_of(identity)
        if not all(values[name] for name in _PLACEHOLDER.findall(self.text)):
            return ""
        return _PLACEHOLDER.sub(lambda found: escaped(values[found[1]]), self.text)
