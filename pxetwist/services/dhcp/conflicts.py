"""Looks whether somebody already has an address before it is offered (RFC 2131 §3.1)."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pxetwist.errors import StartError
from pxetwist.services.dhcp.address_probes import ArpProbe, Found, Ping, Question
from pxetwist.services.interfaces import NetworkInterface, network_interfaces

#: An offer waits no longer than this (seconds) in all, however many addresses are looked at.
BUDGET = 0.3
#: An address where nobody was is not looked at again for so long (seconds).
REMEMBERED_FOR = 60.0

_REMEMBERED = 4096  # addresses
_AT_ONCE = 128  # questions; with more, addresses are offered unchecked
_AGAIN = 0.1  # seconds until the question is put once more, for one may be lost
_FRESH = 5.0  # seconds for which the list of interfaces is believed


class ConflictCheck:
    """Asks by ARP on own links, elsewhere by ping. `counters` say how often it found what."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        counters: Counter[str],
        interfaces: Callable[[], Sequence[NetworkInterface]] = network_interfaces,
    ) -> None:
        self._reactor = reactor
        self._counters = counters
        self._interfaces = interfaces
        self._present: tuple[float, Sequence[NetworkInterface]] = (float("-inf"), ())
        self._free: OrderedDict[IPv4Address, float] = OrderedDict()  # until when
        self._asking = 0
        self._complained = False

    async def taken_by(self, address: IPv4Address, mac: str, budget: float) -> str | None:
        """Return who has an address, other than the client of this MAC: a MAC, or words if that
        cannot be known; `None`: nobody has answered within `budget` seconds.
        """
        now = self._reactor.seconds()
        if self._free.get(address, now) > now:
            return None
        if self._asking >= _AT_ONCE:
            self._counters["conflicts not looked for"] += 1
            return None
        self._asking += 1
        try:
            found = await self._ask(address, mac, budget)
        except (OSError, StartError) as error:
            self._complain(address, error)
            return None
        finally:
            self._asking -= 1
        if found is None:
            self._free[address] = now + REMEMBERED_FOR
            self._free.move_to_end(address)
            if len(self._free) > _REMEMBERED:
                self._free.popitem(last=False)
        return found

    async def _ask(self, address: IPv4Address, mac: str, budget: float) -> str | None:
        answer: Deferred[str | None] = Deferred()

        def found(who: str) -> None:
            if who != mac and not answer.called:
                answer.callback(who or "somebody who answers ping")

        question = self._question(address, found)
        again = self._reactor.callLater(_AGAIN, _repeat, question)
        try:
            question.ask()
            answer.addTimeout(budget, self._reactor, lambda _result, _after: None)
            return await answer
        finally:
            question.stop()
            if again.active():
                again.cancel()

    def _question(self, address: IPv4Address, found: Found) -> Question:
        now = self._reactor.seconds()
        since, interfaces = self._present
        if now - since >= _FRESH:
            interfaces = self._interfaces()
            self._present = (now, interfaces)
        for interface in interfaces:
            if interface.mac and any(address in each.network for each in interface.addresses):
                return self.arp(interface, address, found)
        return self.ping(address, found)

    def arp(self, interface: NetworkInterface, address: IPv4Address, found: Found) -> Question:
        """Open a question on a link of ours."""
        return ArpProbe(self._reactor, interface, address, found)

    def ping(self, address: IPv4Address, found: Found) -> Question:
        """Open a question to somewhere else."""
        return Ping(self._reactor, address, found)

    def _complain(self, address: IPv4Address, error: Exception) -> None:
        self._counters["conflicts not looked for"] += 1
        if not self._complained:
            self._complained = True
            text = "cannot look whether {address} is in use, it is offered unchecked: {error}"
            self.log.warn(text, address=str(address), error=str(error))


def _repeat(question: Question) -> None:
    try:
        question.ask()
    except OSError:
        question.stop()
