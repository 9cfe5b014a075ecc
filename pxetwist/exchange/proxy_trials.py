"""Which variant of a ProxyDHCP offer a machine is made, and the next one when it had no effect.

Firmware differs in what it takes (quirks D1-D13), and does not say why it took nothing: it asks
again. What counts as an effect is a later step of the same machine: a file fetched, or the
question of the loader that it was given. Memory is bounded; the oldest machines are forgotten.

A lesson is what worked, but was not tried first: a text that names a machine or a make, and the
variant's. Whoever keeps them can teach them again after a restart.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import attrs

from pxetwist.exchange.proxydhcp import Variant
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.wire.iana import Architecture

_MAKE, _MACHINE = "make", "machine"

K = TypeVar("K")
V = TypeVar("V")

#: So many answers without effect and the next variant is tried.
ANSWERS = 2
#: Not earlier than so many seconds after the first of them: a slow DHCP server or a switch port
#: that just came up makes clients repeat themselves within 4 s (PXE 2.1, iPXE).
PATIENCE = 5.0

#: So many lessons are worth keeping.
LESSONS = 20_000
_VARIANTS = {variant.value: variant for variant in Variant}

#: The order for each firmware. Much UEFI ignores an offer that skips port 4011 (D2), other does
#: not come there (D4); its PXE menus are broken (D3), and iPXE loops through them (D10).
_ORDERS: dict[Firmware, tuple[Variant, ...]] = {
    Firmware.BIOS: (Variant.FULL, Variant.REDIRECT, Variant.MENU, Variant.HEADER),
    Firmware.UEFI: (Variant.REDIRECT, Variant.FULL, Variant.HEADER),
    Firmware.IPXE: (Variant.FULL, Variant.REDIRECT),
    Firmware.UEFI_HTTP: (Variant.FULL,),
    Firmware.RASPBERRY_PI: (Variant.RASPBERRY_PI,),
}
#: What a machine's directory may call its model.
_MODEL_LABELS = ("model", "product")


def order_for(firmware: Firmware) -> tuple[Variant, ...]:
    """Return the variants for a firmware, the first one first."""
    return _ORDERS.get(firmware, (Variant.FULL,))


@attrs.frozen
class Fingerprint:
    """Machines of one make: `maker` is the model if a directory knows it, else the MAC's OUI.
    `features` tell builds of iPXE apart.
    """

    firmware: Firmware
    vendor_class: str
    architecture: Architecture | None
    maker: str
    features: frozenset[int] = frozenset()

    @classmethod
    def of(cls, identity: ClientIdentity, machine: Machine | None) -> Fingerprint:
        """Take the fingerprint of a client."""
        labels = machine.labels if machine else {}
        model = next((labels[name] for name in _MODEL_LABELS if labels.get(name)), "")
        maker = model or identity.mac[:8]
        # The text is the client's: cut, since it is kept.
        vendor_class = identity.vendor_class[:64]
        return cls(
            identity.firmware, vendor_class, identity.architecture, maker, identity.features
        )

    def __str__(self) -> str:
        return f"{self.vendor_class} {self.maker}".strip()

    @property
    def lesson(self) -> str:
        """What a lesson about these machines is called."""
        number = None if self.architecture is None else int(self.architecture)
        words = (self.firmware.value, self.vendor_class, number, self.maker, sorted(self.features))
        return f"{_MAKE} {json.dumps(words)}"


@attrs.frozen
class Choice:
    """The variant for one answer; `news` is set when it is another than before, and why.
    `exhausted`: no variant had an effect, the first one is tried again.
    """

    variant: Variant
    news: str = ""
    exhausted: bool = False


@attrs.define
class _Trial:
    """What one machine's firmware was offered, and what came of it."""

    fingerprint: Fingerprint
    order: tuple[Variant, ...]
    at: int = 0
    answers: int = 0
    first: float = 0.0
    went_on: bool = False  # it took an address, or asked port 4011
    failed: int = 0  # variants without effect since the last one that had one

    @property
    def variant(self) -> Variant:
        return self.order[self.at]

    def begin(self) -> None:
        """Count anew."""
        self.answers, self.went_on = 0, False

    def fails(self, now: float) -> bool:
        """Whether the present variant has had its chance."""
        enough = self.answers >= ANSWERS or (self.answers > 0 and self.went_on)
        return enough and now - self.first >= PATIENCE


class _Recent(OrderedDict[K, V], Generic[K, V]):
    """A dict of at most so many entries."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def keep(self, key: K, value: V) -> None:
        """Put an entry in front; the one that was there longest goes."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)


class Trials:
    """The trials of all machines, and what their makes have taught."""

    def __init__(self, machines: int = 20_000, fingerprints: int = 1024) -> None:
        self._trials: _Recent[tuple[str, Firmware], _Trial] = _Recent(machines)
        self._learned = {
            _MACHINE: _Recent[str, Variant](machines),
            _MAKE: _Recent[str, Variant](fingerprints),
        }
        self._unsaved: _Recent[str, str] = _Recent(LESSONS)

    def recall(self, lessons: Mapping[str, str]) -> None:
        """Know what was learned before, the oldest first; what is known already counts more. Who
        would have been offered something else begins anew.
        """
        for lesson, word in lessons.items():
            learned = self._learned.get(lesson.partition(" ")[0])
            if learned is not None and word in _VARIANTS and lesson not in learned:
                learned.keep(lesson, _VARIANTS[word])
        for known, trial in list(self._trials.items()):
            order = self._begin_with(known[0], trial.fingerprint, trial.order)
            if order[0] is not trial.variant and not trial.failed:
                del self._trials[known]

    def unsaved(self) -> Mapping[str, str]:
        """Return the lessons that nobody has kept yet."""
        return dict(self._unsaved)

    def saved(self, lessons: Mapping[str, str]) -> None:
        """Know that these are kept."""
        for lesson, word in lessons.items():
            if self._unsaved.get(lesson) == word:
                del self._unsaved[lesson]

    def choose(
        self, key: str, fingerprint: Fingerprint, wanted: Sequence[Variant], now: float
    ) -> Choice:
        """Return the variant to answer a DISCOVER with; `wanted` are those to try, in order."""
        known = (key, fingerprint.firmware)
        trial = self._trials.get(known)
        if trial is None or sorted(trial.order) != sorted(wanted):
            trial = _Trial(fingerprint, self._begin_with(key, fingerprint, wanted))
        self._trials.keep(known, trial)
        news, exhausted = "", False
        if len(trial.order) > 1 and trial.fails(now):
            news, exhausted = self._turn(trial)
        if not trial.answers:
            trial.first = now
        trial.answers += 1
        trial.went_on = False
        return Choice(trial.variant, news, exhausted)

    def went_on(self, key: str, firmware: Firmware) -> None:
        """Know that a machine took an address or asked port 4011: it must fetch a file now."""
        trial = self._trials.get((key, firmware))
        if trial is not None:
            trial.went_on = True

    def worked(self, key: str, *firmwares: Firmware) -> str:
        """Know that a machine started what it was offered; return the news in it, if any."""
        news = ""
        for firmware in firmwares or Firmware:
            trial = self._trials.get((key, firmware))
            if trial is None or not trial.answers:
                continue
            trial.begin()
            if trial.failed:
                trial.failed = 0
                for lesson in (_lesson(key, firmware), trial.fingerprint.lesson):
                    self._learned[lesson.partition(" ")[0]].keep(lesson, trial.variant)
                    self._unsaved.keep(lesson, trial.variant.value)
                news = f"offered as {trial.variant.value!r} it boots; its like begin with that"
        return news

    def _begin_with(
        self, key: str, fingerprint: Fingerprint, wanted: Sequence[Variant]
    ) -> tuple[Variant, ...]:
        """Begin with what this machine has taught, else its make."""
        for lesson in (_lesson(key, fingerprint.firmware), fingerprint.lesson):
            learned = self._learned[lesson.partition(" ")[0]].get(lesson)
            if learned is not None and learned in wanted:
                return (learned, *(each for each in wanted if each is not learned))
        return tuple(wanted)

    @staticmethod
    def _turn(trial: _Trial) -> tuple[str, bool]:
        former, times = trial.variant, trial.answers
        trial.at = (trial.at + 1) % len(trial.order)
        trial.failed += 1
        exhausted = trial.failed % len(trial.order) == 0
        trial.begin()
        said = {1: "once", 2: "twice"}.get(times, f"{times} times")
        effect = f"answered {said} as {former.value!r} without effect"
        return f"{effect}, now {trial.variant.value!r}", exhausted


def _lesson(key: str, firmware: Firmware) -> str:
    """Return what a lesson about one machine's firmware is called."""
    return f"{_MACHINE} {json.dumps((key, firmware.value))}"
