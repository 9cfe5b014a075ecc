"""The section ``[subnet6:NAME]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, IPv6Network

import attrs

from pxetwist.config.bind import bind, did_you_mean
from pxetwist.config.fields import (
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
from pxetwist.config.subnets import domain_name, lease_seconds
from pxetwist.errors import ConfigError
from pxetwist.model.lease import Pool
from pxetwist.model.network6 import Network6
from pxetwist.wire.dhcp6_text import option_name
from pxetwist.wire.iana import Dhcp6Option
from pxetwist.wire.shapes import OCTETS

_NAMES = {option_name(code): int(code) for code in Dhcp6Option}
#: What the server makes itself.
_OURS = range(1, 15)
#: What is no text, and what else says it.
_NO_TEXT: Mapping[int, str] = {
    Dhcp6Option.NAME_SERVERS: "name-servers",
    Dhcp6Option.DOMAIN_SEARCH: "domain",
    Dhcp6Option.SNTP_SERVERS: "time-servers",
    Dhcp6Option.NTP_SERVER: "time-servers",
    Dhcp6Option.SOLICIT_MAX_RT: "solicit-max",
    Dhcp6Option.INFORMATION_MAX_RT: "solicit-max",
    Dhcp6Option.INFORMATION_REFRESH: "lease-time",
    Dhcp6Option.BOOT_FILE_PARAMETERS: "",
}


def _option(key: str, value: str) -> tuple[int, bytes]:
    number = int(key) if key.isascii() and key.isdigit() else _NAMES.get(key)
    if number is None or not 0 < number < 0x10000:
        hint = did_you_mean(key, list(_NAMES))
        raise ValueError(f"{key!r} is no DHCPv6 option{hint or '; its number will do as well'}")
    if number in _OURS:
        raise ValueError(f"{key!r} is an option that the server makes itself")
    kind, colon, rest = value.partition(":")
    if colon and kind == "hex":
        return number, OCTETS.parse(rest)
    if number in _NO_TEXT:
        other = f"; mend: {_NO_TEXT[number]} = …" if _NO_TEXT[number] else ""
        raise ValueError(f"expected bytes like hex:0a0b, for it is no text, got {value!r}{other}")
    if not value:
        raise ValueError("expected text, or bytes like hex:0a0b, got nothing")
    return number, value.encode()


_domains = list_of(domain_name)


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
    lease_time: int = option(lease_seconds, default=3600, doc="How long a lease lasts.")
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


def read_networks6(
    sections: Iterable[Section], errors: list[ConfigError]
) -> Mapping[str, Network6]:
    """Make the networks of sections."""
    networks: dict[str, Network6] = {}
    for section in sections:
        found = bind(Subnet6Settings, section, errors)
        if found is not None:
            network = _network(section.name, found)
            for other in networks.values():
                if network.network.overlaps(other.network):
                    message = (
                        f"{network.network} overlaps {other.network} of [subnet6:{other.name}]"
                    )
                    errors.append(section.error(message, "network"))
            networks[section.name] = network
    return networks


def _network(name: str, found: Subnet6Settings) -> Network6:
    return Network6(
        name=name,
        network=found.network,
        pools=found.pool,
        name_servers=found.name_servers,
        search=found.domain,
        time_servers=found.time_servers,
        lifetime=found.lease_time,
        preference=found.preference,
        rapid_commit=found.rapid_commit,
        solicit_max=int(found.solicit_max),
        options=found.options,
        advertise=found.advertise,
        managed=bool(found.pool) if found.managed is None else found.managed,
        slaac=found.slaac,
        router=found.router,
    )
