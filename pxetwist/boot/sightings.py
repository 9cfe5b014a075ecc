"""Who was seen lately, at which stage and address, and with which plan.

TFTP and HTTP prove nothing but an address; a sighting turns it into the machine that DHCP saw
there. Bounded, so that a flood of invented machines costs nothing but its own memory.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import attrs

from pxetwist.model.boot import BootPlan, BootStage
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine

#: A machine that was silent for this long (seconds) begins a new boot when it speaks again.
BOOT_GAP = 300.0
#: A plan holds for the whole boot, so that a change never mixes two systems; no longer than this.
PLAN_LIFE = 600.0
#: An iPXE that asks more often than this in one boot, each time to be given a program, is
#: loading itself. A kernel that speaks, or a pause of BOOT_GAP, begins a new boot.
LOOP_LIMIT = 4

#: So many of the oldest sightings are looked at for one to forget: a machine that a directory
#: knows stays in the place of an invented one, as long as its boot may last.
_LOOKED_AT = 8

_ORDER = {stage: number for number, stage in enumerate(BootStage)}
#: A system asks by DHCP as well, and again, after it has its root.
_ORDER[BootStage.ROOT] = _ORDER[BootStage.KERNEL]


@attrs.define
class Sighting:
    """What is known of a machine's present boot."""

    identity: ClientIdentity
    boot_id: str
    stage: BootStage
    last: float
    machine: Machine | None = None
    plan: BootPlan | None = None
    choice: str = ""  # the entry of its menu that was chosen in its firmware
    certificate: str = ""  # that the plan was made for
    handed: int = 0  # boot programs given to iPXE in this boot
    begun: bool = False  # the plan took effect: a loader that asks by DHCP again was restarted

    def decided_for(self, identity: ClientIdentity) -> bool:
        """Whether the plan was made for somebody who showed the same certificate, or none."""
        return self.certificate == identity.certificate

    def learned(self, identity: ClientIdentity) -> ClientIdentity:
        """Return its identity with the serial and asset tag that only its loader told; the same
        one if they are no news.
        """
        old = self.identity
        serial, asset = identity.serial or old.serial, identity.asset or old.asset
        if (serial, asset) == (old.serial, old.asset):
            return old
        return attrs.evolve(old, serial=serial, asset=asset)

    def recall(self, identity: ClientIdentity) -> ClientIdentity:
        """Return an identity together with what others told of it in this boot: a system does
        not tell the UUID that its firmware told.
        """
        known = self.identity
        if known is identity or (
            (identity.uuid is not None or known.uuid is None)
            and not known.serial
            and not known.asset
        ):
            return identity
        kept: dict[str, Any] = {
            name: getattr(known, name)
            for name in ("uuid", "serial", "asset")
            if not getattr(identity, name) and getattr(known, name)
        }
        return attrs.evolve(identity, **kept) if kept else identity


class Sightings:
    """The sightings of all machines, by key and by address."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._by_key: OrderedDict[str, Sighting] = OrderedDict()
        self._by_address: OrderedDict[int, str] = OrderedDict()  # none of IPv6 is below 2**32

    def see(self, identity: ClientIdentity, stage: BootStage, now: float) -> Sighting:
        """Note a machine at a stage. Going back to an earlier stage is a new boot, and so
        is anything but a kernel's question after the plan took effect.
        """
        key = identity.key
        sighting = self._by_key.get(key)
        if (
            sighting is None
            or now - sighting.last > BOOT_GAP
            or (stage is not sighting.stage and _ORDER[stage] < _ORDER[sighting.stage])
            or (sighting.begun and stage not in (BootStage.KERNEL, BootStage.ROOT))
        ):
            sighting = Sighting(identity, secrets.token_hex(2), stage, now)
            self._by_key[key] = sighting
            if len(self._by_key) > self._limit:
                self._forget_one(now)
        if sighting.identity is not identity:
            sighting.identity = sighting.recall(identity)
        if not (stage is BootStage.KERNEL and sighting.stage is BootStage.ROOT):
            sighting.stage = stage
        sighting.last = now
        self._by_key.move_to_end(key)
        return sighting

    def _forget_one(self, now: float) -> None:
        for _ in range(_LOOKED_AT):
            key, oldest = next(iter(self._by_key.items()))
            if oldest.machine is None or now - oldest.last > PLAN_LIFE:
                break
            self._by_key.move_to_end(key)
        self.forgotten(self._by_key.popitem(last=False)[0])

    def forgotten(self, key: str) -> None:
        """Know that a machine's sighting made room for another."""

    def left(self, address: int) -> None:
        """Know that the same happened to an address."""

    def amend(self, sighting: Sighting, **news: Any) -> None:
        """Note more of a boot: fields of its sighting, by their names."""
        for name, value in news.items():
            setattr(sighting, name, value)

    def get(self, key: str, now: float) -> Sighting | None:
        """Return the sighting of a machine, if it is of its present boot."""
        sighting = self._by_key.get(key)
        return sighting if sighting and now - sighting.last <= PLAN_LIFE else None

    def locate(self, address: IPv4Address | IPv6Address, key: str) -> None:
        """Note that a machine speaks from an address; the latest one counts."""
        number = int(address)
        self._by_address[number] = key
        self._by_address.move_to_end(number)
        if len(self._by_address) > self._limit:
            self.left(self._by_address.popitem(last=False)[0])

    def at(self, address: IPv4Address | IPv6Address, now: float) -> Sighting | None:
        """Return the machine seen at an address."""
        key = self._by_address.get(int(address))
        return self.get(key, now) if key else None

    def forget_plans(self) -> None:
        """Let every machine be decided anew: the directories were read again."""
        for sighting in self._by_key.values():
            sighting.plan = None
