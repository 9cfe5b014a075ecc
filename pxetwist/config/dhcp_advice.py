"""What is no mistake in the sections of the DHCP servers, and yet will not do what is meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address
from itertools import combinations

from pxetwist.config.bind import did_you_mean
from pxetwist.config.load import Configuration
from pxetwist.exchange.dhcp4_options import network_layers
from pxetwist.model.lease import Layer, Network
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.client_options import machine_layer
from pxetwist.services.dhcp.proxy_offers import label_mistake
from pxetwist.services.interfaces import network_interfaces
from pxetwist.wire.options import OptionCode as O

#: Services that answer on interfaces.
_ON_LINKS = ("dhcp", "dhcp6", "proxydhcp")


def dhcp_advice(configuration: Configuration, machines: Collection[Machine]) -> Iterator[str]:
    """Yield a sentence for each thing that looks wrong; the machines are those that are listed."""
    services = {each.factory.name for each in configuration.of_kind("service")}
    networks6 = [each.network for each in configuration.networks6.values()]
    if "dhcp6" in services and networks6:
        for machine in machines:
            address = machine.address6
            if address is not None and not any(address in each for each in networks6):
                yield (
                    f"{machine.provenance}: machine {machine.name}: its address6 {address} is in"
                    " no [subnet6:…]: it gets another one"
                )
    if "dhcp" not in services:
        return
    networks = configuration.networks.values()
    yield from own_addresses(networks)
    for network in networks:
        yield from slips(network)
    for layer in {id(each): each for each in _layers(configuration)}.values():
        yield from misleading(layer)
    for machine in machines:
        place = f"{machine.provenance}: machine {machine.name}: "
        yield from (place + mistake for mistake in machine_layer(machine).mistakes)
        if machine.address is not None and networks:
            found = reservation(machine.address, networks)
            if found:
                yield f"{place}its address {machine.address} {found}"


def proxy_advice(configuration: Configuration, machines: Collection[Machine]) -> Iterator[str]:
    """Yield a sentence for each machine that wants a kind of offer which there is not."""
    if "proxydhcp" in {each.factory.name for each in configuration.of_kind("service")}:
        yield from filter(None, map(label_mistake, machines))


def interfaces_elsewhere(configuration: Configuration) -> Iterator[str]:
    """Interfaces that are not here, and those that two services want to have."""
    here = {each.name for each in network_interfaces()}
    services = [
        each for each in configuration.of_kind("service") if each.factory.name in _ON_LINKS
    ]
    for each in services:
        for name in each.settings.interfaces:
            if name not in here:
                hint = did_you_mean(name, here)
                yield (
                    f"[{each.title}] interfaces: there is no {name} on this host now, so the"
                    f" server will wait for it{hint}"
                )
    for one, other in combinations((each for each in services if each.factory.name != "dhcp6"), 2):
        mine, theirs = set(one.settings.interfaces), set(other.settings.interfaces)
        if not mine or not theirs or mine & theirs:
            yield (
                f"[{one.title}] and [{other.title}] both want port 67 of an interface: dhcp tells"
                " machines what to boot by itself, so leave one out, or name other interfaces"
                " for each"
            )


def _layers(configuration: Configuration) -> Iterator[Layer]:
    for network in configuration.networks.values():
        yield from network_layers(network)
    yield from (each.layer for each in configuration.classes)


def misleading(layer: Layer) -> Iterator[str]:
    """Options that do something else to firmware than they look like."""
    pxe = layer.options.get(O.VENDOR_CLASS, b"").startswith(b"PXEClient")
    if pxe and O.VENDOR_SPECIFIC not in layer.options:
        yield (
            f"{layer.origin} option.vendor-class = PXEClient sends UEFI to port 4011 of another"
            " server; leave it out"
        )
    if layer.options.get(O.BOOT_FILE_SIZE):
        yield (
            f"{layer.origin} option.boot-file-size makes UEFI load files of the wrong length;"
            " leave it out"
        )


def slips(network: Network) -> Iterator[str]:
    """What can be meant, and seldom is."""
    place = f"[subnet:{network.name}]"
    for router in network.routers:
        if router not in network.network:
            yield f"{place} routers: {router} is not in {network.network}"
    ends = [each.first for each in network.pools if each.first == each.last]
    if len(network.pools) == len(ends) == 2:
        first, last = ends
        yield f"{place} pool: {first} and {last} are two addresses; a range is {first} - {last}"


def own_addresses(networks: Collection[Network]) -> Iterator[str]:
    """Addresses of this host in pools: they are not given, but somebody may have miscounted."""
    for interface in network_interfaces():
        for network in networks:
            if network.in_pool(interface.local):
                pool = f"a pool of [subnet:{network.name}]"
                yield f"{pool} holds {interface.local}, which {interface.name} has here"


def reservation(address: IPv4Address, networks: Collection[Network]) -> str:
    """Say what is wrong with an address that is promised to a machine; empty if nothing is."""
    network = next((each for each in networks if address in each.network), None)
    if network is None:
        return "is in no [subnet:…]: it gets another one"
    net = network.network
    if net.prefixlen < 31 and address in (net[0], net[-1]):
        return f"is no machine's in {net}"
    if address in network.routers:
        return f"is a router of [subnet:{network.name}]"
    return ""
