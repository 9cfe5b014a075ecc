"""What a directory has said, by everything that it was asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

import attrs

from pxetwist.hosts.answers import Given
from pxetwist.model.identity import ClientIdentity, swapped
from pxetwist.model.machine import Machine

_T = TypeVar("_T")

#: So many answers are kept; a machine takes up to four in one boot, for it is asked for with
#: other client identifiers by ROM, loader and system.
_LIMIT = 100_000
#: So many machines that were not found are kept, beside those answers: an invented one must not
#: push out what is known of a real one.
_UNKNOWN_LIMIT = 20_000


_ROUNDING = 1.0  # seconds since the epoch are not exact


@attrs.define
class Known:
    """An answer: when it was `given`, and `until` when it is fresh (seconds)."""

    machine: Machine
    given: float
    until: float


@attrs.define(eq=False)
class Memory:
    """Answers that hold for `fresh`, or `negative` if there was no machine; for want of better
    ones they do for `stale` (all in seconds).
    """

    fresh: float
    negative: float
    stale: float
    _known: OrderedDict[Hashable, Known] = attrs.field(factory=OrderedDict)
    _unknown: OrderedDict[Hashable, float] = attrs.field(factory=OrderedDict)  # until when

    def current(self, key: Hashable, now: float) -> Known | None:
        """Return an answer that still holds."""
        known = self._known.get(key)
        return known if known is not None and _holds(known.until, now, self.fresh) else None

    def is_unknown(self, key: Hashable, now: float) -> bool:
        """Whether it still holds that there is no such machine."""
        return _holds(self._unknown.get(key, 0.0), now, self.negative)

    def last(self, key: Hashable, identity: ClientIdentity, now: float) -> Known | None:
        """Return the last answer for the same question, or for the machine's MAC or UUID, unless
        it is too old.
        """
        marks = (ClientIdentity(mac=identity.mac), ClientIdentity(uuid=identity.uuid))
        for each in (key, *map(key_of, marks)):
            known = self._known.get(each)
            if known and now - known.given <= self.stale:
                return known
        return None

    def knows(self, mac: str) -> bool:
        """Look among the answers, old ones as well."""
        return key_of(ClientIdentity(mac=mac)) in self._known

    def learn(
        self, key: Hashable, identity: ClientIdentity, machine: Machine | None, now: float
    ) -> None:
        """Keep an answer."""
        if machine is None:
            self._known.pop(key, None)
            _keep(self._unknown, key, now + self.negative, _UNKNOWN_LIMIT)
            return
        self._unknown.pop(key, None)
        known = Known(machine, now, now + self.fresh)
        self._put(key, known)
        # Whatever else is asked together with them, in an emergency it is this machine.
        for mark in _sure_marks(identity, machine):
            self._put(mark, known)

    def restore(self, answers: Iterable[Given]) -> None:
        """Keep answers of an earlier process, for the case that nobody answers."""
        for machine, given in answers:
            for mark in _marks_of(machine):
                self._put(mark, Known(machine, given, given))

    def latest(self, now: float) -> list[Given]:
        """Return the last answer about each machine that is not too old."""
        latest: dict[str, Given] = {}
        for known in sorted(self._known.values(), key=lambda known: known.given):
            if known.given >= now - self.stale:
                latest[known.machine.name] = (known.machine, known.given)
        return list(latest.values())

    def expire(self) -> None:
        """Let nothing hold any more; answers are still there for want of better ones."""
        self._unknown.clear()
        self._known = OrderedDict(
            (key, attrs.evolve(known, until=known.given)) for key, known in self._known.items()
        )

    def _put(self, key: Hashable, known: Known) -> None:
        _keep(self._known, key, known, _LIMIT)


def _holds(until: float, now: float, length: float) -> bool:
    """Whether a span goes on; one of the future was begun before the clock was set back."""
    return 0 < until - now < length + _ROUNDING


def key_of(identity: ClientIdentity) -> Hashable:
    """Return everything by which directories find machines."""
    return (
        identity.mac,
        identity.uuid,
        identity.client_id,
        identity.serial,
        identity.asset,
        identity.certificate,
        identity.relay.circuit_id if identity.relay else b"",
        identity.relay.remote_id if identity.relay else b"",
        identity.hostname,
    )


def _marks_of(machine: Machine) -> Iterator[Hashable]:
    """Yield the keys of all that alone names a machine."""
    for mac in machine.macs:
        yield key_of(ClientIdentity(mac=mac))
    if machine.uuid:
        for uuid in (machine.uuid, swapped(machine.uuid)):
            yield key_of(ClientIdentity(uuid=uuid))


def _sure_marks(identity: ClientIdentity, machine: Machine) -> Iterator[Hashable]:
    """Yield the keys of what alone names the machine, as the directory has it too."""
    if identity.mac and identity.mac in machine.macs:
        yield key_of(ClientIdentity(mac=identity.mac))
    if identity.uuid and machine.uuid in identity.uuids:
        yield key_of(ClientIdentity(uuid=identity.uuid))


def _keep(memory: OrderedDict[Hashable, _T], key: Hashable, value: _T, limit: int) -> None:
    """Put in a value as the newest, for the oldest one if there are too many."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > limit:
        memory.popitem(last=False)
