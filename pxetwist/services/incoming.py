"""What comes to a DHCP service, with all that is known of it, and what it is answered."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address

import attrs

from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Destination
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootFile, BootRequest, Endpoints, Protocol, Resolution
from pxetwist.model.identity import ClientIdentity
from pxetwist.services.client_options import ClientView
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Type


@attrs.frozen
class Answer:
    """A reply, where it goes, and how it came about; `payload` is the reply in bytes, if it has
    been encoded already.
    """

    reply: Dhcp4Message
    destination: Destination
    resolution: Resolution
    boot_file: BootFile | None
    boot_id: str
    view: ClientView | None = None
    payload: bytes = b""
    note: str = ""  # what else is to be said of it


@attrs.frozen
class Incoming:
    """A message with all that is known of its arrival; `server` is our address there, and
    `broadcast` whether it was sent to everybody (`None`: nobody has looked).
    """

    message: Dhcp4Message
    server: IPv4Address
    now: float
    interface: str = ""
    port: int = dhcp4.SERVER_PORT
    source: tuple[str, int] = ("0.0.0.0", dhcp4.CLIENT_PORT)
    broadcast: bool | None = None
    identity: ClientIdentity = attrs.field(init=False)

    @identity.default
    def _identify(self) -> ClientIdentity:
        return dhcp4.identify(self.message, self.interface)

    @property
    def server_id(self) -> IPv4Address:
        """What clients are to call us (option 54)."""
        return dhcp4.server_id(self.message, self.server)


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
        accepts=incoming.message.message_type == Dhcp4Type.REQUEST,
    )
    resolution = await boot.resolve(request)
    boot_file = boot.boot_file(resolution.request, incoming.now)
    return resolution, boot_file, boot_id
