"""Answers that stand: as long as nothing that one was made of has changed, it is given again.

A machine asks the same in each of its boots. What is left to do then is to look whether the
decision holds, and to store the lease.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import attrs

from pxetwist.exchange.dhcp4 import SERVER_PORT, Asks
from pxetwist.interfaces import IAtHand, IBoot, ILeaseStore
from pxetwist.model.boot import Edition, Resolution
from pxetwist.model.identity import Firmware
from pxetwist.model.lease import Lease, LeaseState, Network
from pxetwist.services.dhcp.incoming import Answer, Incoming
from pxetwist.services.dhcp.questions import Reply, Situation
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode

#: A lease that ends within so many seconds is offered anew, for the client's sake.
_SOON = 120.0
#: Who is answered by what it holds, in the networks of one wire.
_REPEATABLE = frozenset(
    {Asks.DISCOVER, Asks.SELECTING, Asks.INIT_REBOOT, Asks.RENEWING, Asks.REBINDING}
)


@attrs.frozen(eq=False)
class Standing:
    """An OFFER of what the client has leased, or an ACK, and what must still be so; the lease is
    for so many `seconds`.
    """

    said: Reply
    resolution: Resolution
    edition: Edition
    network: Network
    address: IPv4Address
    seconds: int
    situation: Situation
    source: tuple[str, int]
    answer: Answer
    store: Any  # IAtHand

    @classmethod
    def of(
        cls, incoming: Incoming, answer: Answer, seconds: int, edition: Edition, store: ILeaseStore
    ) -> Standing | None:
        """Return what stands of an answer; `None` if it is of this moment alone."""
        situation = incoming.question.situation
        said, identity = answer.said, answer.resolution.request.identity
        if (
            edition is None
            or not answer.resolution.lasts
            or situation is None
            or not IAtHand.providedBy(store)
            or len(situation.link) != 1
            or situation.asks not in _REPEATABLE
            or said.kind != (Dhcp4Type.OFFER if situation.asks is Asks.DISCOVER else Dhcp4Type.ACK)
            or identity.firmware is Firmware.IPXE  # the URL of its script is this boot's
        ):
            return None
        return cls(
            *(said, answer.resolution, edition, situation.link[0], said.yiaddr, seconds),
            *(situation, incoming.source, answer, store),
        )

    def taken_up(self, incoming: Incoming) -> Standing | None:
        """Return what acknowledges this OFFER to a REQUEST that takes it up, and says all else
        as the DISCOVER before it did; `None` if that must be looked at.
        """
        message, situation = incoming.question.message, self.situation
        if (
            self.said.kind != Dhcp4Type.OFFER
            or message.options.get(OptionCode.REQUESTED_ADDRESS) != self.address.packed
            or message.options.get(OptionCode.SERVER_ID) != situation.server_id.packed
            or message.op != Dhcp4Op.REQUEST
            or incoming.port != SERVER_PORT
        ):
            return None
        found, before = self.resolution, self.answer
        request = found.request.answered(found.machine, found.plan, accepts=True)
        resolution = Resolution(request, found.verdict, found.steps, found.reason)
        said = self.said.acknowledged(message)
        answer = Answer(
            *(said, incoming.xid, resolution, before.boot_file, before.boot_id, before.view)
        )
        selects = Situation(
            *(situation.server, situation.server_id, Asks.SELECTING, self.address),
            *(situation.wish, situation.link),
        )
        return Standing(
            *(said, resolution, self.edition, self.network, self.address, self.seconds),
            *(selects, self.source, answer, self.store),
        )

    def repeated(self, boot: IBoot, incoming: Incoming) -> tuple[Answer, Lease | None] | None:
        """Answer the same question as before, once the lease, if one is returned, is stored;
        `None` if it must be looked at anew.
        """
        situation, now, server = self.situation, incoming.now, incoming.server
        if server is not situation.server and server != situation.server:
            return None
        if incoming.source != self.source:
            return None
        identity, address = self.resolution.request.identity, self.address
        held = self.store.present(identity, self.network, now)
        if held is None or (held.address is not address and held.address != address):
            return None
        offers = self.said.kind == Dhcp4Type.OFFER
        if offers and (held.state is not LeaseState.LEASED or held.ends < now + _SOON):
            return None
        boot_id = boot.confirm(incoming.question.identity, self.resolution, self.edition, now)
        if not boot_id:
            return None
        before = self.answer
        answer = Answer(
            *(self.said, incoming.xid, self.resolution, before.boot_file, boot_id, before.view)
        )
        if offers:
            return answer, None
        ends = now + self.seconds
        if held.hostname == identity.hostname and self.store.lasts(held, ends, now):
            boot.locate(address, identity, now)
            return answer, None
        lease = Lease(
            *(address, held.key, ends, held.network, identity.hostname), LeaseState.LEASED
        )
        return answer, lease
