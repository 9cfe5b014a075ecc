"""What DHCPv4 clients are told: the options of several places in one, and how long leases last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from pxetwist.errors import WireError
from pxetwist.model.lease import AS_USUAL, Layer, LeaseTimes, Network
from pxetwist.wire.options import OptionCode as O
from pxetwist.wire.options import decode_value, encode_value

#: A lease without an end (RFC 2131 §3.3).
INFINITE = 0xFFFFFFFF

_EVERYWHERE = IPv4Network("0.0.0.0/0")


def network_layers(network: Network) -> tuple[Layer, ...]:
    """Return what a network says, the weaker layer first."""
    net = network.network
    options: dict[int, bytes] = {
        O.SUBNET_MASK: net.netmask.packed,
        O.ROUTERS: _addresses(network.routers),
        O.DOMAIN_NAME_SERVERS: _addresses(network.name_servers),
        O.DOMAIN_NAME: network.domain.encode(),
        O.BROADCAST: net.broadcast_address.packed,
        O.NTP_SERVERS: _addresses(network.time_servers),
    }
    said = {code: value for code, value in options.items() if value} | dict(network.options)
    own = Layer(f"[subnet:{network.name}]", said, network.always, network.next_server)
    return (network.inherited, own) if network.inherited else (own,)


def _addresses(addresses: Sequence[IPv4Address]) -> bytes:
    return b"".join(address.packed for address in addresses)


def told(layers: Iterable[Layer], base: Mapping[int, bytes] | None = None) -> dict[int, bytes]:
    """Join layers, the weakest first, on a `base` that was joined before.

    Who gets classless routes looks at no others, so the default route is put among them
    (RFC 3442), and Microsoft's number for them says the same.
    """
    options = dict(base or {})
    for layer in layers:
        options |= layer.options
    if b"" in options.values():  # said to be nobody's
        options = {code: value for code, value in options.items() if value}
    routes = options.get(O.CLASSLESS_ROUTES)
    if routes:
        options[O.CLASSLESS_ROUTES] = complete = _with_default(routes, options.get(O.ROUTERS, b""))
        options.setdefault(O.MICROSOFT_ROUTES, complete)
    return options


def _with_default(routes: bytes, routers: bytes) -> bytes:
    try:
        known = decode_value(O.CLASSLESS_ROUTES, routes)
    except WireError:
        return routes  # the site has given it as bytes
    if len(routers) < 4 or any(network == _EVERYWHERE for network, _ in known):
        return routes
    default = ((_EVERYWHERE, IPv4Address(routers[:4])),)
    return routes + encode_value(O.CLASSLESS_ROUTES, default)


def origin_of(code: int, raw: bytes, layers: Sequence[Layer]) -> str:
    """Say which layer an option of a reply is from; empty if it is the server's own doing."""
    for layer in reversed(layers):
        said = layer.options.get(code)
        if said is not None:
            return layer.origin if raw.startswith(said) else ""
    return ""


def lease_times(network: Network, classes: Iterable[LeaseTimes]) -> LeaseTimes:
    """Join what is said of leases in a network; of classes the first one that says it counts."""
    times = AS_USUAL
    for each in (*classes, network.lease_times, LeaseTimes(network.lease_time)):
        times = times.over(each)
    return times


def lease_seconds(times: LeaseTimes, *, booting: bool, wish: int | None) -> int:
    """Return how long a lease is to last.

    A client's wish (option 51) is heard as far as the site has said that it may be: without
    bounds the normal time is the only one. Bounds and normal time may be said in several places,
    so the normal one is kept within them.
    """
    if booting and times.booting is not None:
        return times.booting
    normal = INFINITE if times.normal is None else times.normal
    normal = normal if times.longest is None else min(normal, times.longest)
    normal = max(normal, times.shortest or 0)
    if wish is None:
        return normal
    shortest = normal if times.shortest is None else times.shortest
    longest = normal if times.longest is None else times.longest
    return max(min(wish, longest), shortest)


def renewal_times(seconds: int, options: Mapping[int, bytes]) -> tuple[int, int]:
    """Return T1 and T2 (RFC 2131 §4.4.5): the site's own if they make sense for this lease."""
    if seconds == INFINITE:
        return INFINITE, INFINITE
    first = int.from_bytes(options.get(O.RENEWAL_TIME, b""), "big") or seconds // 2
    second = int.from_bytes(options.get(O.REBINDING_TIME, b""), "big") or seconds * 7 // 8
    if not first <= second <= seconds:
        return seconds // 2, seconds * 7 // 8
    return first, second
