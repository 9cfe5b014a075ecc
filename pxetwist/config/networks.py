"""From the sections of the DHCP server to networks and classes of clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import attrs

from pxetwist.config.bind import bind, did_you_mean
from pxetwist.config.ini import Section
from pxetwist.config.subnets import ClassSettings, SharedNetworkSettings, SubnetSettings
from pxetwist.errors import ConfigError
from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Layer, Network
from pxetwist.policies.conditions import PASSING, Expression, Vocabulary, conditions, holds, why
from pxetwist.policies.judgement import strange_names
from pxetwist.policies.outcomes import NEXT, Outcome
from pxetwist.wire.options import OptionCode as O

#: How long a lease lasts if nothing is said, in seconds.
_USUAL = 3600


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
        next_server=own.next_server,
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
    if not options and not layer.always and not layer.next_server:
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
    if not settings.match:
        errors.append(section.error("it is empty; any stands for all clients", "match"))
        return None
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
        partial(strange_names, expression, Outcome(NEXT)),
        any(each.key in PASSING for each in conditions(expression)),
    )
