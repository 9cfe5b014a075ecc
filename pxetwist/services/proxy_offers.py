"""Which kinds of ProxyDHCP offers somebody wants: the option `offer`, and a machine's label."""

from __future__ import annotations

from collections.abc import Mapping

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


def labelled(machine: Machine | None) -> Wanted:
    """Return what a machine's label says; one that says nothing sensible is passed over."""
    label = machine.labels.get(_LABEL, "") if machine else ""
    try:
        return _variants(label) if label else ()
    except ValueError:
        return ()
