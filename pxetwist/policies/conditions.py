"""Conditions: what ``room=b12`` and the other words on the left side of a rule look at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import attrs

from pxetwist.model.boot import BootRequest
from pxetwist.model.identity import Firmware
from pxetwist.model.lease import Network
from pxetwist.model.machine import Machine
from pxetwist.policies import grammar, suggestion
from pxetwist.policies.grammar import All, AnyOf, Not, Word
from pxetwist.policies.patterns import Glob, InNetwork, Mac, Pattern, Share, word
from pxetwist.policies.times import Dates, Window
from pxetwist.wire.iana import ARCHITECTURE_NAMES

_FIRMWARE_NAMES = tuple(firmware.value for firmware in Firmware)
#: Keys of which a request may have several values at once.
_MANY = frozenset({"mac", "address", "group", "ou", "serial", "asset"})
#: Keys that say something of a machine that no directory needs to know.
_OF_ANYONE = frozenset(
    {"mac", "arch", "firmware", "interface", "vendor", "address", "subnet", "serial", "asset"}
    | {"time", "date", "share", "certificate"}
)
#: Keys of which the meaning changes while nobody does anything.
PASSING = frozenset({"time", "date"})
#: Keys with a meaning of their own; every other one is a label of the machine.
KEYS = _OF_ANYONE | {"known", "name", "directory", "group", "ou"}


@attrs.frozen
class Condition:
    """``key=pattern,pattern``, or ``known`` without any: one value must fit one pattern."""

    key: str
    patterns: tuple[Pattern, ...] = ()
    _values: Callable[[BootRequest, float], Sequence[Any]] = attrs.field(
        init=False,
        eq=False,
        repr=False,
        default=attrs.Factory(lambda self: values_of(self.key), takes_self=True),
    )

    def __str__(self) -> str:
        values = ",".join(grammar.quoted(pattern.text) for pattern in self.patterns)
        return f"{self.key}={values}" if self.patterns else self.key

    @property
    def is_label(self) -> bool:
        """Whether it looks at a label of the machine."""
        return self.key not in KEYS

    @property
    def needs_machine(self) -> bool:
        """Whether it holds for no unknown machine."""
        return self.key not in _OF_ANYONE

    def holds(self, request: BootRequest, now: float) -> bool:
        """Whether this request fulfils it; `now` is in seconds since the epoch."""
        values = self._values(request, now)
        if not self.patterns:
            return bool(values)
        for value in values:
            for pattern in self.patterns:
                if pattern.passes(value):
                    return True
        return False

    def finding(self, request: BootRequest, now: float) -> str:
        """Say what the request has there: ``room is 'b12'``."""
        if self.key == "known":
            return "the machine is known" if request.machine else "the machine is unknown"
        values = self._values(request, now)
        seen = dict.fromkeys(p.seen(value) for value in values for p in self.patterns)
        return f"{self.key} is {' or '.join(seen) or 'not set'}"

    def implies(self, other: Condition) -> bool:
        """Whether surely the other one holds where this one does."""
        if other.key == "known":
            return self.needs_machine
        return self.key == other.key and all(
            any(theirs.covers(ours) for theirs in other.patterns) for ours in self.patterns
        )

    def excludes(self, other: Condition) -> bool:
        """Whether surely never both hold."""
        return (
            self.key == other.key
            and self.key not in _MANY
            and bool(self.patterns)
            and all(a.excludes(b) for a in self.patterns for b in other.patterns)
        )


Test = Callable[[BootRequest, float], bool]
Expression = Condition | Not[Condition] | All[Condition] | AnyOf[Condition]


@attrs.frozen
class Vocabulary:
    """What conditions may name: networks and directories of the INI (if there are none, any
    directory); `zone` is that of times.
    """

    networks: Mapping[str, Network] = attrs.field(factory=dict)
    zone: tzinfo | None = None
    directories: Sequence[str] = ()

    def parse(self, text: str) -> Expression:
        """Read the left side of a rule.

        :raises ValueError: with the word that is wrong, its place and what would mend it.
        """
        return grammar.parse(text, self._leaf)

    def _leaf(self, found: Word) -> Condition | Not[Condition] | None:
        match found.bare:
            case "any":
                return None
            case "known":
                return Condition("known")
            case "unknown":
                return Not(Condition("known"))
        if len(parts := found.split("=", 1)) < 2:
            hint = suggestion(found.text, ("any", "known", "unknown")) if found.text else ""
            raise ValueError(f"expected known, unknown, any or label=value{hint}")
        key, values = parts[0].text.lower(), parts[1].split(",")
        if not re.fullmatch(r"[\w.-]+", key) or not all(value.text for value in values):
            raise ValueError("expected label=value or label=value,value")
        return Condition(key, tuple(self._pattern(key, value.text) for value in values))

    def _pattern(self, key: str, text: str) -> Pattern:
        match key:
            case "mac":
                return Mac.parse(text)
            case "address":
                return InNetwork.parse(text)
            case "subnet":
                return self._subnet(text)
            case "directory":
                return self._directory(text)
            case "arch":
                return word("architecture", text, ARCHITECTURE_NAMES)
            case "firmware":
                return word("firmware", text, _FIRMWARE_NAMES)
            case "time":
                return Window.parse(text, self.zone)
            case "date":
                return Dates.parse(text, self.zone)
            case "share":
                return Share.parse(text)
            case _:
                return Glob(text)

    def _subnet(self, text: str) -> InNetwork:
        if text in self.networks:
            return InNetwork(text, self.networks[text].network)
        if "/" in text:
            return InNetwork.parse(text)
        hint = suggestion(text, self.networks)
        raise ValueError(f"there is no [subnet:{text}]{hint}; or a network like 10.0.0.0/24")

    def _directory(self, text: str) -> Glob:
        pattern = Glob(text)
        if self.directories and not any(map(pattern.passes, self.directories)):
            hint = suggestion(text, self.directories)
            raise ValueError(f"'hosts' in [pxe] names no directory {text!r}{hint}")
        return pattern


def conditions(expression: Expression) -> Iterable[Condition]:
    """Yield every condition in an expression, in the order of the text."""
    match expression:
        case Not(part):
            yield from conditions(part)
        case All(parts) | AnyOf(parts):
            for each in parts:
                yield from conditions(each)
        case Condition():
            yield expression


def holds(expression: Expression, request: BootRequest, now: float) -> bool:
    """Whether a request fulfils an expression."""
    return test_of(expression)(request, now)


def test_of(expression: Expression) -> Test:
    """Return what tells whether requests fulfil an expression; it is fast."""
    match expression:
        case Condition():
            return expression.holds
        case Not(part):
            other = test_of(part)
            return lambda request, now: not other(request, now)
        case All(parts):
            return _joined([test_of(each) for each in parts], decisive=False)
        case AnyOf(parts):
            return _joined([test_of(each) for each in parts], decisive=True)


def _joined(tests: Sequence[Test], *, decisive: bool) -> Test:
    """Join tests: the first result that is `decisive` counts for all."""
    if len(tests) == 1:
        return tests[0]

    def test(request: BootRequest, now: float) -> bool:
        for each in tests:
            if each(request, now) is decisive:
                return decisive
        return not decisive

    return test


def why(expression: Expression, request: BootRequest, now: float, wanted: bool = True) -> str:
    """Say why an expression is not what was `wanted`, by the first condition that decides it."""
    match expression:
        case Condition():
            return expression.finding(request, now)
        case Not(part):
            return why(part, request, now, not wanted)
        case All(parts) | AnyOf(parts):
            guilty = [each for each in parts if holds(each, request, now) is not wanted]
            if isinstance(expression, All) == wanted:  # one alone decides
                guilty = guilty[:1]
            found = dict.fromkeys(why(each, request, now, wanted) for each in guilty)
            return ", and ".join(found)


def values_of(key: str) -> Callable[[BootRequest, float], Sequence[Any]]:
    """Return what finds the values that a request has under a key, at a time."""
    if key in PASSING:
        return lambda request, now: (now,)
    if key not in KEYS:
        return lambda request, now: _labels(key, request.machine) if request.machine else ()
    look, of_machine = _IN_REQUEST.get(key), _IN_MACHINE.get(key)

    def values(request: BootRequest, now: float) -> Sequence[Any]:
        found: list[object] = list(look(request)) if look else []
        if request.machine is not None:
            found += of_machine(request.machine) if of_machine else ()
            found += _labels(key, request.machine) if key in _ALSO_LABELS else ()
        return tuple(dict.fromkeys(value for value in found if value))

    return values


def _labels(key: str, machine: Machine) -> list[str]:
    return [value for name, value in machine.labels.items() if name.lower() == key and value]


def _place(request: BootRequest) -> IPv4Address | IPv6Address | None:
    """Return an address of the network that the client is in (RFC 3527, RFC 2131 §4.3.1): its
    relay agent's, its own, ours on its wire; the reservation if nothing else is known.
    """
    identity, relay = request.identity, request.identity.relay
    ours = request.endpoints.address
    return (
        (relay.link_selection if relay else None)
        or (relay.address if relay else None)
        or identity.address
        or (ip_address(ours) if ours else None)
        or (request.machine.address if request.machine else None)
    )


def units(text: str) -> list[str]:
    """Return an organizational unit, ``OU=Exam,OU=Rooms,DC=lab`` or ``Rooms/Exam``, and those
    around it, each whole and by its name.
    """
    if "=" not in text:
        names = [name for name in text.split("/") if name]
        return ["/".join(names[:n]) for n in range(len(names), 0, -1)] + names[::-1]
    parts = re.split(r"(?<!\\),", text)
    found = []
    for n, part in enumerate(parts):
        kind, _, name = part.partition("=")
        if kind.strip().lower() == "ou":
            found += [",".join(parts[n:]).strip(), name.strip()]
    return found or [text]


def _architecture(request: BootRequest) -> Iterable[object]:
    architecture = request.identity.architecture
    return () if architecture is None else (architecture.short,)


def _share(request: BootRequest) -> Iterable[object]:
    return (request.machine.name.lower() if request.machine else request.identity.key,)


#: What a key looks at in the request.
_IN_REQUEST: Mapping[str, Callable[[BootRequest], Iterable[object]]] = {
    "known": lambda request: ("yes",) if request.machine else (),
    "mac": lambda request: (request.identity.mac,),
    "arch": _architecture,
    "firmware": lambda request: (request.identity.firmware.value,),
    "interface": lambda request: (request.identity.interface,),
    "vendor": lambda request: (request.identity.vendor_class,),
    "address": lambda request: (request.identity.address,),
    "subnet": lambda request: (_place(request),),
    "serial": lambda request: (request.identity.serial,),
    "asset": lambda request: (request.identity.asset,),
    "certificate": lambda request: (request.identity.certificate,),
    "share": _share,
}
#: What a key looks at in the machine.
_IN_MACHINE: Mapping[str, Callable[[Machine], Iterable[object]]] = {
    "name": lambda machine: (machine.name,),
    "directory": lambda machine: (machine.directory,),
    "mac": lambda machine: machine.macs,
    "address": lambda machine: machine.addresses,
    "group": lambda machine: machine.groups,
    "ou": lambda machine: [
        unit
        for key in ("ou", "ou-path")
        for label in _labels(key, machine)
        for unit in units(label)
    ],
    "serial": lambda machine: (machine.serial,),
    "asset": lambda machine: (machine.asset,),
}
#: Keys that a machine may also have as a label.
_ALSO_LABELS = frozenset({"group", "serial", "asset"})
