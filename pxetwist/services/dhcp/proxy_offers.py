"""Which kinds of ProxyDHCP offers somebody wants: the option `offer`, and a machine's label."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from pxetwist.config.fields import Keyed, list_of, option, text
from pxetwist.exchange.proxydhcp import Variant
from pxetwist.model.identity import Firmware
from pxetwist.model.machine import Machine

_AUTO = "auto"
#: The label of a machine that has the options of `offer`.
_LABEL = "proxy-offer"
#: Firmware with a choice of variants.
FIRMWARES = {each.value: each for each in (Firmware.BIOS, Firmware.UEFI, Firmware.IPXE)}

#: The variants to try, in order; none leaves it to the firmware's own order.
Wanted = tuple[Variant, ...]


def _variants(value: str) -> Wanted:
    """Expect variants: full, redirect, menu or header, the first to try first; or auto."""
    if value.strip() == _AUTO:
        return ()
    known = {each.value: each for each in Variant if each is not Variant.RASPBERRY_PI}
    words = list_of(text)(value)
    for word in words:
        if word not in known:
            raise ValueError(f"expected {_AUTO} or some of {', '.join(known)}, got {word!r}")
    return tuple(dict.fromkeys(known[word] for word in words))


def _offer(key: str, value: str) -> tuple[str, Wanted]:
    if key and key not in FIRMWARES:
        known = ", ".join(FIRMWARES)
        raise ValueError(f"{key!r} is no firmware that takes several (known: {known})")
    return key, _variants(value)


def offer_option() -> Mapping[str, Wanted]:
    """Declare the option `offer`."""
    return option(
        Keyed("auto, or variants in the order to try them; also per firmware: offer.uefi", _offer),
        default={},
        doc="How offers are made: `full` (the boot file is in the offer), `redirect` (the client"
        " must ask port 4011), `menu` (a PXE menu), `header` (as full, without option 67). Of"
        " several the next one is tried for a machine that keeps asking. `auto`, the default:"
        " the order that fits the firmware. `offer.bios`, `offer.uefi` and `offer.ipxe` are for"
        " that firmware; a machine's label `proxy-offer` for that machine.",
    )


def label_mistake(machine: Machine) -> str:
    """Say what is wrong with a machine's label; empty if nothing is."""
    try:
        _variants(machine.labels.get(_LABEL) or _AUTO)
    except ValueError as error:
        place = f"{machine.provenance}: " if machine.provenance else ""
        return f"{place}machine {machine.name}: {_LABEL}: {error}"
    return ""


class Labels:
    """Reads the labels of machines; a wrong one is passed over, and logged once."""

    log = Logger()

    def __init__(self) -> None:
        self._wrong: dict[str, str] = {}  # by name, as it was logged

    def wanted(self, machine: Machine | None) -> Wanted:
        """Return what a machine's label says; nothing without one."""
        label = machine.labels.get(_LABEL, "") if machine else ""
        if not machine or not label:
            return ()
        try:
            return _variants(label)
        except ValueError:
            if self._wrong.get(machine.name) != label:
                self._wrong[machine.name] = label
                self.log.warn("passed over, {mistake}", mistake=label_mistake(machine))
            return ()
