"""DHCPv6 replies, each derived from its request; what firmware needs of them.

Section numbers are those of RFC 8415.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address

import attrs

from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.network6 import Network6
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire.dhcp6 import Dhcp6Message, Option, Options6, RelayMessage, encode
from pxetwist.wire.dhcp6_options import BOOT_ENTERPRISE, IaAddress, IaNa
from pxetwist.wire.iana import Dhcp6Option as O
from pxetwist.wire.iana import Dhcp6Status as Status
from pxetwist.wire.iana import Dhcp6Type

#: Sent whether or not the option request option names them.
_UNASKED = frozenset({O.SOLICIT_MAX_RT, O.INFORMATION_MAX_RT})


@attrs.frozen
class Replying:
    """What every reply to one request has: the request, its sender, and our DUID."""

    request: Dhcp6Message
    identity: ClientIdentity
    server: bytes

    def reply(self, kind: Dhcp6Type, options: Iterable[Option] = ()) -> Dhcp6Message:
        """Derive a message: transaction id and client identifier are the request's (§18.3.10)."""
        client = self.request.options.get(O.CLIENT_ID)
        head: list[Option] = [] if client is None else [(O.CLIENT_ID, client)]
        head.append((O.SERVER_ID, self.server))
        return Dhcp6Message(kind, self.request.xid, Options6((*head, *options)))

    def advertise(
        self, network: Network6, ias: Sequence[IaNa], boot_file: str = ""
    ) -> Dhcp6Message:
        """Offer addresses; without any, say so and nothing else (§18.3.9)."""
        settings = self._settings(network, boot_file)
        if not any(O.IA_ADDRESS in ia.options for ia in ias):
            status = (O.STATUS_CODE, values.write_status(Status.NO_ADDRS_AVAIL, "no address"))
            unasked = [each for each in settings if each[0] in _UNASKED]
            return self.reply(Dhcp6Type.ADVERTISE, [status, *unasked])
        options = [*_written(ias), *self._preference(network), *settings]
        return self.reply(Dhcp6Type.ADVERTISE, options)

    def addresses(
        self, network: Network6, ias: Sequence[IaNa], boot_file: str = "", *, rapid: bool = False
    ) -> Dhcp6Message:
        """Give, or renew, addresses."""
        head: list[Option] = [(O.RAPID_COMMIT, b"")] if rapid else []
        options = [*head, *_written(ias), *self._settings(network, boot_file)]
        return self.reply(Dhcp6Type.REPLY, options)

    def information(self, network: Network6, boot_file: str = "") -> Dhcp6Message:
        """Answer an information request (§18.3.6)."""
        refresh = (O.INFORMATION_REFRESH, max(network.lifetime, 600).to_bytes(4, "big"))
        options = [*self._settings(network, boot_file)]
        if O.INFORMATION_REFRESH in self.request.asked:
            options.append(refresh)
        return self.reply(Dhcp6Type.REPLY, options)

    def status(self, status: Status, text: str, ias: Sequence[IaNa] = ()) -> Dhcp6Message:
        """Say how it went, in the whole and of single associations."""
        whole = (O.STATUS_CODE, values.write_status(status, text))
        return self.reply(Dhcp6Type.REPLY, [whole, *_written(ias)])

    def _preference(self, network: Network6) -> list[Option]:
        """A preference of 255 lets clients take us without waiting for others (§18.2.1)."""
        return [(O.PREFERENCE, bytes([network.preference]))] if network.preference else []

    def _settings(self, network: Network6, boot_file: str) -> list[Option]:
        """What the client asked for of what there is, in its order; and what it must get."""
        found = {
            **network_options(network),
            **boot_options(self.request, self.identity, boot_file),
        }
        asked = [code for code in self.request.asked if code in found]
        forced = [code for code in found if code in _UNASKED or code in _BOOT]
        return [(code, found[code]) for code in dict.fromkeys([*asked, *forced])]


#: Sent to everybody who boots, whatever he asks for.
_BOOT = frozenset({O.BOOT_FILE_URL, O.VENDOR_CLASS})


def network_options(network: Network6) -> Mapping[int, bytes]:
    """What a network tells its clients."""
    rt = network.solicit_max.to_bytes(4, "big") if network.solicit_max else b""
    ntp = b"".join(b"\0\1\0\x10" + each.packed for each in network.time_servers)
    options: dict[int, bytes] = {
        O.NAME_SERVERS: values.write_addresses(network.name_servers),
        O.DOMAIN_SEARCH: values.write_names(network.search),
        O.SNTP_SERVERS: values.write_addresses(network.time_servers),
        O.NTP_SERVER: ntp,  # RFC 5908 §4.1
        O.SOLICIT_MAX_RT: rt,
        O.INFORMATION_MAX_RT: rt,
        **network.options,
    }
    return {code: value for code, value in options.items() if value}


def boot_options(
    request: Dhcp6Message, identity: ClientIdentity, boot_file: str
) -> Mapping[int, bytes]:
    """The URL of the boot file, without a NUL (RFC 5970 §3.1), never with parameters: EDK2 takes
    them for the size of the file, and asks port 4011 (quirk V1).

    Only HTTP clients get a vendor class: they take no offer without it, and EDK2's PXE would
    ask port 4011 because of it.
    """
    if not boot_file:
        return {}
    options: dict[int, bytes] = {O.BOOT_FILE_URL: boot_file.encode()}
    if identity.firmware is Firmware.UEFI_HTTP:
        raw = request.options.get(O.VENDOR_CLASS) or b""
        enterprise = int.from_bytes(raw[:4], "big") if len(raw) >= 4 else BOOT_ENTERPRISE
        options[O.VENDOR_CLASS] = values.write_vendor_class(enterprise, [b"HTTPClient"])
    return options


def association(
    iaid: int, network: Network6, address: IPv6Address, gone: Iterable[IPv6Address] = ()
) -> IaNa:
    """Make an IA_NA with an address, and others of the client's that are not valid any more
    (lifetimes 0, §18.3.4).
    """
    held = IaAddress(address, network.lifetime, network.lifetime)
    items = [held, *(IaAddress(each) for each in gone)]
    options = Options6(tuple((O.IA_ADDRESS, values.write_ia_address(each)) for each in items))
    return IaNa(iaid, network.lifetime // 2, network.lifetime * 4 // 5, options)


def ended(iaid: int, addresses: Iterable[IPv6Address]) -> IaNa:
    """Make an IA_NA whose addresses the client must not use any more."""
    items = ((O.IA_ADDRESS, values.write_ia_address(IaAddress(each))) for each in addresses)
    return IaNa(iaid, options=Options6(tuple(items)))


def refused(iaid: int, status: Status, text: str) -> IaNa:
    """Make an IA_NA that says why there is no address in it."""
    option = (O.STATUS_CODE, values.write_status(status, text))
    return IaNa(iaid, options=Options6((option,)))


def _written(ias: Sequence[IaNa]) -> list[Option]:
    return [(O.IA_NA, values.write_ia_na(ia)) for ia in ias]


def encode_reply(reply: Dhcp6Message, relays: Sequence[RelayMessage]) -> bytes:
    """Encode a reply, with a message around it for each relay agent that the request passed
    (§19.3); `relays` has the outermost first.

    :raises WireError: if it cannot be written.
    """
    data = encode(reply)
    for relay in reversed(relays):
        kept = [
            (code, value)
            for code, value in relay.options
            if code in (O.INTERFACE_ID, O.RELAY_SOURCE_PORT)
        ]
        options = Options6((*kept, (O.RELAY_MESSAGE, data)))
        data = encode(
            RelayMessage(Dhcp6Type.RELAY_REPL, relay.hops, relay.link, relay.peer, options)
        )
    return data
