"""What ``[subnet:…]``, ``[shared-network:…]`` and ``[class:…]`` may say."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import attrs

from pxetwist.config.fields import (
    Converter,
    Keyed,
    address,
    boolean,
    choice,
    list_of,
    network,
    option,
    pool,
    seconds,
    text,
)
from pxetwist.exchange.dhcp4_options import INFINITE
from pxetwist.exchange.dhcp4_replies import LONG
from pxetwist.model.lease import Layer, LeaseTimes, Pool
from pxetwist.wire.option_text import Place, assembled, parse_code, parse_option
from pxetwist.wire.structures import NAMES


def _lease_seconds(value: str) -> int:
    if value == "infinite":
        return INFINITE
    found = int(seconds(value))
    if not 0 < found < INFINITE:
        raise ValueError("out of bounds")
    return found


def _domain(value: str) -> str:
    [name] = NAMES.parse(value)
    return name


def _option_code(value: str) -> int:
    """Expect the name or number of an option."""
    return parse_code(value)


lease_seconds: Converter[int] = Converter(
    "a duration like 90, 10m, 1h or 1d, or infinite", _lease_seconds
)
domain_name: Converter[str] = Converter("a domain like lab.example", _domain)
_pools: Converter[tuple[Pool, ...]] = list_of(pool)


def _option(key: str, value: str) -> tuple[Place, bytes]:
    place, raw = parse_option(key, value)
    if len(raw) > 255 and (len(place) > 1 or place[0] not in LONG):
        raise ValueError(f"expected at most 255 bytes, got {len(raw)}")
    return place, raw


_options: Keyed[Place, bytes] = Keyed(
    "option.NAME or option.NUMBER; the value as the option has it, or with its type before it:"
    " hex:0a0b, text:…, address:…, u8:…, u16:…, u32:…, names:…, routes:…",
    _option,
    prefix="option",
)


@attrs.frozen
class _Common:
    """What subnets, shared networks and classes may say alike."""

    lease_time: int | None = option(
        lease_seconds, default=None, doc="How long a lease lasts; an hour if nothing else is said."
    )
    min_lease_time: int | None = option(
        lease_seconds, default=None, doc="The shortest lease that a client may wish for."
    )
    max_lease_time: int | None = option(
        lease_seconds, default=None, doc="The longest lease that a client may wish for."
    )
    boot_lease_time: int | None = option(
        lease_seconds, default=None, doc="How long a lease of firmware or of a loader lasts."
    )
    options: dict[Place, bytes] = option(
        _options, default=attrs.Factory(dict), doc="DHCP options, by name or number."
    )
    always_send: tuple[int, ...] = option(
        list_of(_option_code),
        default=(),
        doc="Options that clients get which did not ask for them.",
    )

    next_server: IPv4Address | None = option(
        address,
        default=None,
        doc="The next server of clients that do not boot from here, such as telephones.",
    )

    def __attrs_post_init__(self) -> None:
        """Check what several options say together."""
        assembled(self.options, frozenset(LONG))
        least, usual, most = self.min_lease_time, self.lease_time, self.max_lease_time
        given = [bound for bound in (least, usual, most) if bound is not None]
        if given != sorted(given):
            name = "min-lease-time" if most is None else "max-lease-time"
            raise ValueError(f"{name}: expected min-lease-time <= lease-time <= max-lease-time")

    def layer(self, origin: str) -> Layer:
        """Return the options."""
        options = assembled(self.options, frozenset(LONG))
        return Layer(origin, options, frozenset(self.always_send), self.next_server)

    @property
    def lease_times(self) -> LeaseTimes:
        """Return the times."""
        return LeaseTimes(
            self.lease_time, self.min_lease_time, self.max_lease_time, self.boot_lease_time
        )


@attrs.frozen
class SharedNetworkSettings(_Common):
    """``[shared-network:NAME]``: several networks on one wire, and what they have in common."""

    name_servers: tuple[IPv4Address, ...] = option(
        list_of(address), default=(), doc="DNS servers."
    )
    time_servers: tuple[IPv4Address, ...] = option(
        list_of(address), default=(), doc="NTP servers."
    )
    domain: str = option(domain_name, default="", doc="The domain of the clients' names.")
    authoritative: bool = option(
        boolean,
        default=False,
        doc="Whether this is the only DHCP server here, so that wrong addresses are refused.",
    )
    rapid_commit: bool = option(
        boolean,
        default=False,
        doc="Whether clients that ask for it get their lease at once (RFC 4039): only where no"
        " other server answers them, too.",
    )
    conflict_check: bool = option(
        boolean,
        default=False,
        doc="Whether to ask, by ARP or beyond relay agents by ping, if somebody has an address"
        " before it is offered; an offer waits for that, 0.3 s at most.",
    )
    bootp: str = option(
        choice("reserved", "dynamic"),
        default="reserved",
        doc="Whether BOOTP clients get their reservations only, or addresses of the pools, too,"
        " for ever.",
    )


@attrs.frozen
class SubnetSettings(SharedNetworkSettings):
    """``[subnet:NAME]``: one IP network, and what its clients are told."""

    network: IPv4Network = option(network, doc="The network and its mask.")
    pool: tuple[Pool, ...] = option(
        _pools, default=(), doc="Addresses to give to machines without a reservation."
    )
    exclude: tuple[Pool, ...] = option(
        _pools, default=(), doc="Addresses in the pools that are not given."
    )
    routers: tuple[IPv4Address, ...] = option(
        list_of(address), default=(), doc="Default gateways, the preferred one first."
    )
    shared_network: str = option(
        text, default="", doc="The name of the wire, if other networks lie on it as well."
    )

    def __attrs_post_init__(self) -> None:
        """Check that the pools lie in the network, and the exclusions in the pools."""
        super().__attrs_post_init__()
        for each in self.pool:
            if each.first not in self.network or each.last not in self.network:
                raise ValueError(f"pool: {each} is not in {self.network}")
        for each in self.exclude:
            if not any(each.first in pool and each.last in pool for pool in self.pool):
                raise ValueError(f"exclude: {each} is in no pool")
        if self.pool and not self.pools:
            raise ValueError("exclude: nothing is left of the pool")
        self._check_given()

    def _check_given(self) -> None:
        """See that nobody is given an address that belongs to the network or a router."""
        net = self.network
        taken = dict.fromkeys(self.routers, "a router")
        if net.prefixlen < 31:
            taken |= {net[0]: "the network itself", net[-1]: "the broadcast address"}
        for each in self.pools:
            for found, what in taken.items():
                if found in each:
                    raise ValueError(f"pool: {each} holds {found}, {what}; mend: exclude = …")

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Return the pools without what is excluded."""
        pools = self.pool
        for hole in self.exclude:
            pools = tuple(part for each in pools for part in each.without(hole))
        return pools


@attrs.frozen
class ClassSettings(_Common):
    """``[class:NAME]``: some clients, in whichever network, and what they are told."""

    match: str = option(text, doc="Who they are, in the language of the policy `rules`.")
    subnets: tuple[str, ...] = option(
        list_of(text),
        default=(),
        doc="Subnets and shared networks where it holds. Left out: everywhere.",
    )
