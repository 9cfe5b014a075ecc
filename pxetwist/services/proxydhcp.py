"""ProxyDHCP: boot data beside a DHCP server that belongs to others, on ports 67 and 4011.

It answers network boot clients only, gives no address, refuses nobody and never speaks first:
safe on any network.
"""

from __future__ import annotations

import attrs

from pxetwist.config.fields import choice, list_of, option, text
from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Asks, Destination, Silence
from pxetwist.exchange.dhcp4_replies import BootData
from pxetwist.exchange.proxydhcp import ProxyOffer, boot_server_reply, proxy_offer
from pxetwist.interfaces import IBoot, Site
from pxetwist.model.boot import Protocol
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.services.dhcp_service import DhcpPortsService
from pxetwist.services.incoming import Answer, Incoming, resolve_incoming
from pxetwist.wire.options import OptionCode

_AUTO = "auto"


@attrs.frozen
class Settings:
    """Options of ``[service:proxydhcp]``."""

    interfaces: tuple[str, ...] = option(
        list_of(text),
        default=(),
        doc="Interfaces to answer on. Left out: all that are up and have an IPv4 address,"
        " but for those of containers and virtual machines.",
    )
    offer: str = option(
        choice(_AUTO, *(style.value for style in ProxyOffer)),
        default=_AUTO,
        doc="How offers are made: `full` (the boot file is in the offer), `redirect` (the client"
        " must ask port 4011), `menu` (a PXE menu of one item), or `auto`: redirect for UEFI,"
        " full for the others.",
    )


def style_for(identity: ClientIdentity) -> ProxyOffer:
    """Choose by firmware: much UEFI ignores an offer that skips port 4011 (quirk D2)."""
    return ProxyOffer.REDIRECT if identity.firmware is Firmware.UEFI else ProxyOffer.FULL


class ProxyServer:
    """Answers network boot clients with boot data and nothing else. No sockets."""

    def __init__(self, boot: IBoot, http_port: int, offer: str = _AUTO) -> None:
        self._boot = boot
        self._http_port = http_port
        self._style = None if offer == _AUTO else ProxyOffer(offer)

    async def answer(self, incoming: Incoming) -> Answer | Silence:
        """Return the reply, or why there is none."""
        asks = dhcp4.classify(incoming.message, port=incoming.port)
        if isinstance(asks, Silence):
            return asks
        identity = dhcp4.identify(incoming.message, incoming.interface)
        self._listen(incoming, identity)
        refusal = _refusal(asks, identity)
        if refusal:
            return refusal
        resolution, boot_file, boot_id = await resolve_incoming(
            self._boot,
            incoming,
            Protocol.BINL if asks is Asks.BOOT_SERVER else Protocol.PROXY_DHCP,
            self._http_port,
        )
        if resolution.plan is None:
            return dhcp4.unserved(identity, resolution.reason)
        if boot_file is None:
            return dhcp4.unserved(identity, f"no loader for {_describe(identity)}")
        data = BootData(boot_file.name, incoming.server)
        message = incoming.message
        if asks is Asks.BOOT_SERVER:
            reply = boot_server_reply(message, identity, incoming.server, data)
            # To where the question came from: ROMs use port 68, EDK2 port 4011.
            host, port = incoming.source
            destination = Destination(dhcp4.parse_address(host), port)
        else:
            style = self._style or style_for(identity)
            reply = proxy_offer(message, identity, incoming.server, data, style)
            destination = dhcp4.reply_destination(message, reply)
        return Answer(reply, destination, resolution, boot_file, boot_id)

    def _listen(self, incoming: Incoming, identity: ClientIdentity) -> None:
        """Learn from a broadcast REQUEST which address the other server gave the machine."""
        wanted = dhcp4.address_option(incoming.message, OptionCode.REQUESTED_ADDRESS)
        if wanted is not None and identity.key:
            self._boot.locate(wanted, identity, incoming.now)


def _refusal(asks: Asks, identity: ClientIdentity) -> Silence | None:
    """A client without PXEClient or HTTPClient would take our offer for an address of 0.0.0.0."""
    if asks not in (Asks.DISCOVER, Asks.BOOT_SERVER):
        return Silence(f"{asks.value}: for the DHCP server")
    if not identity.vendor_class.startswith(("PXEClient", "HTTPClient")):
        return Silence("not a network boot client")
    if asks is Asks.BOOT_SERVER and identity.firmware is Firmware.UEFI_HTTP:
        return Silence("HTTP boot does not use port 4011")  # quirk H15
    return None


def _describe(identity: ClientIdentity) -> str:
    architecture = identity.architecture.short if identity.architecture is not None else "?"
    return f"architecture {architecture}, firmware {identity.firmware.value}"


class ProxyDhcpService(DhcpPortsService):
    """Ports 67 and 4011, shared with whatever DHCP server runs on this host."""

    protocol = "proxydhcp"
    ports = (dhcp4.SERVER_PORT, dhcp4.BINL_PORT)
    shared = True


def build(settings: Settings, site: Site) -> ProxyDhcpService:
    """Make the service."""
    server = ProxyServer(site.boot, site.http_port, settings.offer)
    return ProxyDhcpService(site, settings.interfaces, server.answer)
