"""The DHCPv6 server between a decoded message and its reply: machine, plan, lease.

No sockets: `pxetwist explain` asks the same object that answers on the wire. Section numbers are
those of RFC 8415.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address, IPv6Interface
from urllib.parse import quote

import attrs

from pxetwist.boot.loaders import FIRST_OF_RASPBERRY_PI
from pxetwist.errors import LeaseConflict
from pxetwist.exchange import dhcp4, dhcp6, dhcp6_replies
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.exchange.dhcp6 import Asks
from pxetwist.exchange.dhcp6_replies import Replying
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootFile, BootRequest, Endpoints, Protocol, Resolution
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease
from pxetwist.model.network6 import Network6
from pxetwist.wire.dhcp6 import Dhcp6Message, RelayMessage
from pxetwist.wire.dhcp6_options import IaNa, read_ia_na
from pxetwist.wire.iana import Dhcp6Option as O
from pxetwist.wire.iana import Dhcp6Status as Status
from pxetwist.wire.iana import Dhcp6Type

_ONE = "one address for one machine"


@attrs.frozen
class Answer6:
    """A reply, and how it came about; `note` is for people."""

    reply: Dhcp6Message
    note: str = ""
    resolution: Resolution | None = None
    boot_file: BootFile | None = None
    boot_id: str = ""
    address: IPv6Address | None = None


@attrs.frozen
class Incoming6:
    """A message with all that is known of its arrival.

    `relays` are the agents that it passed, the outermost first; `addresses` are ours on the
    interface it came in by, `destination` is the one it was sent to if that is one of them.
    """

    message: Dhcp6Message
    now: float
    addresses: tuple[IPv6Interface, ...] = ()
    relays: tuple[RelayMessage, ...] = ()
    interface: str = ""
    peer: IPv6Address | None = None
    destination: IPv6Address | None = None
    identity: ClientIdentity = attrs.field(init=False)

    @identity.default
    def _identify(self) -> ClientIdentity:
        return dhcp6.identify(self.message, self.relays, self.peer, self.interface)

    @property
    def unicast(self) -> bool:
        """Whether the client itself sent it to an address of ours."""
        return self.destination is not None and not self.relays

    @property
    def associations(self) -> tuple[IaNa, ...]:
        """The associations that the client wants addresses for, or has.

        :raises WireError: if one is malformed.
        """
        return tuple(map(read_ia_na, self.message.options.all(O.IA_NA)))


@attrs.frozen
class _Case:
    """An incoming message once network, machine and plan are known."""

    incoming: Incoming6
    replying: Replying
    network: Network6
    resolution: Resolution
    boot_file: BootFile | None
    boot_id: str
    url: str

    def answer(
        self, reply: Dhcp6Message, address: IPv6Address | None = None, note: str = ""
    ) -> Answer6:
        """Tell how a reply came about."""
        return Answer6(reply, note, self.resolution, self.boot_file, self.boot_id, address)


class AddressServer6:
    """Answers as the DHCPv6 server of the given networks; `duid` says who we are."""

    def __init__(
        self, boot: IBoot, networks: Mapping[str, Network6], http_port: int, duid: bytes
    ) -> None:
        self._boot = boot
        self._networks = tuple(networks.values())
        self._http_port = http_port
        self._duid = duid

    def network_of(self, incoming: Incoming6) -> Network6 | None:
        """Return the network that the client is in, if it is one of ours."""
        link = dhcp6.link_address(incoming.relays)
        where = [link] if link is not None else [each.ip for each in incoming.addresses]
        return next((n for n in self._networks for each in where if each in n.network), None)

    async def answer(self, incoming: Incoming6) -> Answer6 | Silence:
        """Return the reply, or why there is none.

        :raises WireError: if an option that decides is malformed.
        :raises StateUnavailable: if a lease could not be stored; nothing may be sent then.
        """
        message = incoming.message
        asks = dhcp6.classify(message, self._duid, unicast=incoming.unicast)
        if isinstance(asks, Silence):
            return asks
        replying = Replying(message, incoming.identity, self._duid)
        if asks is Asks.BY_UNICAST:
            return Answer6(replying.status(Status.USE_MULTICAST, "to ff02::1:2, please"))
        network = self.network_of(incoming)
        if network is None:
            where = dhcp6.link_address(incoming.relays) or incoming.interface
            return dhcp4.unserved(incoming.identity, f"no [subnet6:…] contains {where}")
        if asks in (Asks.RELEASE, Asks.DECLINE):
            return await self._give_back(incoming, replying, asks)
        if asks is Asks.CONFIRM:
            return _confirm(incoming, replying, network)
        case = await self._resolve(incoming, replying, network)
        holding = asks in (Asks.RENEW, Asks.REBIND)
        refusal = dhcp4.unplanned(case.resolution, holding=holding)
        return refusal if refusal else await self._answer_case(case, asks)

    async def _resolve(self, incoming: Incoming6, replying: Replying, network: Network6) -> _Case:
        """Identify the sender, note the sighting, ask for the plan, choose the boot file."""
        identity, now = incoming.identity, incoming.now
        stage = dhcp4.stage_of(identity)
        boot_id = self._boot.see(identity, stage, now)
        endpoints = Endpoints(str(_server(incoming, network)), self._http_port)
        request = BootRequest(
            identity, stage, Protocol.DHCP6, endpoints=endpoints, boot_id=boot_id
        )
        resolution = await self._boot.resolve(request)
        boot_file = self._boot.boot_file(resolution.request, now)
        url = boot_url(boot_file.name, endpoints) if boot_file else ""
        return _Case(incoming, replying, network, resolution, boot_file, boot_id, url)

    async def _answer_case(self, case: _Case, asks: Asks) -> Answer6 | Silence:
        match asks:
            case Asks.SOLICIT:
                return await self._solicit(case)
            case Asks.REQUEST:
                return await self._request(case)
            case Asks.INFORMATION:
                return case.answer(case.replying.information(case.network, case.url))
        return await self._extend(case, asks)

    # Addresses

    async def _reserve(self, case: _Case, wanted: IPv6Address | None) -> Lease | None:
        machine = case.resolution.machine
        reserved = machine.address6 if machine else None
        if reserved is not None and reserved not in case.network.network:
            reserved = None
        return await self._boot.leases.offer(
            case.resolution.request.identity,
            case.network.leases,
            wanted,
            reserved,
            self._boot.reserved_addresses(),
            case.incoming.now,
        )

    async def _commit(self, case: _Case, lease: Lease) -> IPv6Address | None:
        """Store a lease; `None` if somebody else has the address by now."""
        identity, now = case.resolution.request.identity, case.incoming.now
        lease = attrs.evolve(lease, ends=now + case.network.lifetime, hostname=identity.hostname)
        try:
            lease = await self._boot.leases.commit(lease, now)
        except LeaseConflict:
            return None
        self._boot.locate(lease.address, identity, now)
        return IPv6Address(lease.address)

    async def _solicit(self, case: _Case) -> Answer6:
        associations = case.incoming.associations
        lease = None
        if associations:
            lease = await self._reserve(case, next(_wanted(associations[0]), None))
        if lease is None:
            reply = case.replying.advertise(case.network, (), case.url)
            return case.answer(reply, note=f"no free address in [subnet6:{case.network.name}]")
        rapid = case.network.rapid_commit and O.RAPID_COMMIT in case.incoming.message.options
        address: IPv6Address | None = IPv6Address(lease.address)
        if rapid:
            address = await self._commit(case, lease)
        given = _given(case, address)
        if rapid:
            reply = case.replying.addresses(case.network, given, case.url, rapid=True)
        else:
            reply = case.replying.advertise(case.network, given, case.url)
        return case.answer(reply, address)

    async def _request(self, case: _Case) -> Answer6:
        network, associations = case.network, case.incoming.associations
        wanted = [each for ia in associations[:1] for each in _wanted(ia)]
        strange = [each for each in wanted if each not in network.network]
        if strange:
            text = f"{strange[0]} is not on this link"
            refused = [
                dhcp6_replies.refused(ia.iaid, Status.NOT_ON_LINK, text) for ia in associations
            ]
            return case.answer(case.replying.addresses(network, refused, case.url), note=text)
        identity, now = case.resolution.request.identity, case.incoming.now
        lease = await self._boot.leases.held(identity, network.leases, now)
        if lease is None and associations:  # our offer is over, or we were started anew since
            lease = await self._reserve(case, wanted[0] if wanted else None)
        address = await self._commit(case, lease) if lease is not None else None
        reply = case.replying.addresses(network, _given(case, address), case.url)
        return case.answer(reply, address, "" if address else "no free address")

    async def _extend(self, case: _Case, asks: Asks) -> Answer6 | Silence:
        """Renew or rebind (§18.3.4, §18.3.5)."""
        network, associations = case.network, case.incoming.associations
        identity, now = case.resolution.request.identity, case.incoming.now
        held = await self._boot.leases.held(identity, network.leases, now)
        address = await self._commit(case, held) if held is not None else None
        if address is not None:
            reply = case.replying.addresses(network, _given(case, address), case.url)
            return case.answer(reply, address)
        if asks is Asks.RENEW:
            ias = [
                dhcp6_replies.refused(ia.iaid, Status.NO_BINDING, "not a lease of ours")
                for ia in associations
            ]
            return case.answer(case.replying.addresses(network, ias), note="not a lease of ours")
        strange = [
            dhcp6_replies.ended(ia.iaid, gone)
            for ia in associations
            if (gone := [each for each in _wanted(ia) if each not in network.network])
        ]
        if strange:
            reply = case.replying.addresses(network, strange)
            return case.answer(reply, note="an address of another link")
        return Silence("not a lease of ours; another server may know it")

    async def _give_back(self, incoming: Incoming6, replying: Replying, asks: Asks) -> Answer6:
        """Release or decline; associations without a lease are told so (§18.3.7, §18.3.8)."""
        leases = self._boot.leases
        end = leases.release if asks is Asks.RELEASE else leases.decline
        ended: list[str] = []
        unknown = []
        for ia in incoming.associations:
            done = [
                str(each)
                for each in _wanted(ia)
                if await end(each, incoming.identity, incoming.now)
            ]
            ended += done
            if not done:
                unknown.append(dhcp6_replies.refused(ia.iaid, Status.NO_BINDING, "not yours"))
        word = "released" if asks is Asks.RELEASE else "declined"
        reply = replying.status(Status.SUCCESS, word, unknown)
        return Answer6(reply, f"{word} {', '.join(ended) or 'nothing of its own'}")


def boot_url(name: str, endpoints: Endpoints) -> str:
    """Return the URL of a boot file: a content path is for TFTP, at a literal address (RFC 5970
    §3.1; shim and Raspberry Pi boards take nothing else, quirk V4).
    """
    if name == FIRST_OF_RASPBERRY_PI:
        name = ""  # whose boards want to be told where, and not what
    return name if "://" in name else f"{endpoints.tftp}/{quote(name.lstrip('/'))}"


def _server(incoming: Incoming6, network: Network6) -> IPv6Address:
    """Return the address of ours that a client of this network reaches us at: one in it, else
    the one that a relay agent asked, else any that is not of the link alone.
    """
    ours = [each.ip for each in incoming.addresses]
    asked = [incoming.destination] if incoming.destination is not None else []
    there = [each for each in ours if each in network.network]
    routed = [each for each in (*asked, *ours) if not each.is_link_local]
    return next(iter((*there, *routed, *ours)), IPv6Address(0))


def _confirm(incoming: Incoming6, replying: Replying, network: Network6) -> Answer6 | Silence:
    """Say whether all addresses are of this link; with none there is nothing to say (§18.3.3)."""
    addresses = [each for ia in incoming.associations for each in _wanted(ia)]
    if not addresses:
        return Silence("a CONFIRM without addresses")
    if all(each in network.network for each in addresses):
        return Answer6(replying.status(Status.SUCCESS, "all on this link"), "all on this link")
    return Answer6(replying.status(Status.NOT_ON_LINK, "not on this link"), "not on this link")


def _wanted(ia: IaNa) -> Iterator[IPv6Address]:
    """Yield the addresses in an association; 0 is none.

    :raises WireError: if one is malformed.
    """
    return iter([each.address for each in ia.addresses if int(each.address)])


def _given(case: _Case, address: IPv6Address | None) -> list[IaNa]:
    """Answer every association: the first one has the address, and whatever else the client
    has in it is over.
    """
    answers = []
    for number, ia in enumerate(case.incoming.associations):
        if number or address is None:
            text = _ONE if number else "no free address"
            answers.append(dhcp6_replies.refused(ia.iaid, Status.NO_ADDRS_AVAIL, text))
            continue
        renewing = case.incoming.message.type != Dhcp6Type.SOLICIT
        gone = [each for each in _wanted(ia) if each != address] if renewing else []
        answers.append(dhcp6_replies.association(ia.iaid, case.network, address, gone))
    return answers
