"""The DHCPv4 server between a decoded message and its reply: machine, plan, lease.

No sockets: `pxetwist explain` asks the same object that answers on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import LeaseConflict
from pxetwist.exchange import dhcp4, dhcp4_options, dhcp4_replies
from pxetwist.exchange.dhcp4 import Asks, Silence, address_option
from pxetwist.exchange.dhcp4_replies import Told
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootStage, Protocol
from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Lease, LeaseState, Links, Network
from pxetwist.services.dhcp.case import Case
from pxetwist.services.dhcp.client_options import ClientOptions, ClientView
from pxetwist.services.dhcp.disk_options import disk_options
from pxetwist.services.dhcp.incoming import Answer, Incoming, resolve_incoming
from pxetwist.services.dhcp.leasing import Client, Leasing
from pxetwist.services.dhcp.questions import Situation
from pxetwist.services.dhcp.standing import Standing
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode

#: What clients ask that hold a lease.
_HOLDING = (Asks.RENEWING, Asks.REBINDING, Asks.INIT_REBOOT)


class AddressServer:
    """Answers as the DHCP server of the given networks."""

    def __init__(
        self,
        boot: IBoot,
        networks: Mapping[str, Network],
        http_port: int,
        classes: Sequence[ClientClass] = (),
        *,
        log_server: bool = False,
    ) -> None:
        self._boot = boot
        self._log_server = log_server
        self._links = Links(networks.values())
        self._leasing = Leasing(boot)
        self._options = ClientOptions(classes)
        self._lasting = not any(each.passing for each in classes)
        self._http_port = http_port

    async def answer(self, incoming: Incoming) -> Answer | Silence:
        """Return the reply, or why there is none.

        :raises StateUnavailable: if a lease could not be stored; nothing may be sent then.
        """
        question = incoming.question
        situation = question.situation
        if situation is None or situation.server != incoming.server:
            situation = question.situation = self._situation(incoming)
        asks = situation.asks
        if isinstance(asks, Silence):
            return asks
        if asks in (Asks.RELEASE, Asks.DECLINE):
            return await self._give_back(incoming, asks)
        edition = self._boot.edition() if self._lasting else None
        resolution, boot_file, boot_id = await resolve_incoming(
            self._boot, incoming, Protocol.DHCP, self._http_port
        )
        request = resolution.request
        client = Client(request.identity, request.machine, situation.link, incoming.server)
        case = Case(incoming, situation, resolution, boot_file, boot_id, client)
        refusal = dhcp4.unplanned(resolution, holding=asks in _HOLDING)
        if refusal:
            return refusal
        answer = await self._answer_case(case, asks)
        if isinstance(answer, Answer) and answer.view is not None:
            seconds = self._seconds(case, answer.view)
            question.standing = Standing.of(incoming, answer, seconds, edition, self._boot.leases)
        return answer

    def _situation(self, incoming: Incoming) -> Situation:
        """Find out what needs neither directory nor policy."""
        message = incoming.question.message
        asks = dhcp4.classify(message, port=incoming.port, broadcast=incoming.broadcast)
        situation = Situation(incoming.server, incoming.server_id, asks)
        if isinstance(asks, Silence):
            return situation
        if not incoming.identity.key:
            situation.asks = Silence("a client without MAC, client identifier or UUID")
        elif asks in (Asks.RELEASE, Asks.DECLINE):
            pass  # whatever network it is in
        elif asks is Asks.SELECTING and not _is_ours(message, situation):
            situation.asks = Silence("the client chose another server")
        else:
            where = dhcp4.subnet_address(message, incoming.server, asks)
            situation.link = self._links.at(where)
            if not situation.link:
                reason = f"no [subnet:…] contains {where}"
                situation.asks = dhcp4.unserved(incoming.identity, reason)
            situation.wanted = _wanted(message)
            wish = message.options.get(OptionCode.LEASE_TIME, b"")
            situation.wish = int.from_bytes(wish, "big") if len(wish) == 4 else None
        return situation

    async def _answer_case(self, case: Case, asks: Asks) -> Answer | Silence:
        match asks:
            case Asks.DISCOVER:
                return await self._offer(case)
            case Asks.INFORM:
                return self._inform(case)
            case Asks.BOOTP:
                return await self._bootp(case)
        return await self._request(case, asks)

    async def _offer(self, case: Case) -> Answer | Silence:
        now = case.incoming.now
        found = await self._leasing.offer(case.client, case.situation.wanted, now)
        if found is None:
            names = ", ".join(f"[subnet:{network.name}]" for network in case.link)
            return Silence(f"no free address in the pools of {names}", in_vain=True)
        network, lease = found
        view = self._options.view(case.resolution.request, network, now)
        if network.rapid_commit and OptionCode.RAPID_COMMIT in case.message.options:
            return await self._acknowledge(case, view, lease)
        return self._reply(case, Dhcp4Type.OFFER, view, lease, self._seconds(case, view))

    async def _request(self, case: Case, asks: Asks) -> Answer | Silence:
        wanted, client, now = case.situation.wanted, case.client, case.incoming.now
        if wanted is None:
            return Silence("a REQUEST without an address")
        network = client.network_of(wanted)
        if network is None:
            known = await self._leasing.knows(client, wanted, now)
            return self._refuse(case, asks, wanted, known=known)
        held = await self._boot.leases.held(client.identity, network, now)
        if held is None or held.address != wanted:
            known = await self._leasing.knows(client, wanted, now)
            held = await self._regained(case, asks, network, wanted) if held is None else None
            if held is None:
                return self._refuse(case, asks, wanted, known=known)
        view = self._options.view(case.resolution.request, network, now)
        return await self._acknowledge(case, view, held)

    async def _regained(
        self, case: Case, asks: Asks, network: Network, wanted: IPv4Address
    ) -> Lease | None:
        """Return a lease of an address that the client does not hold, but may have again: the one
        that it would be offered anyway; any free one after an offer of ours (we restarted in
        between), or if no other server lives here; but not two on one wire.
        """
        client, now = case.client, case.incoming.now
        if not (network.in_pool(wanted) or wanted == client.reserved):
            return None
        if len(case.link) > 1 and await self._leasing.held(client, now) is not None:
            return None
        any_free = asks is Asks.SELECTING or case.authoritative
        found = await self._leasing.offer(client, wanted if any_free else None, now)
        return found[1] if found and found[1].address == wanted else None

    async def _acknowledge(self, case: Case, view: ClientView, held: Lease) -> Answer:
        """Store a lease, and only then say so."""
        now, identity = case.incoming.now, case.client.identity
        seconds = self._seconds(case, view)
        lease = Lease(
            *(held.address, held.key, now + seconds, held.network, identity.hostname),
            LeaseState.LEASED,
        )
        try:
            lease = await self._boot.leases.commit(lease, now)
        except LeaseConflict as conflict:
            return self._nak(case, str(conflict))
        self._boot.locate(lease.address, identity, now)
        return self._reply(case, Dhcp4Type.ACK, view, lease, seconds)

    def _seconds(self, case: Case, view: ClientView) -> int:
        return dhcp4_options.lease_seconds(
            view.lease_times,
            booting=case.resolution.request.stage in (BootStage.FIRMWARE, BootStage.LOADER),
            wish=case.situation.wish,
        )

    def _refuse(
        self, case: Case, asks: Asks, wanted: IPv4Address, *, known: bool
    ) -> Answer | Silence:
        """NAK those whom we know, or everybody where we are the only server (RFC 2131 §4.3.2)."""
        if not (known or asks is Asks.SELECTING or case.authoritative):
            return Silence(f"{wanted} is not a lease of ours, and we are not authoritative")
        return self._nak(case, f"{wanted} is not yours")

    def _nak(self, case: Case, reason: str) -> Answer:
        server = case.situation.server_id
        return case.answer(dhcp4_replies.nak(case.incoming.message, server, reason))

    def _reply(
        self, case: Case, kind: Dhcp4Type, view: ClientView, lease: Lease, seconds: int
    ) -> Answer:
        disk = disk_options(self._boot, case.resolution.request, view.layers)

        def make() -> Dhcp4Message:
            message = case.incoming.message
            return dhcp4_replies.address_reply(
                message,
                case.incoming.identity,
                kind,
                lease=lease,
                seconds=seconds,
                server=case.situation.server_id,
                told=self._told(case, view, disk),
                boot=case.boot,
                rapid=kind == Dhcp4Type.ACK and message.message_type == Dhcp4Type.DISCOVER,
            )

        asked = case.incoming
        made_of = (
            *(kind, lease.address, seconds, asked.server, asked.source),
            *(view.told, case.boot_file, disk),
        )
        return case.again(made_of, view, make)

    def _told(self, case: Case, view: ClientView, disk: Mapping[int, bytes]) -> Told:
        """Name the client's disk, and us as log server, unless the site names another one, or
        nobody.
        """
        code, more = OptionCode.LOG_SERVERS, dict(disk)
        if self._log_server and not any(code in layer.options for layer in view.layers):
            more[code] = case.incoming.server.packed
        if not more:
            return view.told
        return attrs.evolve(view.told, options={**more, **view.told.options})

    def _inform(self, case: Case) -> Answer:
        """Tell a client that has an address of its own what is said in its network."""
        request, incoming = case.resolution.request, case.incoming
        network = case.client.network_of(incoming.message.ciaddr) or case.link[0]
        view = self._options.view(request, network, incoming.now)
        disk = disk_options(self._boot, request, view.layers)
        told, server = self._told(case, view, disk), case.situation.server_id
        reply = dhcp4_replies.inform_reply(
            incoming.message, request.identity, server, told, case.boot
        )
        return case.answer(reply, view)

    async def _bootp(self, case: Case) -> Answer | Silence:
        """BOOTP knows no leases: a reservation is given, or an address for ever (RFC 1534)."""
        client, now = case.client, case.incoming.now
        dynamic = [network for network in case.link if network.dynamic_bootp]
        if client.reserved is None and not dynamic:
            return Silence("BOOTP, and no reservation for it")
        if client.reserved is None:
            client = attrs.evolve(client, link=dynamic)
        found = await self._leasing.offer(client, None, now)
        if found is None or client.reserved not in (None, found[1].address):
            return Silence("BOOTP, and no free address for it", in_vain=True)
        network, lease = found
        view = self._options.view(case.resolution.request, network, now)
        seconds = self._seconds(case, view) if client.reserved else dhcp4_options.INFINITE
        try:
            lease = await self._boot.leases.commit(attrs.evolve(lease, ends=now + seconds), now)
        except LeaseConflict as conflict:
            return Silence(f"BOOTP: {conflict}", in_vain=True)
        self._boot.locate(lease.address, client.identity, now)
        message = case.incoming.message
        return case.answer(dhcp4_replies.bootp_reply(message, lease, view.told, case.boot), view)

    async def _give_back(self, incoming: Incoming, asks: Asks) -> Silence:
        message, situation = incoming.question.message, incoming.question.situation
        if situation is None or not _is_ours(message, situation):
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


def _is_ours(message: Dhcp4Message, situation: Situation) -> bool:
    named = address_option(message, OptionCode.SERVER_ID)
    return named in (situation.server, situation.server_id)


def _wanted(message: Dhcp4Message) -> IPv4Address | None:
    """Return the address that is asked for: one in use, else the one of option 50."""
    if int(message.ciaddr) and message.message_type != Dhcp4Type.DISCOVER:  # quirk C12
        return message.ciaddr
    return address_option(message, OptionCode.REQUESTED_ADDRESS)
