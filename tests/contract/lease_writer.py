"""A server that does nothing but lease: run by tests, to be killed or starved of its disk.

``lease_writer.py FILE endless`` prints each address when its lease is acknowledged, for ever.
``lease_writer.py FILE starved`` does so on a disk that is full from some point on, prints
``unavailable`` for each lease that cannot be stored, gets room again, prints ``room``, and ends
after some more leases.
"""

from __future__ import annotations

import resource
import sys
import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import Logger

from pxetwist.errors import StateUnavailable
from pxetwist.interfaces import Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Network, Pool
from pxetwist.state import sqlite

NOW = time.time()
NETWORK = Network(
    "lab",
    IPv4Network("10.0.0.0/8"),
    (Pool(IPv4Address("10.0.0.1"), IPv4Address("10.255.255.254")),),
)


async def lease(store: sqlite.SqliteLeases, number: int) -> IPv4Address | IPv6Address:
    identity = ClientIdentity(mac=f"02:00:{number.to_bytes(4, 'big').hex(':')}")
    offer = await store.offer(identity, NETWORK, None, None, (), NOW)
    assert offer is not None
    return (await store.commit(attrs.evolve(offer, ends=NOW + 3600), NOW)).address


async def endless(store: sqlite.SqliteLeases, first: int) -> None:
    number = first
    while True:
        print(await lease(store, number), flush=True)
        number += 16


async def starved(store: sqlite.SqliteLeases) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    failed = 0
    for number in range(10_000):
        try:
            print(await lease(store, number))
        except StateUnavailable:
            print("unavailable")
            failed += 1
        if failed == 5:
            break
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print("room")
    for number in range(20_000, 20_010):
        print(await lease(store, number))


async def until_done(reactor: SelectReactor, store: sqlite.SqliteLeases) -> None:
    try:
        await starved(store)
        print("done")
    finally:
        reactor.stop()


def main() -> None:
    path, mode = Path(sys.argv[1]), sys.argv[2]
    reactor = SelectReactor()
    site = Site("leases", reactor, Logger(), path.parent, path.parent, boot=None)
    store = sqlite.build(sqlite.Settings(file=str(path)), site)
    store.startService()
    if mode == "endless":
        for first in range(16):
            Deferred.fromCoroutine(endless(store, first))
    else:
        reactor.addSystemEventTrigger("before", "shutdown", store.stopService)
        Deferred.fromCoroutine(until_done(reactor, store))
    reactor.run()


if __name__ == "__main__":
    main()
