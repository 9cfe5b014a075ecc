"""The sections of the DHCP server: ``[subnet:…]``, ``[shared-network:…]`` and ``[class:…]``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Network

import attrs

from pxetwist.config.bind import bind, did_you_mean
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
from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError
from pxetwist.exchange.dhcp4_options import INFINITE
from pxetwist.exchange.dhcp4_replies import LONG
from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Layer, LeaseTimes, Network, Pool
from pxetwist.policies.conditions import Expression, Vocabulary, holds, why
from pxetwist.wire.option_text import Place, assembled, parse_code, parse_option
from pxetwist.wire.options import OptionCode as O

#: How long a lease lasts if nothing is said, in seconds.
_USUAL = 3600


def _lease_seconds(value: str) -> int:
    if value == "infinite":
        return INFINITE
    found = int(seconds(value))
    if not 0 < found < INFINITE:
        raise ValueError("out of bounds")
    return found


def _option_code(value: str) -> int:
    """Expect the name or number of an option."""
    return parse_code(value)


_lease_time: Converter[int] = Converter(
    "a duration like 90, 10m, 1h or 1d, or infinite", _lease_seconds
)
_pools: Converter[tuple[Pool, ...]] = list_of(pool)
_options: Keyed[Place, bytes] = Keyed(
    "option.NAME or option.NUMBER; the value as the option has it, or with its type before it:"
    " hex:0a0b, text:…, address:…, u8:…, u16:…, u32:…, names:…, routes:…",
    parse_option,
    prefix="option",
)


@attrs.frozen
class _Common:
    """What subnets, shared networks and classes may say alike."""

    lease_time: int | None = option(
        _lease_time, default=None, doc="How long a lease lasts; an hour if nothing else is said."
    )
    min_lease_time: int | None = option(
        _lease_time, default=None, doc="The shortest lease that a client may wish for."
    )
    max_lease_time: int | None = option(
        _lease_time, default=None, doc="The longest lease that a client may wish for."
    )
    boot_lease_time: int | None = option(
        _lease_time, default=None, doc="How long a lease of firmware or of a loader lasts."
    )
    options: dict[Place, bytes] = option(
        _options, default=attrs.Factory(dict), doc="DHCP options, by name or number."
    )
    always_send: tuple[int, ...] = option(
        list_of(_option_code),
        default=(),
        doc="Options that clients get which did not ask for them.",
    )

    def __attrs_post_init__(self) -> None:
        """Check what several options say together."""
        assembled(self.options, frozenset(LONG))
        bounds = (self.min_lease_time, self.lease_time, self.max_lease_time)
        given = [bound for bound in bounds if bound is not None]
        if given != sorted(given):
            raise ValueError("expected min-lease-time <= lease-time <= max-lease-time")

    def layer(self, origin: str) -> Layer:
        """Return the options."""
        return Layer(origin, assembled(self.options, frozenset(LONG)), frozenset(self.always_send))

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
    domain: str = option(text, default="", doc="The domain of the clients' names.")
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


@attrs.frozen
class Networks:
    """What the INI says of networks and their clients."""

    networks: Mapping[str, Network]
    classes: tuple[ClientClass, ...]


def read_networks(
    subnets: Sequence[Section],
    shared: Sequence[Section],
    classes: Sequence[Section],
    errors: list[ConfigError],
) -> Networks:
    """Make networks and classes of their sections."""
    wires = {each.name: bind(SharedNetworkSettings, each, errors) for each in shared}
    found = {each.name: bind(SubnetSettings, each, errors) for each in subnets}
    networks: dict[str, Network] = {}
    for section in subnets:
        settings = found[section.name]
        if settings is not None:
            errors += _mistakes(section, settings, wires, networks)
            networks[section.name] = _network(section, settings, wires)
    used = {each.shared_network for each in found.values() if each}
    for section in shared:
        if section.name not in used and None not in found.values():
            errors.append(section.error("no subnet says shared-network = " + section.name))
    names = (*found, *wires)
    made = [_class(section, names, networks, errors) for section in classes]
    return Networks(networks, tuple(each for each in made if each))


def _mistakes(
    section: Section,
    settings: SubnetSettings,
    wires: Iterable[str],
    before: Mapping[str, Network],
) -> Iterator[ConfigError]:
    for other in before.values():
        if settings.network.overlaps(other.network):
            message = f"{settings.network} overlaps {other.network} of [subnet:{other.name}]"
            yield section.error(message, "network")
    name = settings.shared_network
    if name and name not in wires and any(True for _ in wires):
        hint = did_you_mean(name, wires)
        yield section.error(f"there is no [shared-network:{name}]{hint}", "shared-network")


def _network(
    section: Section,
    settings: SubnetSettings,
    wires: Mapping[str, SharedNetworkSettings | None],
) -> Network:
    """Complete a subnet with what its wire says."""
    wire = wires.get(settings.shared_network) or SharedNetworkSettings()
    own = settings.layer("")
    times = settings.lease_times.over(wire.lease_times)
    given = section.options

    def chosen(name: str) -> bool:
        said = settings if name in given else wire
        return said.bootp == "dynamic" if name == "bootp" else bool(_of(said, name))

    return Network(
        name=section.name,
        network=settings.network,
        pools=settings.pools,
        routers=settings.routers,
        name_servers=settings.name_servers,
        time_servers=settings.time_servers,
        domain=settings.domain,
        authoritative=chosen("authoritative"),
        options=own.options,
        always=own.always,
        lease_time=times.normal or _USUAL,
        lease_times=attrs.evolve(times, normal=None),
        shared=settings.shared_network,
        inherited=_inherited(settings.shared_network, wire),
        rapid_commit=chosen("rapid-commit"),
        dynamic_bootp=chosen("bootp"),
        conflict_check=chosen("conflict-check"),
    )


def _of(settings: SharedNetworkSettings, name: str) -> bool:
    values = {
        "authoritative": settings.authoritative,
        "rapid-commit": settings.rapid_commit,
        "conflict-check": settings.conflict_check,
    }
    return values[name]


def _inherited(name: str, wire: SharedNetworkSettings) -> Layer | None:
    layer = wire.layer(f"[shared-network:{name}]")
    words = {
        O.DOMAIN_NAME_SERVERS: b"".join(each.packed for each in wire.name_servers),
        O.NTP_SERVERS: b"".join(each.packed for each in wire.time_servers),
        O.DOMAIN_NAME: wire.domain.encode(),
    }
    options = {int(code): value for code, value in words.items() if value} | dict(layer.options)
    if not options and not layer.always:
        return None
    return attrs.evolve(layer, options=options)


def _class(
    section: Section,
    known: Iterable[str],
    networks: Mapping[str, Network],
    errors: list[ConfigError],
) -> ClientClass | None:
    settings = bind(ClassSettings, section, errors)
    if settings is None:
        return None
    for name in settings.subnets:
        if name not in known:
            hint = did_you_mean(name, known)
            errors.append(section.error(f"there is no [subnet:{name}]{hint}", "subnets"))
    try:
        expression: Expression = Vocabulary(networks).parse(settings.match)
    except ValueError as error:
        errors.append(section.error(str(error), "match"))
        return None
    return ClientClass(
        section.name,
        partial(holds, expression),
        settings.layer(f"[class:{section.name}]"),
        settings.lease_times,
        frozenset(settings.subnets),
        partial(why, expression),
    )
