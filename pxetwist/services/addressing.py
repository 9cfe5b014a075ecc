"""The DHCPv4 server between a decoded message and its reply: machine, plan, lease.

No sockets: `pxetwist explain` asks the same object that answers on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import LeaseConflict
from pxetwist.exchange import dhcp4, dhcp4_replies
from pxetwist.exchange.dhcp4 import Asks, Destination, Silence, address_option
from pxetwist.exchange.dhcp4_replies import BootData
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootFile, BootRequest, Endpoints, Protocol, Resolution, Verdict
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.lease import Lease, Network
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode


@attrs.frozen
class Answer:
    """A reply, where it goes, and how it came about."""

    reply: Dhcp4Message
    destination: Destination
    resolution: Resolution
    boot_file: BootFile | None
    boot_id: str


@attrs.frozen
class Incoming:
    """A message with all that is known of its arrival; `server` is our address there."""

    message: Dhcp4Message
    server: IPv4Address
    now: float
    interface: str = ""
    port: int = dhcp4.SERVER_PORT
    source: tuple[str, int] = ("0.0.0.0", dhcp4.CLIENT_PORT)
    identity: ClientIdentity = attrs.field(init=False)

    @identity.default
    def _identify(self) -> ClientIdentity:
        return dhcp4.identify(self.message, self.interface)


@attrs.frozen
class _Case:
    """An incoming message once machine, plan and network are known."""

    incoming: Incoming
    network: Network
    resolution: Resolution
    boot_file: BootFile | None
    boot_id: str

    @property
    def boot(self) -> BootData | None:
        """The boot file with its server, for the wire."""
        return BootData(self.boot_file.name, self.incoming.server) if self.boot_file else None

    def answer(self, reply: Dhcp4Message) -> Answer:
        """Address a reply."""
        request = self.incoming.message
        destination = dhcp4.reply_destination(request, reply, self.incoming.source)
        return Answer(reply, destination, self.resolution, self.boot_file, self.boot_id)


async def resolve_incoming(
    boot: IBoot, incoming: Incoming, protocol: Protocol, http_port: int
) -> tuple[Resolution, BootFile | None, str]:
    """Identify the sender, note the sighting, ask for the plan, choose the boot file."""
    identity = incoming.identity
    stage = dhcp4.stage_of(identity)
    boot_id = boot.see(identity, stage, incoming.now)
    if identity.address:
        boot.locate(identity.address, identity, incoming.now)
    endpoints = Endpoints(str(incoming.server), http_port)
    request = BootRequest(identity, stage, protocol, endpoints=endpoints, boot_id=boot_id)
    resolution = await boot.resolve(request)
    boot_file = boot.boot_file(resolution.request, incoming.now)
    return resolution, boot_file, boot_id


class AddressServer:
    """Answers as the DHCP server of the given networks."""

    def __init__(self, boot: IBoot, networks: Mapping[str, Network], http_port: int) -> None:
        self._boot = boot
        self._networks = tuple(networks.values())
        self._http_port = http_port

    def network_of(self, message: Dhcp4Message, local: IPv4Address) -> Network | None:
        """Return the network that the client is in, if it is one of ours."""
        address = dhcp4.subnet_address(message, local)
        return next((each for each in self._networks if address in each.network), None)

    async def answer(self, incoming: Incoming) -> Answer | Silence:
        """Return the reply, or why there is none.

        :raises StateUnavailable: if a lease could not be stored; nothing may be sent then.
        """
        message = incoming.message
        asks = dhcp4.classify(message, port=incoming.port)
        if isinstance(asks, Silence):
            return asks
        if not incoming.identity.key:
            return Silence("a client without MAC, client identifier or UUID")
        if asks in (Asks.RELEASE, Asks.DECLINE):
            return await self._give_back(incoming, asks)
        if asks is Asks.SELECTING and not self._is_ours(incoming):
            return Silence("the client chose another server")
        network = self.network_of(message, incoming.server)
        if network is None:
            where = dhcp4.subnet_address(message, incoming.server)
            return dhcp4.unserved(incoming.identity, f"no [subnet:…] contains {where}")
        resolution, boot_file, boot_id = await resolve_incoming(
            self._boot, incoming, Protocol.DHCP, self._http_port
        )
        case = _Case(incoming, network, resolution, boot_file, boot_id)
        refusal = self._refusal(case, asks)
        return refusal if refusal else await self._answer_case(case, asks)

    def _is_ours(self, incoming: Incoming) -> bool:
        return address_option(incoming.message, OptionCode.SERVER_ID) == incoming.server

    def _refusal(self, case: _Case, asks: Asks) -> Silence | None:
        """Tell whom not to answer. A client that only wants an address needs no plan, and one
        that holds a lease may keep it while a directory is away.
        """
        resolution = case.resolution
        identity = resolution.request.identity
        match resolution.verdict:
            case Verdict.PLANNED:
                return None
            case Verdict.IGNORED:
                return dhcp4.unserved(identity, resolution.reason)
            case Verdict.BROKEN if asks in (Asks.RENEWING, Asks.REBINDING, Asks.INIT_REBOOT):
                return None
            case Verdict.NO_OPINION if resolution.request.identity.firmware is Firmware.SYSTEM:
                return None
        return dhcp4.unserved(identity, resolution.reason)

    async def _answer_case(self, case: _Case, asks: Asks) -> Answer | Silence:
        match asks:
            case Asks.DISCOVER:
                return await self._offer(case)
            case Asks.INFORM:
                return self._inform(case)
            case Asks.BOOTP:
                return self._bootp(case)
        return await self._request(case, asks)

    async def _reserve(self, case: _Case, wanted: IPv4Address | None) -> Lease | None:
        reserved = self._reserved(case)
        avoid = self._boot.reserved_addresses()
        identity = case.resolution.request.identity
        return await self._boot.leases.offer(
            identity, case.network, wanted, reserved, avoid, case.incoming.now
        )

    def _reserved(self, case: _Case) -> IPv4Address | None:
        machine = case.resolution.machine
        if machine and machine.address and machine.address in case.network.network:
            return machine.address
        return None

    async def _offer(self, case: _Case) -> Answer | Silence:
        wanted = address_option(case.incoming.message, OptionCode.REQUESTED_ADDRESS)
        lease = await self._reserve(case, wanted)
        if lease is None:
            pools = f"the pools of [subnet:{case.network.name}]"
            return Silence(f"no free address in {pools}", in_vain=True)
        return case.answer(self._address_reply(case, Dhcp4Type.OFFER, lease))

    async def _request(self, case: _Case, asks: Asks) -> Answer | Silence:
        message, now = case.incoming.message, case.incoming.now
        identity = case.resolution.request.identity
        wanted = (
            message.ciaddr
            if int(message.ciaddr)
            else address_option(message, OptionCode.REQUESTED_ADDRESS)
        )
        if wanted is None:
            return Silence("a REQUEST without an address")
        held = await self._boot.leases.held(identity, case.network, now)
        if held is None and self._may_adopt(case, asks, wanted):
            held = await self._reserve(case, wanted)
        if held is None or held.address != wanted:
            return self._refuse(case, asks, held, wanted)
        lease = attrs.evolve(held, ends=now + case.network.lease_time, hostname=identity.hostname)
        try:
            lease = await self._boot.leases.commit(lease, now)
        except LeaseConflict as conflict:
            return case.answer(dhcp4_replies.nak(message, case.incoming.server, str(conflict)))
        self._boot.locate(lease.address, identity, now)
        return case.answer(self._address_reply(case, Dhcp4Type.ACK, lease))

    def _may_adopt(self, case: _Case, asks: Asks, wanted: IPv4Address) -> bool:
        """Whether a client may keep an address that we have no record of: after an offer of ours
        (we restarted in between), and anywhere if no other server lives here.
        """
        given = case.network.in_pool(wanted) or wanted == self._reserved(case)
        return given and (asks is Asks.SELECTING or case.network.authoritative)

    def _refuse(
        self, case: _Case, asks: Asks, held: Lease | None, wanted: IPv4Address
    ) -> Answer | Silence:
        """NAK those whom we know, or everybody where we are the only server (RFC 2131 §4.3.2)."""
        known = held is not None or asks is Asks.SELECTING or case.network.authoritative
        if not known:
            return Silence(f"{wanted} is not a lease of ours, and we are not authoritative")
        reason = f"{wanted} is not yours"
        return case.answer(dhcp4_replies.nak(case.incoming.message, case.incoming.server, reason))

    def _address_reply(self, case: _Case, kind: Dhcp4Type, lease: Lease) -> Dhcp4Message:
        machine = case.resolution.machine
        return dhcp4_replies.address_reply(
            case.incoming.message,
            case.resolution.request.identity,
            kind,
            lease=lease,
            network=case.network,
            server=case.incoming.server,
            boot=case.boot,
            hostname=machine.name if machine else "",
        )

    def _inform(self, case: _Case) -> Answer:
        identity = case.resolution.request.identity
        reply = dhcp4_replies.inform_reply(
            case.incoming.message, identity, case.network, case.incoming.server, case.boot
        )
        return case.answer(reply)

    def _bootp(self, case: _Case) -> Answer | Silence:
        """BOOTP has no leases: only a reservation can be given (RFC 1534)."""
        address = self._reserved(case)
        if address is None:
            return Silence("BOOTP, and no reservation for it")
        reply = dhcp4_replies.bootp_reply(case.incoming.message, address, case.network, case.boot)
        return case.answer(reply)

    async def _give_back(self, incoming: Incoming, asks: Asks) -> Silence:
        message = incoming.message
        if not self._is_ours(incoming):
            return Silence(f"{asks.value} for another server")
        identity = incoming.identity
        if asks is Asks.RELEASE:
            done = await self._boot.leases.release(message.ciaddr, identity, incoming.now)
            return Silence(f"released {message.ciaddr}" if done else "released nothing of its own")
        address = address_option(message, OptionCode.REQUESTED_ADDRESS)
        if address is None:
            return Silence("a DECLINE without an address")
        done = await self._boot.leases.decline(address, identity, incoming.now)
        return Silence(f"declined {address}" if done else f"declined {address}, not its own")
