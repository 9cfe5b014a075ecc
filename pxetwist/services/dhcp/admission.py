"""Who is heard when more arrives at a DHCP port than can be answered.

A flood, of one mad client or of invented ones, must not keep the machines of a site from their
boot. So everything is read as fast as it comes, at a few microseconds each; known machines
are treated at once, and all others wait for what time is left. Nothing here depends on what a
sender claims, but for its MAC: who knows the MAC of a known machine may use up that one's share.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from pxetwist.interfaces import Site
from pxetwist.services.interfaces import NetworkInterface
from pxetwist.services.sockets import Arrival, Peer

#: What clients and relays send has at least BOOTP's head, and is no larger than any MTU suggests.
SHORTEST, LONGEST = 236, 4096
#: So many messages are taken from one client in one second; a boot takes some ten in a minute.
PER_CLIENT = 100
#: So many messages of known machines may be on their way at once, for instance to a directory.
KNOWN_AT_ONCE = 2000
#: And so many of others: few, for they stand in the same queues as known ones.
OTHERS_AT_ONCE = 64
#: So many messages of others wait; what comes after them is dropped.
WAITING = 4096

_SPELL = 0.005  # seconds that others get before the port is read again
_SHORT_SPELL = 0.001  # and so many while more arrives than one batch takes
_MANY = 128  # datagrams in one batch: there are more to be read, before any of them is lost
_PAUSE = 0.02  # seconds until it is looked again whether there is room for them
_REMEMBERED = 65536  # MACs of known machines, and clients of the present second
_TELL_EVERY = 60.0
_REQUEST = 1  # BOOTREQUEST

_Datagram = tuple[bytes, Peer, Arrival]


class IAdmitted(Protocol):
    """The port behind: what :class:`~pxetwist.services.dhcp.ports.Dhcp4Port` offers."""

    interface: NetworkInterface
    counters: Counter[str]

    @property
    def in_flight(self) -> int:
        """How many messages are being answered."""

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take one datagram."""

    def drained(self) -> None:
        """Know that a batch is over."""


class Admission:
    """Takes the datagrams of one port, and passes on those that can be treated."""

    def __init__(self, port: IAdmitted, site: Site) -> None:
        self._port = port
        self._clock: Any = site.reactor
        self._boot = site.boot
        self._log = site.log
        self._counters = port.counters
        self._batch = 0  # datagrams of this batch
        self._pressed = False
        self._second = 0
        self._heard: dict[bytes, int] = {}  # clients of this second, and how often
        self._known: set[bytes] = set()  # MACs
        self._waiting: deque[_Datagram] = deque()
        self._later: IDelayedCall | None = None
        self._dropped = 0  # since it was told
        self._told = float("-inf")

    def glance(self, data: bytearray, size: int) -> bool:
        """Drop what has no hope: in a flood nearly everything ends here."""
        self._batch += 1
        if not SHORTEST <= size <= LONGEST:
            self._counters["malformed" if size < SHORTEST else "oversized"] += 1
            return False
        if len(self._waiting) < WAITING or self._is_known(bytes(data[28 : 28 + data[2]])):
            return True
        self._drop("dropped of others")
        return False

    def received(self, data: bytes, peer: Peer, arrival: Arrival) -> None:
        """Take one datagram, or drop it and count why."""
        refusal = self._refusal(data)
        if refusal:
            self._counters[refusal] += 1
            return
        if self._is_known(data[28 : 28 + data[2]]):
            if self._port.in_flight >= KNOWN_AT_ONCE:
                self._drop("dropped of known machines")
                return
            self._port.received(data, peer, arrival)
            return
        if len(self._waiting) >= WAITING:
            self._drop("dropped of others")
            return
        self._waiting.append((data, peer, arrival))

    def drained(self) -> None:
        """Treat those who wait, for a while, at the end of a batch; once for each turn of the
        reactor, and briefly, while the port cannot be read as fast as it fills.
        """
        self._pressed = self._batch >= _MANY
        self._batch = 0
        if self._waiting and not (self._pressed and self._later):
            self._work_off()
        if self._dropped:
            self._tell()
        self._port.drained()

    def stop(self) -> None:
        """Forget those who wait."""
        self._waiting.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _refusal(self, data: bytes) -> str:
        """Return the name of the counter for what is not even decoded; empty to go on."""
        if self._port.interface.address is None:
            return "without address"
        if not SHORTEST <= len(data) <= LONGEST:
            return "malformed" if len(data) < SHORTEST else "oversized"
        if data[0] != _REQUEST or data[2] > 16:
            return "malformed"
        second = int(self._clock.seconds())
        if second != self._second or len(self._heard) >= _REMEMBERED:
            self._second = second
            self._heard.clear()
        # Behind two relay agents the same MAC is two clients, or one that is heard twice.
        client = data[24:44]
        count = self._heard.get(client, 0)
        self._heard[client] = count + 1
        return "too many of one client" if count >= PER_CLIENT else ""

    def _is_known(self, mac: bytes) -> bool:
        if mac in self._known:
            return True
        if not self._boot.remembers(mac.hex(":")):
            return False
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known.add(mac)
        return True

    def _work_off(self) -> None:
        end = self._clock.seconds() + (_SHORT_SPELL if self._pressed else _SPELL)
        waiting, port = self._waiting, self._port
        while waiting and port.in_flight < OTHERS_AT_ONCE:
            port.received(*waiting.popleft())
            if self._clock.seconds() >= end:
                break
        if waiting and self._later is None:
            pause = 0.0 if port.in_flight < OTHERS_AT_ONCE else _PAUSE
            self._later = self._clock.callLater(pause, self._go_on)

    def _go_on(self) -> None:
        self._later = None
        self._work_off()
        self._port.drained()

    def _drop(self, counter: str) -> None:
        self._counters[counter] += 1
        self._dropped += 1

    def _tell(self) -> None:
        now = self._clock.seconds()
        if now - self._told >= _TELL_EVERY:
            self._log.warn(
                "{interface}: more messages than can be answered, {dropped} dropped;"
                " known machines come first",
                interface=self._port.interface.name,
                dropped=self._dropped,
            )
            self._told, self._dropped = now, 0
