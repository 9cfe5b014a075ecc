"""The sections ``[pxe]``, ``[subnet:NAME]`` and ``[loader:NAME]``."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs

from pxetwist.boot.loaders import FAMILIES, Loader
from pxetwist.config.bind import bind, did_you_mean
from pxetwist.config.fields import (
    Converter,
    Keyed,
    address,
    boolean,
    choice,
    expects,
    list_of,
    mac,
    network,
    option,
    path,
    pool,
    seconds,
    text,
)
from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError
from pxetwist.model.lease import Network, Pool
from pxetwist.wire.iana import ARCHITECTURE_NAMES
from pxetwist.wire.options import OptionCode, option_by_name, parse_value

_macs = Converter(expects(list_of(mac)), lambda value: frozenset(list_of(mac)(value)))


@attrs.frozen
class PxeSettings:
    """``[pxe]``: what the server is made of."""

    services: tuple[str, ...] = option(
        list_of(text), doc="What listens; started in this order, stopped in reverse."
    )
    hosts: tuple[str, ...] = option(
        list_of(text), default=(), doc="Directories that know machines, asked in this order."
    )
    merge_hosts: bool = option(
        boolean,
        default=False,
        doc="Ask all directories: later ones add labels, groups, UUID and address to the first.",
    )
    shared_macs: frozenset[str] = option(
        _macs,
        default=frozenset(),
        doc="MAC addresses of docks and adapters: they tell no directory who the machine is.",
    )
    policies: tuple[str, ...] = option(
        list_of(text), default=(), doc="Policies that decide what boots, asked in this order."
    )
    state: str = option(text, default="sqlite", doc="Where leases are kept.")
    content: tuple[str, ...] = option(
        list_of(text), default=(), doc="Stores of files, asked in this order."
    )
    observers: tuple[str, ...] = option(
        list_of(text), default=("log",), doc="Who is told of everything that happens."
    )
    state_folder: Path | None = option(
        path, default=None, doc="Where the server may write; var beside the INI if not given."
    )
    site_plugins: Path | None = option(
        path, default=None, doc="A folder of plugins of your own, one .py file each."
    )
    include: tuple[str, ...] = option(
        list_of(text), default=(), doc="Further INI files, like conf.d/*.ini."
    )

    def __attrs_post_init__(self) -> None:
        """Check that there is something to serve."""
        if not self.services:
            raise ValueError("services is empty: nothing would listen")


#: An option without a shape (RFC 3942 leaves it to sites): its value is written as bytes.
_RAW = 254


def _dhcp_option(key: str, value: str) -> tuple[int, bytes]:
    number = int(key) if key.isdigit() else option_by_name(key)
    if number is None or not 0 < number < 255:
        hint = did_you_mean(key, [code.label for code in OptionCode])
        raise ValueError(f"{key!r} is no DHCP option{hint or '; its number will do as well'}")
    if value.startswith("hex:"):
        return int(number), parse_value(_RAW, value.removeprefix("hex:"))
    return int(number), parse_value(number, value)


@attrs.frozen
class SubnetSettings:
    """``[subnet:NAME]``: one IP network, and what its clients are told."""

    network: IPv4Network = option(network, doc="The network and its mask.")
    pool: tuple[Pool, ...] = option(
        list_of(pool), default=(), doc="Addresses to give to machines without a reservation."
    )
    routers: tuple[IPv4Address, ...] = option(
        list_of(address), default=(), doc="Default gateways, the preferred one first."
    )
    name_servers: tuple[IPv4Address, ...] = option(
        list_of(address), default=(), doc="DNS servers."
    )
    time_servers: tuple[IPv4Address, ...] = option(
        list_of(address), default=(), doc="NTP servers."
    )
    domain: str = option(text, default="", doc="The domain of the clients' names.")
    lease_time: float = option(seconds, default=3600, doc="How long a lease lasts.")
    authoritative: bool = option(
        boolean,
        default=False,
        doc="Whether this is the only DHCP server here, so that wrong addresses are refused.",
    )
    options: dict[int, bytes] = option(
        Keyed(
            "option.NAME or option.NUMBER, as text or as hex:0a0b", _dhcp_option, prefix="option"
        ),
        default=attrs.Factory(dict),
        doc="Further DHCP options, by name or number.",
    )

    def __attrs_post_init__(self) -> None:
        """Check that the pools lie in the network."""
        for each in self.pool:
            if each.first not in self.network or each.last not in self.network:
                raise ValueError(f"pool: {each.first} - {each.last} is not in {self.network}")


@attrs.frozen
class LoaderSettings:
    """``[loader:NAME]``: a network boot program of your own, before the built-in ones."""

    architecture: str = option(choice(*ARCHITECTURE_NAMES), doc="The machines it runs on.")
    family: str = option(choice(*FAMILIES), doc="Which scripts it understands.")
    file: str = option(text, doc="Its content path.")


def read_network(section: Section, errors: list[ConfigError]) -> Network | None:
    """Make the network of a section."""
    found = bind(SubnetSettings, section, errors)
    if found is None:
        return None
    return Network(
        name=section.name,
        network=found.network,
        pools=found.pool,
        routers=found.routers,
        name_servers=found.name_servers,
        time_servers=found.time_servers,
        domain=found.domain,
        lease_time=int(found.lease_time),
        authoritative=found.authoritative,
        options=found.options,
    )


def read_loader(section: Section, errors: list[ConfigError]) -> Loader | None:
    """Make the loader of a section."""
    found = bind(LoaderSettings, section, errors)
    return Loader(found.architecture, found.family, found.file) if found else None
