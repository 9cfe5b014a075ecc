"""What a directory says of a machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

import attrs


@attrs.frozen
class Machine:
    """One machine of a site, as its host directory knows it.

    `address` is a reservation, `address6` one of IPv6. `labels` are the facts that rules match
    and templates print; the names ``profile`` (what it boots) and ``loader`` (how) are looked at
    by built-ins.
    `certificate` is the name in the one that it can show over TLS, which identifies it as well.
    `groups` are the names of the groups that it belongs to, nested ones included. `serial`,
    `asset`, `client_id`, `circuit_id` and `remote_id` identify it as the fields of
    `ClientIdentity` do; with the last two it is the one behind that port of that switch.
    `provenance` says for people where the answer came from (``ldaps://dc1, 12 ms``).
    """

    name: str
    macs: tuple[str, ...] = ()
    uuid: UUID | None = None
    address: IPv4Address | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)
    directory: str = ""
    groups: tuple[str, ...] = ()
    serial: str = ""
    asset: str = ""
    client_id: bytes = b""
    circuit_id: bytes = b""
    remote_id: bytes = b""
    provenance: str = attrs.field(default="", eq=False)
    address6: IPv6Address | None = None
    certificate: str = ""

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """What is reserved for it."""
        return tuple(each for each in (self.address, self.address6) if each is not None)


def host_name(name: str) -> str:
    """Spell a machine's name as hosts may be called (RFC 1123 §2.1)."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.")
