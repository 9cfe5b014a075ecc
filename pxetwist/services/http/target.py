"""What an HTTP request asks for, and on whose behalf."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes
from uuid import UUID

import attrs

from pxetwist.boot.neighbours import peer_address
from pxetwist.interfaces import Site
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware, inventory_mark, parse_mac
from pxetwist.wire.iana import Architecture
from pxetwist.wire.pxe import MOST_ARCHITECTURE

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")
_ABSOLUTE = re.compile(rb"https?://[^/?]*", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,}")
_AGENTS = (("iPXE/", Firmware.IPXE), ("UefiHttpBoot/", Firmware.UEFI_HTTP))


_NOTHING = ClientIdentity()


class BadTarget(ValueError):
    """The request target is malformed."""


@attrs.frozen
class Target:
    """What a request asks for: a path (without the token before it), a token, a query."""

    path: ContentPath
    token: str = ""
    query: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    def parse(cls, uri: bytes) -> Target:
        """Read a request target; doubled slashes vanish without a redirect (shim, firmware).

        ``/boot/TOKEN/path`` carries the token of a machine. Other paths below ``/boot`` are
        paths like any other.

        :raises BadTarget: if it is malformed.
        :raises ValueError: if it is empty or climbs out of the root.
        """
        if not uri.startswith(b"/"):
            uri = _ABSOLUTE.sub(b"", uri, count=1)
        raw, _, query = uri.partition(b"?")
        if not raw.startswith(b"/") or _BAD_ESCAPE.search(raw):
            raise BadTarget(f"malformed: {uri!r}")
        path, token = ContentPath.parse(unquote_to_bytes(raw)), ""
        if len(path.parts) > 2 and path.parts[0] == "boot" and _TOKEN.fullmatch(path.parts[1]):
            token, path = path.parts[1], ContentPath(path.parts[2:])
        if not query:
            return cls(path, token)
        plain = query.decode("latin-1").replace("+", "%2B")  # iPXE leaves it; it is no space
        pairs = parse_qs(plain, max_num_fields=50)
        return cls(path, token, {name: values[0] for name, values in pairs.items()})


async def identify(
    site: Site, target: Target, peer: str, agent: str
) -> tuple[ClientIdentity, str] | None:
    """Find out who asks: by token, by ``mac=`` or ``uuid=``, else by the peer's address.

    ``serial=`` and ``asset=`` add to that. Of a machine that is known by nothing but the
    ``mac=`` beside them they are hearsay, which must not decide what that machine boots.

    Return the identity and the id of its boot; `None` if the token is not ours. What a peer says
    is passed over if it is known to be another machine.
    """
    now = site.reactor.seconds()
    said = _said(target.query) if target.query else _NOTHING
    if target.token:
        found: tuple[ClientIdentity, str] | None = site.boot.redeem(target.token, now)
        if found is None:
            return None
        identity, boot_id = found
    else:
        identity, boot_id = await site.boot.identify(peer, now)
        if said.mac and identity.mac and said.mac != identity.mac:
            said = _NOTHING  # nobody is given the answer of another machine
        if not identity.key:  # known by nothing else, as a client behind a router
            said = attrs.evolve(said, serial="", asset="") if said.mac else said
            identity, boot_id = said, ""
        elif said.architecture is not None:
            identity = attrs.evolve(identity, architecture=said.architecture)
    news: dict[str, Any] = {}
    if said.serial or said.asset:
        news |= {"serial": said.serial, "asset": said.asset}
    address = peer_address(peer)
    known = identity.address
    if address is not None and address is not known and address != known:
        news["address"] = address
    if agent and identity.firmware is Firmware.UNKNOWN:
        named = (firmware for start, firmware in _AGENTS if agent.startswith(start))
        firmware = next(named, Firmware.UNKNOWN)
        news |= {"firmware": firmware} if firmware is not Firmware.UNKNOWN else {}
    return attrs.evolve(identity, **news) if news else identity, boot_id


def _said(query: dict[str, str]) -> ClientIdentity:
    """Read what a loader's script says of its machine; what cannot be read is passed over."""
    mac, uuid, architecture = "", None, None
    with suppress(ValueError):
        mac = parse_mac(query.get("mac", ""))
    with suppress(ValueError):
        uuid = UUID(query.get("uuid", ""))
    name = query.get("arch", "")
    if name.isascii() and name.isdigit() and len(name) < 6:
        number = int(name)
        architecture = Architecture(number) if number <= MOST_ARCHITECTURE else None
    elif name:
        architecture = next((code for code in Architecture if code.short == name), None)
    return ClientIdentity(
        mac=mac,
        uuid=uuid,
        architecture=architecture,
        serial=_mark(query, "serial"),
        asset=_mark(query, "asset"),
    )


def _mark(query: dict[str, str], name: str) -> str:
    """Return what a board says of itself, if it says anything.

    ``NAME.hex`` is the same in hexadecimal: Debian's iPXE of 2019 sends an encoded ``&`` bare.
    """
    value = query.get(name, "")
    with suppress(ValueError):
        value = value or bytes.fromhex(query.get(f"{name}.hex", "")).decode()
    return value.strip() if value.isprintable() and inventory_mark(value) else ""
