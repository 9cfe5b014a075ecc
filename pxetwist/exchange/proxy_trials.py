"""Which variant of a ProxyDHCP offer a machine is made, and the next one when it had no effect.

Firmware differs in what it takes (quirks D1-D13), and does not say why it took nothing: it asks
again. What counts as an effect is a later step of the same machine: a file fetched, or the
question of the loader that it was given. Memory is bounded; the oldest machines are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from pxetwist.exchange.proxydhcp import Variant
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.wire.iana import Architecture

K = TypeVar("K")
V = TypeVar("V")

#: So many answers without effect and the next variant is tried.
ANSWERS = 2
#: Not earlier than so many seconds after the first of them: a slow DHCP server or a switch port
#: that just came up makes clients repeat themselves within 4 s (PXE 2.1, iPXE).
PATIENCE = 5.0

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
        self._learned: _Recent[Fingerprint, Variant] = _Recent(fingerprints)

    def choose(
        self, key: str, fingerprint: Fingerprint, wanted: Sequence[Variant], now: float
    ) -> Choice:
        """Return the variant to answer a DISCOVER with; `wanted` are those to try, in order."""
        known = (key, fingerprint.firmware)
        trial = self._trials.get(known)
        if trial is None or sorted(trial.order) != sorted(wanted):
            trial = _Trial(fingerprint, self._begin_with(fingerprint, wanted))
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
                self._learned.keep(trial.fingerprint, trial.variant)
                news = f"offered as {trial.variant.value!r} it boots; its like begin with that"
        return news

    def _begin_with(
        self, fingerprint: Fingerprint, wanted: Sequence[Variant]
    ) -> tuple[Variant, ...]:
        learned = self._learned.get(fingerprint)
        if learned is None or learned not in wanted:
            return tuple(wanted)
        return (learned, *(each for each in wanted if each is not learned))

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
