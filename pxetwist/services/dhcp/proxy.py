"""ProxyDHCP: boot data beside a DHCP server that belongs to others, on ports 67 and 4011.

It answers network boot clients only, gives no address, refuses nobody and never speaks first:
safe on any network.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from zope.interface import implementer

from pxetwist.config.fields import interface, list_of, option
from pxetwist.exchange import dhcp4, remedies
from pxetwist.exchange.dhcp4 import Asks, Destination, Silence
from pxetwist.exchange.proxy_trials import Choice, Fingerprint, Trials, order_for
from pxetwist.exchange.proxydhcp import PxeMenu, Variant, boot_item, boot_server_reply, proxy_offer
from pxetwist.interfaces import IBoot, IBootObserver, Site
from pxetwist.model.boot import BootFile, Protocol, Resolution
from pxetwist.model.boots import Menu
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.services.dhcp.incoming import (
    Answer,
    Incoming,
    boot_data,
    no_loader,
    resolve_incoming,
)
from pxetwist.services.dhcp.neighbour_watch import WatchingService, watch_option
from pxetwist.services.dhcp.proxy_lessons import LessonKeeper
from pxetwist.services.dhcp.proxy_offers import FIRMWARES, Labels, Wanted, offer_option
from pxetwist.services.dhcp.questions import Reply
from pxetwist.wire.options import OptionCode

#: What loads a loader, which then proves by its own question that the offer was good.
_BEFORE_LOADERS = (Firmware.BIOS, Firmware.UEFI, Firmware.UEFI_HTTP, Firmware.RASPBERRY_PI)
#: So many boots are told by their files which offer they took.
_BOOTS = 20_000

_Resolved = tuple[Resolution, BootFile | None, str]


@attrs.frozen
class Settings:
    """Options of ``[service:proxydhcp]``."""

    interfaces: tuple[str, ...] = option(
        list_of(interface),
        default=(),
        doc="Interfaces to answer on. Left out: all that are up and have an IPv4 address,"
        " but for those of containers and virtual machines.",
    )
    offer: Mapping[str, Wanted] = offer_option()
    watch: str = watch_option()


@implementer(IBootObserver)
class ProxyServer:
    """Answers network boot clients with boot data and nothing else. No sockets."""

    def __init__(
        self, boot: IBoot, http_port: int, offer: Mapping[str, Wanted] | None = None
    ) -> None:
        self._boot = boot
        self._http_port = http_port
        self._offer = offer or {}
        self._labels = Labels()
        self.trials = Trials()
        self._keys: dict[str, str] = {}  # by boot id, the oldest first
        self._given: float | None = None  # when somebody took another server's address last

    async def answer(self, incoming: Incoming) -> Answer | Silence:
        """Return the reply, or why there is none."""
        asks = dhcp4.classify(incoming.message, port=incoming.port)
        if isinstance(asks, Silence):
            return asks
        identity = incoming.identity
        self._listen(incoming, identity, asks)
        refusal = _refusal(asks, identity)
        if refusal:
            return refusal
        if asks is Asks.BOOT_SERVER:
            return await self._answer_boot_server(incoming)
        if identity.firmware is not Firmware.IPXE:  # it may be what was chosen
            self._boot.choose(identity, "", incoming.now)  # who boots anew may choose anew
        found = await self._resolve(incoming, Protocol.PROXY_DHCP)
        return found if isinstance(found, Silence) else self._make_offer(incoming, found)

    def notice(self, event: BootEvent) -> None:
        """Learn from files that were fetched which offers were good."""
        fetched = event.protocol in (Protocol.TFTP.value, Protocol.HTTP.value)
        if fetched and event.kind in (EventKind.ENDED, EventKind.FAILED):
            key = self._keys.pop(event.boot_id, "")
            news = self.trials.worked(key) if key else ""
            if news:
                self._tell(event.time, event.machine, event.boot_id, news, {})

    def _listen(self, incoming: Incoming, identity: ClientIdentity, asks: Asks) -> None:
        """Learn from a broadcast REQUEST which address the other server gave the machine."""
        if not identity.key:
            return
        wanted = dhcp4.address_option(incoming.message, OptionCode.REQUESTED_ADDRESS)
        if wanted is not None:
            self._boot.locate(wanted, identity, incoming.now)
        if asks is Asks.SELECTING:
            self._given = incoming.now
        if asks in (Asks.SELECTING, Asks.BOOT_SERVER):
            self.trials.went_on(identity.key, identity.firmware)
        if identity.firmware is Firmware.IPXE and asks is Asks.DISCOVER:
            news = self.trials.worked(identity.key, *_BEFORE_LOADERS)
            if news:
                self._tell(incoming.now, str(identity), "", news, {})

    async def _resolve(self, incoming: Incoming, protocol: Protocol) -> _Resolved | Silence:
        resolved = await resolve_incoming(self._boot, incoming, protocol, self._http_port)
        resolution, boot_file, _ = resolved
        if resolution.plan is None:
            return dhcp4.unserved(incoming.identity, resolution.reason)
        if boot_file is None:
            return dhcp4.unserved(incoming.identity, no_loader(incoming.identity))
        return resolved

    # Port 67

    def _make_offer(self, incoming: Incoming, found: _Resolved) -> Answer:
        resolution, boot_file, boot_id = found
        assert boot_file is not None
        assert resolution.plan is not None
        identity, machine = incoming.identity, resolution.machine
        choice = self._choose(incoming, found)
        menu = None
        if choice.variant is Variant.MENU:
            menu = PxeMenu.of(resolution.plan, self._shows_menus(identity, machine))
        data = boot_data(boot_file, resolution)
        reply = proxy_offer(
            *(incoming.message, identity, data, choice.variant, menu), server=incoming.server
        )
        note = f"as {choice.variant.value}" if len(self._wanted(identity, machine)) > 1 else ""
        destination = dhcp4.reply_destination(incoming.message, reply)
        said = Reply(incoming.message, reply, destination, note)
        return Answer(said, incoming.xid, resolution, boot_file, boot_id)

    def _choose(self, incoming: Incoming, found: _Resolved) -> Choice:
        resolution, boot_file, boot_id = found
        identity, machine = incoming.identity, resolution.machine
        wanted = self._wanted(identity, machine)
        ours = f"//{resolution.request.endpoints.address}"
        if not boot_file or ("://" in boot_file.name and ours not in boot_file.name):
            return Choice(wanted[0])  # what others serve is fetched unseen
        if not identity.key:
            return Choice(wanted[0])  # like any other that cannot be told apart
        choice = self.trials.choose(
            identity.key, Fingerprint.of(identity, machine), wanted, incoming.now
        )
        self._keys[boot_id] = identity.key
        if len(self._keys) > _BOOTS:
            self._keys.pop(next(iter(self._keys)))
        if choice.news:
            who = machine.name if machine else str(identity)
            details: dict[str, object] = {"offer": choice.variant.value, "mac": identity.mac}
            summary = choice.news
            if choice.exhausted:
                lines = _remedy(incoming, boot_file)
                summary = f"{_EXHAUSTED}: {summary}; {'; '.join(lines)}"
                if self._given is None or incoming.now - self._given > _LATELY:
                    summary = f"{_NOBODY_GIVES}; or {summary}"
                details |= {"exhausted": True, "remedy": lines}
            self._tell(incoming.now, who, boot_id, summary, details)
        return choice

    def _wanted(self, identity: ClientIdentity, machine: Machine | None) -> Wanted:
        """Return the variants to try: the machine's, its firmware's, the INI's, else ours."""
        firmware = identity.firmware
        if firmware.value not in FIRMWARES:
            return order_for(firmware)
        own = self._offer.get(firmware.value, self._offer.get("", ()))
        return self._labels.wanted(machine) or own or order_for(firmware)

    def _shows_menus(self, identity: ClientIdentity, machine: Machine | None) -> bool:
        """Whether a menu of several items is safe: iPXE loops through them (quirk D10), and much
        UEFI has broken ones (D3), unless somebody says that this one has not.
        """
        if identity.firmware is Firmware.UEFI:
            own = self._offer.get(Firmware.UEFI.value, ())
            return Variant.MENU in (*self._labels.wanted(machine), *own)
        return identity.firmware is Firmware.BIOS

    # Port 4011

    async def _answer_boot_server(self, incoming: Incoming) -> Answer | Silence:
        identity, item = incoming.identity, boot_item(incoming.message)
        if item is not None:
            number, layer = item
            if layer & 0x8000:
                return Silence("a boot item with credentials: there are none", in_vain=True)
            if layer:
                return Silence(f"layer {layer} of boot item {number}: there is one", in_vain=True)
            self._boot.choose(identity, "", incoming.now)
        found = await self._resolve(incoming, Protocol.BINL)
        if item is not None and not isinstance(found, Silence):
            found = await self._follow_choice(incoming, found, item[0])
        if isinstance(found, Silence):
            return found
        resolution, boot_file, boot_id = found
        assert boot_file is not None
        data = boot_data(boot_file, resolution)
        reply = boot_server_reply(incoming.message, identity, data, server=incoming.server)
        # To where the question came from: ROMs use port 68, EDK2 port 4011.
        host, port = incoming.source
        said = Reply(incoming.message, reply, Destination(dhcp4.parse_address(host), port))
        return Answer(said, incoming.xid, resolution, boot_file, boot_id)

    async def _follow_choice(
        self, incoming: Incoming, found: _Resolved, number: int
    ) -> _Resolved | Silence:
        """Let the chosen item of a menu of several be the machine's plan for this boot."""
        plan, identity = found[0].plan, incoming.identity
        if plan is None or not isinstance(plan.boot, Menu):
            return found
        several = self._shows_menus(identity, found[0].machine)
        item = PxeMenu.of(plan, several).item(number)
        if item is None:
            return Silence(f"boot item {number} is in no menu of its", in_vain=True)
        if not item.name:
            return found
        self._boot.choose(identity, item.name, incoming.now)
        return await self._resolve(incoming, Protocol.BINL)

    def _tell(
        self, time: float, machine: str, boot_id: str, summary: str, details: Mapping[str, object]
    ) -> None:
        kind, protocol = EventKind.VARIANT, Protocol.PROXY_DHCP.value
        event = BootEvent(time, kind, protocol, machine, boot_id, "", summary, details)
        self._boot.tell(event)


#: So many seconds are lately.
_LATELY = 600.0
_NOBODY_GIVES = (
    "no machine was seen to take an address lately: is there a DHCP server that answers?"
    " (`pxetwist neighbours` asks)"
)
_EXHAUSTED = (
    "it takes no offer beside that of the DHCP server (quite some firmware never merges two);"
    " let that server hand out our boot data, or let pxetwist be the DHCP server"
)


def _remedy(incoming: Incoming, boot_file: BootFile) -> list[str]:
    """Return the lines for the other server, for this machine's architecture."""
    architecture = incoming.identity.architecture
    number, name = (int(architecture), architecture.short) if architecture is not None else (0, "")
    wanted = remedies.BootFileFor(number, name or "bios", boot_file.name)
    script = f"http://{incoming.server}/boot.ipxe"
    return remedies.spelled(remedies.point_here(incoming.server, [wanted], script))


def _refusal(asks: Asks, identity: ClientIdentity) -> Silence | None:
    """A client without PXEClient or HTTPClient would take our offer for an address of 0.0.0.0."""
    if asks not in (Asks.DISCOVER, Asks.BOOT_SERVER):
        return Silence(f"{asks.value}: for the DHCP server")
    if not identity.vendor_class.startswith(("PXEClient", "HTTPClient")):
        return Silence("not a network boot client")
    if asks is Asks.BOOT_SERVER and identity.firmware is Firmware.UEFI_HTTP:
        return Silence("HTTP boot does not use port 4011")  # quirk H15
    return None


class ProxyDhcpService(WatchingService):
    """Ports 67 and 4011, shared with whatever DHCP server runs on this host."""

    protocol = "proxydhcp"
    ports = (dhcp4.SERVER_PORT, dhcp4.BINL_PORT)
    shared = True
    lessons: LessonKeeper | None = None

    def startService(self) -> None:
        """Start, with what was learned before."""
        super().startService()
        if self.lessons is not None:
            self.lessons.start()

    def stopService(self) -> None:
        """Stop, and keep what was learned."""
        super().stopService()
        if self.lessons is not None:
            self.lessons.stop()


def build(settings: Settings, site: Site) -> ProxyDhcpService:
    """Make the service."""
    server = ProxyServer(site.boot, site.http_port, settings.offer)
    site.boot.attend(server)
    service = ProxyDhcpService(site, settings.interfaces, server.answer)
    service.mode = settings.watch
    service.lessons = LessonKeeper(server.trials, site)
    return service
