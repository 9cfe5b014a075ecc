"""What comes to a DHCP service, with all that is known of it, and what it is answered."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address

import attrs

from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Destination
from pxetwist.exchange.dhcp4_replies import BootData
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootFile, BootRequest, Endpoints, Protocol, Resolution
from pxetwist.model.identity import ClientIdentity
from pxetwist.services.dhcp.client_options import ClientView
from pxetwist.services.dhcp.questions import Question, Reply
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type


@attrs.define  # not frozen: two of them for each message that is repeated
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
    def is_ack(self) -> bool:
        """Whether it acknowledges something."""
        return self.said.kind == Dhcp4Type.ACK

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


@attrs.define
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


def no_loader(identity: ClientIdentity) -> str:
    """Say that there is no boot file for the likes of this machine."""
    architecture = identity.architecture.short if identity.architecture is not None else "?"
    return f"no loader for architecture {architecture}, firmware {identity.firmware.value}"


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


def boot_data(boot_file: BootFile, resolution: Resolution) -> BootData:
    """Return the boot file with the server that has it, for the wire."""
    return BootData(boot_file.name, dhcp4.parse_address(resolution.request.endpoints.address))
