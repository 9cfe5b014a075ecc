"""The public test kit: fakes behind the interfaces, and the network in memory.

Everything runs on one :class:`twisted.internet.task.Clock`; nothing here opens a socket.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from pxetwist.testing.content import MemoryContent, MemoryStore
from pxetwist.testing.network import (
    Datagram,
    Link,
    Lossy,
    MemoryClient,
    MemoryNetwork,
    MemorySocket,
    MemoryTransferSocket,
    MemoryTransferSockets,
    perfect,
)
from pxetwist.testing.plugins import FakeHosts, FakeObserver, FakePolicy
from pxetwist.testing.site import FakeBoot, make_site

__all__ = [
    "Datagram",
    "FakeBoot",
    "FakeHosts",
    "FakeObserver",
    "FakePolicy",
    "Link",
    "Lossy",
    "MemoryClient",
    "MemoryContent",
    "MemoryNetwork",
    "MemorySocket",
    "MemoryStore",
    "MemoryTransferSocket",
    "MemoryTransferSockets",
    "make_site",
    "perfect",
    "result_of",
]

T = TypeVar("T")


def result_of(coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
    """Run a coroutine that must finish at once, and return its value or raise its exception."""
    results: list[T] = []
    failures: list[BaseException] = []
    deferred = Deferred.fromCoroutine(coroutine)
    deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
    if failures:
        raise failures[0]
    if not results:
        raise AssertionError("the coroutine still waits for something")
    return results[0]
