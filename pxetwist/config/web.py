"""What the services of a configuration mean for what machines are told: URLs, a log server, and
how to mount.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pxetwist.boot.https import Https
from pxetwist.config.load import Configuration
from pxetwist.model.boot import SecurePort
from pxetwist.model.nfs_root import MOUNT_OPTIONS, mount_options
from pxetwist.services.http.certificates import KeyFiles
from pxetwist.services.http.https import Settings
from pxetwist.services.interfaces import network_interfaces
from pxetwist.services.ports import ALL_IPV4
from pxetwist.wire.syslog import PORT as SYSLOG_PORT


def http_port(configuration: Configuration) -> int:
    """Return the port of the HTTP service, if there is exactly one; else 80."""
    ports = [settings.port for settings in _services(configuration, "http")]
    return int(ports[0]) if len(ports) == 1 else 80


def takes_logs(configuration: Configuration) -> bool:
    """Whether machines may be told to send us what they log: a service listens on all addresses
    of IPv4, and on the port that everybody uses.
    """
    return any(
        each.port == SYSLOG_PORT and (not each.addresses or ALL_IPV4 in map(str, each.addresses))
        for each in _services(configuration, "syslog")
    )


def nfs_options(configuration: Configuration) -> str:
    """Return with which options machines mount our exports: those of the first NFS service."""
    services = _services(configuration, "nfs")
    return mount_options(services[0].port, services[0].mount_port) if services else MOUNT_OPTIONS


def https_ports(configuration: Configuration) -> Https:
    """Return the ports of the HTTPS services; of several of a kind the first one counts."""
    services = _services(configuration, "https")
    plain = not _services(configuration, "http")
    return Https(
        port=_first([each for each in services if each.client_ca is None]),
        certified=_first([each for each in services if each.client_ca is not None]),
        only=plain or any(each.scheme == "https" for each in services),
    )


def _first(services: Sequence[Any]) -> SecurePort | None:
    return SecurePort(services[0].port, services[0].host_name) if services else None


def _services(configuration: Configuration, plugin: str) -> list[Any]:
    """Return the settings of the services of a plugin."""
    services = configuration.of_kind("service")
    return [each.settings for each in services if each.factory.name == plugin]


def https_settings(configuration: Configuration) -> list[Settings]:
    """Return the settings of all HTTPS services; that of the URLs for everybody first."""
    return sorted(_services(configuration, "https"), key=lambda each: each.client_ca is not None)


def names_served(configuration: Configuration) -> tuple[str, ...]:
    """Return the names under which machines are told to find us, where they are shown the
    certificate for all: that of the first service.
    """
    services = https_settings(configuration)
    shown = [each.files().pairs[""] for each in services]
    names = [
        each.host_name for each, files in zip(services, shown, strict=True) if files == shown[0]
    ]
    return tuple(dict.fromkeys(filter(None, names)))


def key_files(configuration: Configuration) -> dict[KeyFiles, str]:
    """Return every certificate of the HTTPS services, that for clients who ask for no name first,
    with the name of which it is; empty for the one of all others.
    """
    found: dict[KeyFiles, str] = {}
    for settings in https_settings(configuration):
        for name, files in sorted(settings.files().pairs.items()):
            found.setdefault(files, name)
    return found


def addresses_served(configuration: Configuration) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return our addresses in URLs: those of the services, else those of this host's interfaces
    in networks of the INI, else all of IPv4.
    """
    chosen = [a for each in https_settings(configuration) for a in each.addresses]
    named = [a for a in chosen if not a.is_unspecified and not a.is_link_local]
    families = {a.version for a in chosen if a.is_unspecified} if chosen else {4, 6}
    found = [a for a in _ours(configuration) if a.version in families] if families else []
    return tuple(dict.fromkeys([*named, *found]))


def address6_served(configuration: Configuration) -> IPv6Address | None:
    """Return our first address in a network of IPv6 of the INI, if we have one there."""
    networks = [each.network for each in configuration.networks6.values()]
    ours = [each.ip for interface in network_interfaces() for each in interface.addresses6]
    return next((a for a in ours if any(a in network for network in networks)), None)


def _ours(configuration: Configuration) -> list[IPv4Address | IPv6Address]:
    interfaces = [each for each in network_interfaces() if each.up]
    four = [each.local for each in interfaces if each.usable]
    networks = [each.network for each in configuration.networks.values()]
    networks6 = [each.network for each in configuration.networks6.values()]
    near = [a for a in four if any(a in network for network in networks)]
    six = [a.ip for each in interfaces for a in each.addresses6]
    near6 = [a for a in six if any(a in network for network in networks6)]
    return [*near, *near6] or [*four]
