"""One IPv6 network that we serve."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, IPv6Network

import attrs

from pxetwist.model.lease import Network, Pool


@attrs.frozen
class Network6:
    """What the clients of an IPv6 network are told, by DHCPv6 and by router advertisements.

    `lifetime` is an address's in seconds. A `preference` above 0 is sent; 255 ends a client's
    search. `solicit_max` (seconds, 0: not sent) is how seldom clients without an answer ask at
    the least. `options` are further DHCPv6 options, by number, as raw values.

    `advertise` lets us tell of the prefix: `managed` and `slaac` say where addresses come from,
    `router` that we are a way out.
    """

    name: str
    network: IPv6Network
    pools: tuple[Pool, ...] = ()
    name_servers: tuple[IPv6Address, ...] = ()
    search: tuple[str, ...] = ()
    time_servers: tuple[IPv6Address, ...] = ()
    lifetime: int = 3600
    preference: int = 0
    rapid_commit: bool = False
    solicit_max: int = 0
    options: Mapping[int, bytes] = attrs.field(factory=dict)
    advertise: bool = False
    managed: bool = True
    slaac: bool = False
    router: bool = False
    leases: Network = attrs.field(init=False, eq=False)

    @leases.default
    def _as_lease_stores_see_it(self) -> Network:
        # Its own name: a [subnet:…] may have the same one.
        return Network(f"subnet6:{self.name}", self.network, self.pools)
