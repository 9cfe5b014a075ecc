"""The DHCPv4 server: addresses, reservations and boot data for the networks of the INI."""

from __future__ import annotations

import attrs

from pxetwist.config.fields import list_of, option, text
from pxetwist.interfaces import Site
from pxetwist.services.addressing import AddressServer
from pxetwist.services.dhcp_service import DhcpPortsService
from pxetwist.services.interfaces import NetworkInterface


@attrs.frozen
class Settings:
    """Options of ``[service:dhcp]``."""

    interfaces: tuple[str, ...] = option(
        list_of(text),
        default=(),
        doc="Interfaces to answer on. Left out: each one with an address in a [subnet:…].",
    )


class Dhcp4Service(DhcpPortsService):
    """Port 67 on the interfaces of the site's networks."""

    def fits(self, interface: NetworkInterface) -> bool:
        """Never answer on a network that the INI does not name: it may have its own server."""
        networks = self.site.networks.values()
        return any(interface.local in each.network for each in networks)

    def none_fits(self) -> str:
        """Name the networks."""
        wanted = ", ".join(str(each.network) for each in self.site.networks.values())
        return f"no interface has an address in a [subnet:…] ({wanted or 'there is none'})"


def build(settings: Settings, site: Site) -> Dhcp4Service:
    """Make the service."""
    server = AddressServer(site.boot, site.networks, site.http_port)
    return Dhcp4Service(site, settings.interfaces, server.answer)
