"""A question of a DHCP client, with all that is known of who asks, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4_replies import BootData
from pxetwist.model.boot import BootFile, Resolution
from pxetwist.model.lease import Network
from pxetwist.services.dhcp.client_options import ClientView
from pxetwist.services.dhcp.incoming import Answer, Incoming, boot_data, no_loader
from pxetwist.services.dhcp.leasing import Client
from pxetwist.services.dhcp.questions import Reply, Situation
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type


@attrs.frozen
class Case:
    """An incoming message once machine, plan and the networks of its wire are known; `client` is
    who asks, for the leases.
    """

    incoming: Incoming
    situation: Situation
    resolution: Resolution
    boot_file: BootFile | None
    boot_id: str
    client: Client

    @property
    def message(self) -> Dhcp4Message:
        """What is asked; its transaction id may be another time's."""
        return self.incoming.question.message

    @property
    def link(self) -> tuple[Network, ...]:
        """The networks on the wire."""
        return self.situation.link

    @property
    def boot(self) -> BootData | None:
        """The boot file with its server, for the wire."""
        return boot_data(self.boot_file, self.resolution) if self.boot_file else None

    @property
    def authoritative(self) -> bool:
        """Whether no other server answers on this wire."""
        return any(network.authoritative for network in self.link)

    def answer(self, reply: Dhcp4Message, view: ClientView | None = None) -> Answer:
        """Address a reply."""
        return self._say(self._addressed(reply), view)

    def again(
        self, made_of: tuple[object, ...], view: ClientView, make: Callable[[], Dhcp4Message]
    ) -> Answer:
        """Answer as the last time, if the reply is made of the same."""
        question = self.incoming.question
        if question.said is None or question.said[0] != made_of:
            question.said = (made_of, self._offered(made_of) or self._addressed(make()))
        return self._say(question.said[1], view)

    def _say(self, said: Reply, view: ClientView | None = None) -> Answer:
        """Answer with a reply."""
        return Answer(said, self.incoming.xid, self.resolution, self.boot_file, self.boot_id, view)

    def _offered(self, made_of: tuple[object, ...]) -> Reply | None:
        """Return the ACK that says what the OFFER said."""
        discover = self.incoming.question.discover
        if discover is None or discover.said is None or made_of[0] != Dhcp4Type.ACK:
            return None
        offer, said = discover.said
        if offer != (Dhcp4Type.OFFER, *made_of[1:]):
            return None
        return said.acknowledged(self.incoming.message)

    def _addressed(self, reply: Dhcp4Message) -> Reply:
        request, resolved = self.incoming.message, self.resolution.request
        lacking = self.boot_file is None and resolved.plan and resolved.identity.firmware.boots
        note = no_loader(resolved.identity) if lacking else ""
        destination = dhcp4.reply_destination(request, reply, self.incoming.source)
        return Reply(request, reply, destination, note)
