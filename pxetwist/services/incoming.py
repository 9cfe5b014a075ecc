"""What comes to a DHCP service, with all that is known of it, and what it is answered.

Most of what arrives was asked before: of the same machine yesterday, or in a boot of a minute ago.
What follows from the bytes of a question alone is found out once.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address

import attrs

from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Asks, Destination, Silence
from pxetwist.exchange.dhcp4_replies import encode_reply
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootFile, BootPlan, BootRequest, Endpoints, Protocol, Resolution
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Network
from pxetwist.services.client_options import ClientView
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode

#: Where the value of option 53 stands in what we write: it is the first one.
_KIND = 242
#: What tells a REQUEST from the DISCOVER before it.
_TAKES_UP = (OptionCode.MESSAGE_TYPE, OptionCode.REQUESTED_ADDRESS, OptionCode.SERVER_ID)


class Reply:
    """A reply and where it goes, for every time that the same is said to the same question: only
    the transaction id is another one.
    """

    def __init__(
        self,
        request: Dhcp4Message,
        message: Dhcp4Message,
        destination: Destination,
        note: str = "",
    ) -> None:
        """Keep the request for its limits; `note` is what else is to be said of it."""
        self._request = request
        self._payload = b""
        self.note = note
        self.message = message
        self.destination = destination
        self.address = str(message.yiaddr)
        self._summary: tuple[BootPlan | None, BootFile | None, str] | None = None

    def payload(self, xid: int) -> bytes:
        """Return the bytes to be sent.

        :raises WireError: if they cannot be written.
        """
        payload = self._payload
        if not payload:
            payload = self._payload = encode_reply(self._request, self.message)
        return b"%b%b%b" % (payload[:4], xid.to_bytes(4, "big"), payload[8:])

    def acknowledged(self, request: Dhcp4Message) -> Reply:
        """Turn an OFFER into the ACK of a request that is the DISCOVER but for its type and what
        it takes up.
        """
        told = self.message
        options = {**told.options, OptionCode.MESSAGE_TYPE: bytes([Dhcp4Type.ACK])}
        message = attrs.evolve(told, xid=request.xid, options=options)
        made = Reply(request, message, self.destination, self.note)
        offer = self._payload
        if offer:
            made._payload = b"%b%c%b" % (offer[:_KIND], Dhcp4Type.ACK, offer[_KIND + 1 :])
        return made

    def summary(self, plan: BootPlan | None, boot_file: BootFile | None) -> str:
        """Say in one line what is answered and why."""
        known = self._summary
        if known is None or known[0] is not plan or known[1] != boot_file:
            known = self._summary = (plan, boot_file, self._summarise(plan, boot_file))
        return known[2]

    def _summarise(self, plan: BootPlan | None, boot_file: BootFile | None) -> str:
        kind = self.message.message_type
        words = [kind.name if kind else "BOOTP reply"]
        if int(self.message.yiaddr):
            words.append(self.address)
        if boot_file:
            words.append(f"boot file {boot_file.name} ({boot_file.reason})")
        if self.note:
            words.append(self.note)
        if plan is not None:
            words.append(f"profile {plan.profile}" + (f": {plan.reason}" if plan.reason else ""))
        return ", ".join(words)


@attrs.define(eq=False)
class Situation:
    """What follows from a question and our address on its wire: what is asked for, if it is to be
    answered, of which networks, and what we are to be called (option 54).
    """

    server: IPv4Address
    server_id: IPv4Address
    asks: Asks | Silence
    wanted: IPv4Address | None = None
    wish: int | None = None  # seconds (option 51)
    link: tuple[Network, ...] = ()


@attrs.define(eq=False)
class Question:
    """A message without what differs each time that it is sent, and what is known of it.

    `message` is the one that came first: `xid` and `secs` are its own. `said` is the last reply,
    and what it was made of. `discover` is the question before it, if this one takes up what was
    offered to that.
    """

    message: Dhcp4Message
    identity: ClientIdentity
    kind: Dhcp4Type | None
    situation: Situation | None = None
    said: tuple[tuple[object, ...], Reply] | None = None
    discover: Question | None = None

    @classmethod
    def of(
        cls, message: Dhcp4Message, interface: str = "", before: Question | None = None
    ) -> Question:
        """Read a message that arrived on an interface, maybe after another one of its sender."""
        if before is not None and _takes_up(message, before):
            return cls(message, before.identity, message.message_type, discover=before)
        return cls(message, dhcp4.identify(message, interface), message.message_type)


def _takes_up(message: Dhcp4Message, before: Question) -> bool:
    """Whether this is the REQUEST that follows a DISCOVER, and says all else as that did."""
    first = before.message
    return (
        before.kind == Dhcp4Type.DISCOVER
        and message.message_type == Dhcp4Type.REQUEST
        and not int(message.ciaddr or first.ciaddr)
        and message.flags == first.flags
        and message.giaddr == first.giaddr
        and message.chaddr == first.chaddr
        and (message.htype, message.hlen) == (first.htype, first.hlen)
        and _lasting(message) == _lasting(first)
    )


def _lasting(message: Dhcp4Message) -> dict[int, bytes]:
    options = dict(message.options)
    for code in _TAKES_UP:
        options.pop(code, None)
    return options


@attrs.frozen
class Answer:
    """A reply, and how it came about."""

    said: Reply
    xid: int
    resolution: Resolution
    boot_file: BootFile | None
    boot_id: str
    view: ClientView | None = None

    @property
    def reply(self) -> Dhcp4Message:
        """The reply as a message."""
        message = self.said.message
        return message if message.xid == self.xid else attrs.evolve(message, xid=self.xid)

    @property
    def destination(self) -> Destination:
        """Where it goes."""
        return self.said.destination

    @property
    def note(self) -> str:
        """What else is to be said of it."""
        return self.said.note

    @property
    def summary(self) -> str:
        """What is answered and why, in one line."""
        return self.said.summary(self.resolution.request.plan, self.boot_file)

    @property
    def payload(self) -> bytes:
        """The bytes to be sent.

        :raises WireError: if they cannot be written.
        """
        return self.said.payload(self.xid)


@attrs.frozen
class Incoming:
    """A question with all that is known of its arrival; `server` is our address there, and
    `broadcast` whether it was sent to everybody (`None`: nobody has looked).
    """

    question: Question
    xid: int
    server: IPv4Address
    now: float
    port: int = dhcp4.SERVER_PORT
    source: tuple[str, int] = ("0.0.0.0", dhcp4.CLIENT_PORT)
    broadcast: bool | None = None

    @classmethod
    def of(
        cls,
        message: Dhcp4Message,
        server: IPv4Address,
        now: float,
        *,
        interface: str = "",
        port: int = dhcp4.SERVER_PORT,
        source: tuple[str, int] = ("0.0.0.0", dhcp4.CLIENT_PORT),
        broadcast: bool | None = None,
    ) -> Incoming:
        """Take a message that nobody has looked at."""
        question = Question.of(message, interface)
        return cls(question, message.xid, server, now, port, source, broadcast)

    @property
    def message(self) -> Dhcp4Message:
        """The message; its `secs` may be those of another time."""
        message = self.question.message
        return message if message.xid == self.xid else attrs.evolve(message, xid=self.xid)

    @property
    def identity(self) -> ClientIdentity:
        """Who asks, by what the message proves."""
        return self.question.identity

    @property
    def server_id(self) -> IPv4Address:
        """What clients are to call us (option 54)."""
        return dhcp4.server_id(self.question.message, self.server)


@lru_cache(maxsize=256)
def _endpoints(server: int, http_port: int) -> Endpoints:
    return Endpoints(str(IPv4Address(server)), http_port)


async def resolve_incoming(
    boot: IBoot, incoming: Incoming, protocol: Protocol, http_port: int
) -> tuple[Resolution, BootFile | None, str]:
    """Identify the sender, note the sighting, ask for the plan, choose the boot file."""
    identity = incoming.identity
    stage = dhcp4.stage_of(identity)
    boot_id = boot.see(identity, stage, incoming.now)
    if identity.address:
        boot.locate(identity.address, identity, incoming.now)
    request = BootRequest(
        identity,
        stage,
        protocol,
        endpoints=_endpoints(int(incoming.server), http_port),
        boot_id=boot_id,
        accepts=incoming.question.kind == Dhcp4Type.REQUEST,
    )
    resolution = await boot.resolve(request)
    boot_file = boot.boot_file(resolution.request, incoming.now)
    return resolution, boot_file, boot_id
