"""How the running server is: what it asks and stores in, and what its services have counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from pxetwist.config.assemble import Assembly
from pxetwist.interfaces import ICounts, IHealth
from pxetwist.model.health import Health, HealthState


def status(assembly: Assembly) -> list[str]:
    """Return one line for each directory, policy, lease store and service."""
    return [*_asked(assembly), *_services(assembly), *_leases(assembly)]


def _asked(assembly: Assembly) -> Iterator[str]:
    for who, health in assembly.boot.resolver.health().items():
        yield _told(who, health)
    for instance, thing in assembly.built:
        if instance.kind == "state" and IHealth.providedBy(thing):
            yield _told(f"state {instance.name}", IHealth(thing).health())


def _told(who: str, health: Health) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(health.since))
    error = f": {health.error}" if health.state is not HealthState.UP else ""
    return f"{who} is {health.state.value} since {since}{error} ({_spelled(health.counters)})"


def _services(assembly: Assembly) -> Iterator[str]:
    for instance, thing in assembly.built:
        if ICounts.providedBy(thing):
            yield f"{instance.kind} {instance.name}: {_spelled(ICounts(thing).counts())}"


def _leases(assembly: Assembly) -> Iterator[str]:
    leases = assembly.boot.leases
    if ICounts.providedBy(leases):
        yield f"leases: {_spelled(ICounts(leases).counts())}"


def _spelled(counters: Mapping[str, int]) -> str:
    counted = ", ".join(f"{name} {count}" for name, count in sorted(counters.items()))
    return counted or "nothing yet"
