"""The DHCPv6 server as ``pxetwist explain`` asks it: it has one address, and any name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, IPv6Interface

from pxetwist.boot.facade import BootFacade
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.model.network6 import Network6
from pxetwist.services.dhcp6.addressing import AddressServer6, Answer6, Incoming6
from pxetwist.wire.dhcp6 import Dhcp6Message, RelayMessage
from pxetwist.wire.iana import Dhcp6Option

#: The documentation's (RFC 3849): when neither this host nor the INI has a network of IPv6.
_NOWHERE = IPv6Address("2001:db8::1")
_NAME = b"\0\4" + bytes(16)  # a DUID-UUID


class Server6:
    """Answers as the one that a client chose: in captures that may have been somebody else.

    `address` is ours; left out, the first one of the first network.
    """

    def __init__(
        self,
        boot: BootFacade,
        networks: Mapping[str, Network6],
        address: IPv6Address | None = None,
    ) -> None:
        first = next((each.network for each in networks.values()), None)
        self.address = address or (first[1] if first is not None else _NOWHERE)
        self._boot = boot
        self._networks = networks

    def incoming(
        self,
        message: Dhcp6Message,
        peer: IPv6Address | None,
        relays: Sequence[RelayMessage] = (),
    ) -> Incoming6:
        """Return a message as it comes in from `peer`."""
        ours = (IPv6Interface((self.address, 64)),)
        return Incoming6(message, self._boot.now(), ours, tuple(relays), peer=peer)

    async def answer(self, incoming: Incoming6) -> Answer6 | Silence:
        """Return what is answered.

        :raises WireError: if an option that decides is malformed.
        """
        name = incoming.message.options.get(Dhcp6Option.SERVER_ID) or _NAME
        server = AddressServer6(self._boot, self._networks, self._boot.http_port, name)
        return await server.answer(incoming)
