"""What a value is held against: wildcards, MAC addresses, networks and shares of machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Protocol, Self

import attrs

from pxetwist.model.identity import parse_mac
from pxetwist.policies import suggestion


class Pattern(Protocol):
    """The right side of ``key=pattern``; `text` is how it was written."""

    @property
    def text(self) -> str:
        """What stands in the rule."""

    def passes(self, value: Any) -> bool:
        """Whether a value of the key fits."""

    def covers(self, other: Self) -> bool:
        """Whether surely everything that fits the other one fits this one."""

    def excludes(self, other: Self) -> bool:
        """Whether surely no value fits both."""

    def seen(self, value: Any) -> str:
        """Return a value for people."""


def _matcher(wild: str) -> Callable[[str], bool]:
    if not set("*?") & set(wild):
        wanted = wild.lower()
        return lambda value: value.lower() == wanted
    plain = re.escape(wild).replace(r"\*", ".*").replace(r"\?", ".")
    fullmatch = re.compile(plain, re.IGNORECASE | re.DOTALL).fullmatch
    return lambda value: fullmatch(value) is not None


@attrs.frozen
class Glob:
    """Text with ``*`` and ``?``; case does not matter."""

    text: str = attrs.field(eq=str.lower)
    _match: Callable[[str], bool] = attrs.field(
        init=False,
        eq=False,
        repr=False,
        default=attrs.Factory(lambda self: _matcher(self.text), takes_self=True),
    )

    @property
    def plain(self) -> bool:
        """Whether it is one value, without wildcards."""
        return not set("*?") & set(self.text)

    def passes(self, value: Any) -> bool:
        """Whether a text fits."""
        return self._match(str(value))

    def covers(self, other: Glob) -> bool:
        """Compare; wildcards of the other one count as characters, which only ``*`` may take."""
        return self.passes(other.text) and not ("?" in self.text and "*" in other.text)

    def excludes(self, other: Glob) -> bool:
        """Compare, if one of the two is plain."""
        return (other.plain and not self.passes(other.text)) or (
            self.plain and not other.passes(self.text)
        )

    def seen(self, value: Any) -> str:
        """Quote it."""
        return repr(str(value))


def word(what: str, text: str, known: Iterable[str]) -> Glob:
    """Make a pattern for one of some known words.

    :raises ValueError: if it fits none of them.
    """
    pattern = Glob(text)
    if not any(map(pattern.passes, known)):
        raise ValueError(f"unknown {what} {text!r}{suggestion(text.lower(), known)}")
    return pattern


@attrs.frozen
class Mac:
    """A MAC address in any spelling, or its beginning and ``*``; compared by its digits."""

    text: str = attrs.field(eq=False)
    digits: Glob

    @classmethod
    def parse(cls, text: str) -> Mac:
        """Read one.

        :raises ValueError: if it is none.
        """
        digits = re.sub("[-:.]", "", text).lower()
        if not re.search("[*?]", digits):
            digits = parse_mac(text).replace(":", "")
        elif not re.fullmatch("[0-9a-f*?]+", digits):
            raise ValueError(f"expected a MAC address or its beginning and *, got {text!r}")
        return cls(text, Glob(digits))

    def passes(self, value: Any) -> bool:
        """Whether an address fits."""
        return self.digits.passes(str(value).replace(":", ""))

    def covers(self, other: Mac) -> bool:
        """Compare their digits."""
        return self.digits.covers(other.digits)

    def excludes(self, other: Mac) -> bool:
        """Compare their digits."""
        return self.digits.excludes(other.digits)

    def seen(self, value: Any) -> str:
        """Quote it."""
        return repr(str(value))


@attrs.frozen
class InNetwork:
    """An IP network; `text` may be its name."""

    text: str = attrs.field(eq=False)
    network: IPv4Network | IPv6Network

    @classmethod
    def parse(cls, text: str) -> InNetwork:
        """Read one.

        :raises ValueError: if it is none.
        """
        try:
            return cls(text, ip_network(text))
        except ValueError as error:
            raise ValueError(
                f"expected a network like 10.0.0.0/24, got {text!r} ({error})"
            ) from error

    def passes(self, value: Any) -> bool:
        """Whether an address lies in it."""
        return ip_address(value) in self.network

    def covers(self, other: InNetwork) -> bool:
        """Whether the other one is a part of it."""
        inner = other.network
        return inner.network_address in self.network and (
            inner.prefixlen >= self.network.prefixlen
        )

    def excludes(self, other: InNetwork) -> bool:
        """Whether they have nothing in common."""
        return not self.network.overlaps(other.network)

    def seen(self, value: Any) -> str:
        """Quote it."""
        return repr(str(value))


@attrs.frozen
class Share:
    """A share of all machines, in percent.

    Each machine has a place from 0 to 100 that never changes, so one that is in 25 % is in 50 %
    as well; another `rollout` gives every machine another place.
    """

    text: str = attrs.field(eq=False)
    percent: float
    rollout: str = ""

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read ``25%`` or ``25%/rollout``.

        :raises ValueError: if it is none.
        """
        found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%(?:/(.+))?", text, re.DOTALL)
        if not found or float(found[1]) > 100:
            raise ValueError(f"expected a share like 25% or 25%/new-kernel, got {text!r}")
        return cls(text, float(found[1]), found[2] or "")

    def place(self, name: str) -> float:
        """Return the place of a machine."""
        digest = sha256(f"{self.rollout}\n{name}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:6], "big") * 100 / (1 << 48)

    def passes(self, value: Any) -> bool:
        """Whether the machine of this name is in the share."""
        return self.place(value) < self.percent

    def covers(self, other: Share) -> bool:
        """Whether it is the larger share of one rollout."""
        return self.rollout == other.rollout and self.percent >= other.percent

    def excludes(self, other: Share) -> bool:
        """Shares of one rollout overlap; of others nothing is sure."""
        return self.percent == 0 or other.percent == 0

    def seen(self, value: Any) -> str:
        """Show the place, which the share has to be larger than."""
        return f"{self.place(value):.2f}%"
