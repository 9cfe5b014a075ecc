"""How the running server is: what it asks and stores in, and what its services have counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from twisted.logger import Logger

from pxetwist.config.assemble import Assembly
from pxetwist.interfaces import ICounts, IHealth
from pxetwist.model.health import Health, HealthState, in_words
from pxetwist.services.workers.feed import Feed

_log = Logger(namespace="pxetwist")


def status(assembly: Assembly) -> list[str]:
    """Return one line for each directory, policy, lease store, service and worker."""
    services = [f"{who}: {in_words(counted)}" for who, counted in counts(assembly).items()]
    workers = assembly.workers.status() if assembly.workers else []
    return [*_asked(assembly), *services, *_leases(assembly), *workers]


def _asked(assembly: Assembly) -> Iterator[str]:
    for who, health in assembly.boot.resolver.health().items():
        yield _told(who, health)
    for instance, thing in assembly.built:
        if instance.kind == "state" and assembly.gives_leases and IHealth.providedBy(thing):
            yield _told(f"state {instance.name}", IHealth(thing).health())


def _told(who: str, health: Health) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(health.since))
    error = f": {health.error}" if health.state is not HealthState.UP else ""
    return f"{who} is {health.state.value} since {since}{error} ({in_words(health.counters)})"


def counts(assembly: Assembly) -> Mapping[str, Mapping[str, int]]:
    """Return what each service has counted."""
    found: dict[str, Mapping[str, int]] = {}
    for instance, thing in assembly.built:
        if ICounts.providedBy(thing) and not assembly.served_elsewhere(instance):
            try:
                found[f"{instance.kind} {instance.name}"] = dict(ICounts(thing).counts())
            except Exception:
                _log.failure("[{title}] counts", title=instance.title)
    return found


def _leases(assembly: Assembly) -> Iterator[str]:
    leases = assembly.boot.leases
    if ICounts.providedBy(leases):
        yield f"leases: {in_words(ICounts(leases).counts())}"


def tell_counts(assembly: Assembly, feed: Feed) -> list[str]:
    """Tell the server what a worker has counted, and return how it is."""
    feed.tell("counts", {name: dict(counters) for name, counters in counts(assembly).items()})
    return status(assembly)
