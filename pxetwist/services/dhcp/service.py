"""The DHCPv4 server: addresses, reservations and boot data for the networks of the INI."""

from __future__ import annotations

from ipaddress import IPv4Interface

import attrs

from pxetwist.config.fields import interface, list_of, option
from pxetwist.interfaces import Site
from pxetwist.model.lease import Network
from pxetwist.services.dhcp.addressing import AddressServer
from pxetwist.services.dhcp.neighbour_watch import WatchingService, watch_option
from pxetwist.services.interfaces import NetworkInterface


@attrs.frozen
class Settings:
    """Options of ``[service:dhcp]``."""

    interfaces: tuple[str, ...] = option(
        list_of(interface),
        default=(),
        doc="Interfaces to answer on. Left out: each one with an address in a [subnet:…].",
    )
    watch: str = watch_option()


class Dhcp4Service(WatchingService):
    """Port 67 on the interfaces of the site's networks."""

    def fits(self, interface: NetworkInterface) -> bool:
        """Never answer on a network that the INI does not name: it may have its own server."""
        return any(map(self.speaks, interface.addresses))

    def speaks(self, address: IPv4Interface) -> bool:
        """Prefer the address that is in one of our networks."""
        return self._network_of(address) is not None

    def remark(self, interface: NetworkInterface) -> str:
        """Say what does not match: clients there would get nothing, or a wrong mask."""
        address = interface.address
        if address is None:
            return ""
        network = self._network_of(address)
        if network is None:
            return f"{interface} is in no [subnet:…]: it answers relay agents there, nobody else"
        if network.network != address.network:
            return (
                f"{interface} does not have the mask of [subnet:{network.name}] {network.network}"
            )
        return ""

    def waits_for(self) -> str:
        """Name the networks."""
        wanted = ", ".join(str(each.network) for each in self.site.networks.values())
        return (
            "an interface that [service:dhcp] names, or one with an address in a [subnet:…]:"
            f" {wanted}"
        )

    def hopeless(self) -> str:
        """Without networks there is nothing to wait for."""
        if not self._names and not self.site.networks:
            return "no interface has an address in a [subnet:…], for there is none"
        return super().hopeless()

    def _network_of(self, address: IPv4Interface) -> Network | None:
        networks = self.site.networks.values()
        return next((each for each in networks if address.ip in each.network), None)


def build(settings: Settings, site: Site) -> Dhcp4Service:
    """Make the service."""
    server = AddressServer(
        site.boot, site.networks, site.http_port, site.classes, log_server=site.log_server
    )
    service = Dhcp4Service(site, settings.interfaces, server.answer)
    service.mode = settings.watch
    return service
