"""Conditions of rules: what the left side of ``room=b12 !arch=arm* -> debian12`` is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, ip_address

import attrs

from pxetwist.model.boot import BootRequest
from pxetwist.model.identity import Firmware, parse_mac
from pxetwist.policies import suggestion
from pxetwist.wire.iana import ARCHITECTURE_NAMES

Test = Callable[[str], bool]

_FIRMWARE_NAMES = tuple(firmware.value for firmware in Firmware)


@attrs.frozen
class Condition:
    """One thing that a request must (or, `negated`, must not) have.

    It holds if one of the request's values under `key` passes one of the `tests`. `meaning` is
    the condition without its negation and in one spelling: what makes two of them the same.
    """

    text: str
    key: str
    meaning: str
    negated: bool = False
    tests: tuple[Test, ...] = attrs.field(default=(), eq=False)

    def holds(self, request: BootRequest) -> bool:
        """Whether this request fulfils it."""
        values = _values(self.key, request)
        return any(test(value) for value in values for test in self.tests) != self.negated

    def finding(self, request: BootRequest) -> str:
        """Say what the request has instead: ``room is 'b12'``."""
        values = _values(self.key, request)
        if self.key == "known":
            return "the machine is known" if request.machine else "the machine is unknown"
        return f"{self.key} is {' or '.join(map(repr, values)) or 'not set'}"


def parse(word: str) -> Condition | None:
    """Read one condition; `None` is ``any``, which asks for nothing.

    :raises ValueError: if it is malformed, or no machine could ever fulfil it.
    """
    body = word.removeprefix("!")
    negated = body != word
    match body:
        case "any" if negated:
            raise ValueError("'!any' matches no machine")
        case "any":
            return None
        case "known" | "unknown":
            return Condition(word, "known", "known", negated != (body == "unknown"), (bool,))
    key, equals, value = body.partition("=")
    key = key.lower()
    if not equals:
        raise ValueError(
            f"expected known, unknown, any or label=value, got {word!r}"
            + (suggestion(body, ("any", "known", "unknown")) if body else "")
        )
    patterns = value.split(",")
    if not re.fullmatch(r"[\w.-]+", key) or not all(patterns):
        raise ValueError(f"expected label=value or label=value,value, got {word!r}")
    tests = tuple(_test(key, pattern.lower()) for pattern in patterns)
    meaning = f"{key}={','.join(sorted(set(map(str.lower, patterns))))}"
    return Condition(word, key, meaning, negated, tests)


def _test(key: str, pattern: str) -> Test:
    match key:
        case "mac":
            return _mac_test(pattern)
        case "address":
            try:
                network = IPv4Network(pattern)
            except ValueError as error:
                raise ValueError(
                    f"expected a network like 10.0.0.0/24, got {pattern!r} ({error})"
                ) from error
            return lambda value: ip_address(value) in network
        case "arch":
            return _word_test("architecture", pattern, ARCHITECTURE_NAMES)
        case "firmware":
            return _word_test("firmware", pattern, _FIRMWARE_NAMES)
        case _:
            return _glob(pattern)


def _glob(pattern: str) -> Test:
    wild = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    compiled = re.compile(wild, re.IGNORECASE | re.DOTALL)
    return lambda value: compiled.fullmatch(value) is not None


def _word_test(what: str, pattern: str, words: Iterable[str]) -> Test:
    test = _glob(pattern)
    if not any(map(test, words)):
        raise ValueError(f"unknown {what} {pattern!r}{suggestion(pattern, words)}")
    return test


def _mac_test(pattern: str) -> Test:
    digits = re.sub("[-:.]", "", pattern)
    if not re.search("[*?]", digits):
        digits = parse_mac(pattern).replace(":", "")
    elif not re.fullmatch("[0-9a-f*?]+", digits):
        raise ValueError(f"expected a MAC address or its beginning and *, got {pattern!r}")
    test = _glob(digits)
    return lambda value: test(value.replace(":", ""))


def _values(key: str, request: BootRequest) -> tuple[str, ...]:
    """What the request has under a key; labels of the machine, but for the special keys."""
    identity, machine = request.identity, request.machine
    found: Iterable[object] = ()
    match key:
        case "known":
            found = ("yes",) if machine else ()
        case "name":
            found = (machine.name,) if machine else ()
        case "directory":
            found = (machine.directory,) if machine else ()
        case "mac":
            found = dict.fromkeys((identity.mac, *(machine.macs if machine else ())))
        case "arch":
            found = (identity.architecture.short,) if identity.architecture is not None else ()
        case "firmware":
            found = (identity.firmware.value,)
        case "interface":
            found = (identity.interface,)
        case "vendor":
            found = (identity.vendor_class,)
        case "address":
            found = (machine.address if machine else None, identity.address)
        case _:
            labels = machine.labels if machine else {}
            found = (value for name, value in labels.items() if name.lower() == key)
    return tuple(str(value) for value in found if value)
