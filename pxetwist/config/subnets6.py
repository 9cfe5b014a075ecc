"""The section ``[subnet6:NAME]``."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import attrs

from pxetwist.config.bind import bind, did_you_mean
from pxetwist.config.fields import (
    Converter,
    Keyed,
    address6,
    boolean,
    integer,
    list_of,
    network6,
    option,
    pool6,
    seconds,
)
from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError, WireError
from pxetwist.model.lease import Pool
from pxetwist.model.network6 import Network6
from pxetwist.wire.dhcp6_options import write_names
from pxetwist.wire.dhcp6_text import option_name
from pxetwist.wire.iana import Dhcp6Option

_NAMES = {option_name(code): int(code) for code in Dhcp6Option}
#: What the server makes itself.
_OURS = range(1, 15)


def _option(key: str, value: str) -> tuple[int, bytes]:
    number = int(key) if key.isdigit() else _NAMES.get(key)
    if number is None or not 0 < number < 0x10000:
        hint = did_you_mean(key, list(_NAMES))
        raise ValueError(f"{key!r} is no DHCPv6 option{hint or '; its number will do as well'}")
    if number in _OURS:
        raise ValueError(f"{key!r} is an option that the server makes itself")
    if value.startswith("hex:"):
        return number, bytes.fromhex(value.removeprefix("hex:").replace(":", ""))
    return number, value.encode()


def _domain(value: str) -> str:
    try:
        write_names([value])
    except WireError as error:
        raise ValueError(error.reason) from None
    return str(value)


_domains = list_of(Converter("a domain like lab.example", _domain))


@attrs.frozen
class Subnet6Settings:
    """``[subnet6:NAME]``: one IPv6 network, and what its clients are told."""

    network: IPv6Network = option(network6, doc="The network and its prefix length.")
    pool: tuple[Pool, ...] = option(
        list_of(pool6), default=(), doc="Addresses to give to machines without a reservation."
    )
    name_servers: tuple[IPv6Address, ...] = option(
        list_of(address6), default=(), doc="DNS servers."
    )
    domain: tuple[str, ...] = option(
        _domains, default=(), doc="Domains in which clients look for short names."
    )
    time_servers: tuple[IPv6Address, ...] = option(
        list_of(address6), default=(), doc="NTP servers."
    )
    lease_time: float = option(seconds, default=3600, doc="How long a lease lasts.")
    preference: int = option(
        integer(0, 255),
        default=0,
        doc="What servers are chosen by where there are several; 255: at once.",
    )
    rapid_commit: bool = option(
        boolean,
        default=False,
        doc="Whether clients that wish so get a lease with two messages instead of four.",
    )
    solicit_max: float = option(
        seconds,
        default=0,
        doc="How long clients without an answer wait at the most, 1m to 1d; 0: as they like.",
    )
    options: dict[int, bytes] = option(
        Keyed("option.NAME or option.NUMBER, as text or as hex:0a0b", _option, prefix="option"),
        default=attrs.Factory(dict),
        doc="Further DHCPv6 options, by name or number.",
    )
    advertise: bool = option(
        boolean, default=False, doc="Whether to send router advertisements (RFC 4861)."
    )
    managed: bool | None = option(
        boolean,
        default=None,
        doc="Whether they send hosts to DHCPv6 for addresses. Left out: if there is a pool.",
    )
    slaac: bool = option(
        boolean, default=False, doc="Whether hosts may make addresses of the prefix themselves."
    )
    router: bool = option(
        boolean, default=False, doc="Whether this host is advertised as a default router."
    )

    def __attrs_post_init__(self) -> None:
        """Check that the values fit together."""
        for each in self.pool:
            if each.first not in self.network or each.last not in self.network:
                raise ValueError(f"pool: {each.first} - {each.last} is not in {self.network}")
        if self.solicit_max and not 60 <= self.solicit_max <= 86400:
            raise ValueError("solicit-max: expected 1m to 1d (RFC 8415 §21.24)")
        if self.slaac and self.network.prefixlen != 64:
            raise ValueError("slaac: hosts need a network of /64 for that (RFC 4862 §5.5.3)")
        for name in ("slaac", "router", "managed"):
            if getattr(self, name) and not self.advertise:
                raise ValueError(f"{name}: has no effect without advertise = yes")


def read_network6(section: Section, errors: list[ConfigError]) -> Network6 | None:
    """Make the network of a section."""
    found = bind(Subnet6Settings, section, errors)
    if found is None:
        return None
    return Network6(
        name=section.name,
        network=found.network,
        pools=found.pool,
        name_servers=found.name_servers,
        search=found.domain,
        time_servers=found.time_servers,
        lifetime=int(found.lease_time),
        preference=found.preference,
        rapid_commit=found.rapid_commit,
        solicit_max=int(found.solicit_max),
        options=found.options,
        advertise=found.advertise,
        managed=bool(found.pool) if found.managed is None else found.managed,
        slaac=found.slaac,
        router=found.router,
    )
