"""Who speaks: from an address, or with the token of a URL."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import attrs

from pxetwist.boot.neighbours import Neighbours, peer_address, peer_link
from pxetwist.boot.sightings import Sightings
from pxetwist.boot.tokens import Tokens
from pxetwist.model.boot import BootStage
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.recent import Recent

#: So many peers are kept at least.
_PEERS = 4096


@lru_cache(_PEERS)
def _neighbour(mac: str) -> ClientIdentity:
    return ClientIdentity(mac=mac)


@attrs.frozen
class Recognition:
    """Knows machines by what was seen of them lately, by leases, and by the neighbour table."""

    _sightings: Sightings
    _tokens: Tokens
    _neighbours: Neighbours = attrs.field(factory=Neighbours)
    #: By the address of a peer: what is known of it without that, and with it.
    _located: Recent[str, tuple[ClientIdentity, ClientIdentity]] = attrs.field(
        init=False, factory=lambda: Recent(_PEERS)
    )

    def see(self, identity: ClientIdentity, stage: BootStage, now: float) -> str:
        """Note a machine at a stage; return its boot id."""
        return self._sightings.see(identity, stage, now).boot_id if identity.key else ""

    def locate(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> None:
        """Note the address that a machine speaks from."""
        if identity.key and int(address):
            self._sightings.locate(address, identity.key)

    async def identify(self, address: str, leases: Any, now: float) -> tuple[ClientIdentity, str]:
        """Turn a peer address into the machine behind it, as well as we know; `leases` are an
        `ILeaseStore`, or `None`.
        """
        peer = peer_address(address)
        if peer is None:
            return ClientIdentity(), ""
        sighting = self._sightings.at(peer, now)
        if sighting is None:
            mac = await self._mac_at(peer, peer_link(address), leases, now)
            if not mac:
                return ClientIdentity(address=peer), ""
            sighting = self._sightings.get(mac, now)
            if sighting is None:
                return self._at(address, peer, _neighbour(mac)), ""
        return self._at(address, peer, sighting.identity), sighting.boot_id

    def _at(
        self, address: str, peer: IPv4Address | IPv6Address, known: ClientIdentity
    ) -> ClientIdentity:
        """Return an identity with its address: the same object as long as it is the same, since
        that is compared in no time.
        """
        before = self._located.get(address)
        if before is not None and before[0] is known:
            return before[1]
        located = known if known.address == peer else attrs.evolve(known, address=peer)
        self._located.put(address, (known, located))
        return located

    def seen_at(self, address: str, now: float) -> bool:
        """Whether a machine was seen at this address lately, without asking anybody."""
        peer = peer_address(address)
        return peer is not None and self._sightings.at(peer, now) is not None

    async def _mac_at(
        self, peer: IPv4Address | IPv6Address, link: int, leases: Any, now: float
    ) -> str:
        lease = await leases.holder(peer, now) if leases else None
        if lease is not None and lease.key.count(":") == 5:
            return str(lease.key)
        return self._neighbours.mac(peer, link, now)

    def redeem(
        self, token: str, now: float, purpose: str = ""
    ) -> tuple[ClientIdentity, str] | None:
        """Turn the token of a URL into the machine it was made for."""
        redeemed = self._tokens.redeem(token, now, purpose)
        if redeemed is None:
            return None
        identity, boot_id = redeemed
        sighting = self._sightings.get(identity.key, now)
        if sighting and sighting.boot_id == boot_id:
            identity = attrs.evolve(
                sighting.identity, architecture=identity.architecture, firmware=Firmware.IPXE
            )
        return identity, boot_id
