"""Orders: a machine boots a profile once, and then what it boots otherwise.

An order comes from ``pxetwist order``, from the machine itself (``POST {{ callback }}/order``, if
the INI allows that), or from a label of the machine that its directory knows:
``order = install-debian12#42`` is done once for each value. It is *taken* when the loader is given
the text for it, and *done* when the installer calls back (``POST {{ callback }}/done``).

No order is given to more than ``attempts`` boots, however the machine behaves: that is written to
the database before the text leaves. One that was taken and never heard of again is failed, not
forgotten. To plan writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from pxetwist.errors import ConfigError, Location, OrderConflict, PolicyError, StateUnavailable
from pxetwist.interfaces import IBegins, IBootPolicy, IHears, ISteady, Site
from pxetwist.model.boot import BootPlan, BootRequest, BootStage
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.machine import Machine
from pxetwist.model.order import Order, OrderState, Taker
from pxetwist.model.profile import BootProfile
from pxetwist.model.report import MachineReport
from pxetwist.policies import suggestion
from pxetwist.policies.order_settings import Settings
from pxetwist.state.orders import Orders

T = TypeVar("T")

#: So often (seconds) orders whose time is over are looked for.
SWEEP = 60.0

_LABEL = re.compile(r"(?P<profile>[^\s#]+)(#\S+)?")
_ENDED = (OrderState.DONE, OrderState.FAILED)


@attrs.frozen
class Choice:
    """What is to be booted, and because of which order: the order itself, or what comes `then`."""

    order: Order
    profile: str
    then: bool = False

    @property
    def reason(self) -> str:
        """Say so."""
        if not self.then:
            return str(self.order)
        return f"{self.order} is {self.order.state.value}: then {self.profile}"


@implementer(IBootPolicy, IBegins, IHears, ISteady)
class OrdersPolicy(Service):
    """Decides for machines that have an order, or had one."""

    def __init__(self, settings: Settings, site: Site, store: Orders) -> None:
        self.settings = settings
        self.store = store
        self._site = site
        self._then = settings.then.text if settings.then else ""
        self._decided = 0  # so often about a machine with orders
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = site.reactor

    def startService(self) -> None:
        """Begin to look for orders whose time is over."""
        super().startService()
        self._sweeping.start(SWEEP, now=False)

    def stopService(self) -> Deferred[None] | None:
        """Let what is being stored be stored."""
        super().stopService()
        if self._sweeping.running:
            self._sweeping.stop()
        return self.store.stop()

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the plan of the machine's order, or what comes after it; `None`: it has none.

        :raises PolicyError: if that cannot be known, or the order names no profile.
        """
        choice = await self._choice(request)
        if choice is None:
            return None
        profile = self._profile(choice.profile, request)
        return profile.plan(request.identity.architecture, choice.reason)

    def edition(self) -> int | None:
        """Nothing lasts that is decided by an order: it is taken, and its time passes. That a
        machine has none lasts until somebody gives one to any.
        """
        known = self.store.edition()
        return None if known is None else known + self._decided

    async def begin(self, request: BootRequest) -> bool:
        """Let this boot take the order; `False`: it is taken, over, or was exchanged."""
        choice = await self._choice(request)
        if choice is None or request.plan is None or choice.profile != request.plan.profile:
            return False
        now, taker = self._now(), Taker(request.identity.mac, request.boot_id)
        terms = self.settings.terms
        if choice.then:
            for order in await self._orders(request):
                if order.abandoned(taker, now, terms) is not order:
                    self._tell(await self._stored(self.store.abandon(order, taker, terms, now)))
            return True
        taken = await self._stored(self.store.take(choice.order, taker, terms, now))
        if taken is not None and taken.handed == 1:
            self._tell(taken, f"taken by {taker.mac or 'an unknown machine'}")
        return taken is not None

    async def hear(self, report: MachineReport) -> str | None:
        """Note what the machine says of its order."""
        if report.topic != "callback":
            return None
        if report.word == "order":
            return await self._ordered(report)
        taker = Taker(report.identity.mac, report.boot_id)
        order = await self.store.report(taker, report.word, report.text, report.time)
        if order is not None and report.word != "progress":
            self._tell(order)
        return None

    async def _ordered(self, report: MachineReport) -> str | None:
        """Let a machine order a profile for itself; `None`: it may not, or has an order."""
        profile, mac = report.text.strip(), report.identity.mac
        if profile not in self.settings.self_service or not mac:
            return None
        lasts = self.settings.expires
        expires = report.time + lasts if lasts else 0.0
        names = _names(report.machine, mac)
        wanted = Order(names[0], profile, created=report.time, expires=expires)
        try:
            order = await self.store.add(wanted, names)
        except OrderConflict:
            return None
        self._tell(order, "given by the machine itself")
        return str(order)

    async def _choice(self, request: BootRequest) -> Choice | None:
        """Find out what an order says for this boot."""
        orders = await self._orders(request)
        if not orders:
            return None
        self._decided += 1
        now, taker = self._now(), Taker(request.identity.mac, request.boot_id)
        for order in orders:
            same = request.stage is BootStage.KERNEL and order.taken_by(taker)
            if same or order.available(taker, now, self.settings.terms):
                return Choice(order, order.profile)
        over = [order for order in orders if order.state in _ENDED or order.taken]
        last = max(over, key=lambda order: (order.taken, order.number), default=None)
        if last is None or last.state is OrderState.CANCELLED:
            return None
        then = last.then or self._then
        return Choice(last, then, then=True) if then else None

    async def _orders(self, request: BootRequest) -> list[Order]:
        """Return the machine's orders, those that people gave first; one that its label holds,
        and that nobody took so far, has no number.
        """
        identity, machine = request.identity, request.machine
        found = await self._stored(self.store.find(_names(machine, identity.mac), self._now()))
        label = _label(self.settings.label, machine.labels) if machine else ""
        orders = [order for order in found if order.label in ("", label)]
        if machine and label and not any(order.label for order in orders):
            named = _LABEL.fullmatch(label)
            if named is None:
                form = f"{self.settings.label} = PROFILE or PROFILE#WORD"
                raise PolicyError(f"machine '{machine.name}': expected {form}, got {label!r}")
            orders.append(Order(machine.name.lower(), named["profile"], label=label))
        return sorted(orders, key=lambda order: (bool(order.label), order.number))

    def _profile(self, name: str, request: BootRequest) -> BootProfile:
        profile = self._site.profiles.get(name)
        if profile is None:
            machine = request.machine.name if request.machine else request.identity
            hint = suggestion(name, self._site.profiles)
            raise PolicyError(
                f"machine '{machine}': its order names unknown profile {name!r}{hint}"
            )
        return profile

    def _now(self) -> float:
        return float(self._site.reactor.seconds())

    async def _sweep(self) -> None:
        """End what is overdue, and say so; it is tried again a minute later."""
        try:
            ended = await self.store.sweep(self._now())
        except StateUnavailable as error:
            self._site.log.debug("{error}", error=error)
            return
        for order in ended:
            self._tell(order)

    def _tell(self, order: Order, what: str = "") -> None:
        state = what or order.state.value
        note = f": {order.note}" if order.note and not what else ""
        self._site.boot.tell(
            BootEvent(
                self._now(),
                EventKind.ORDER,
                self._site.name,
                order.machine,
                order.boot_id,
                summary=f"{order} is {state}{note}",
                details=attrs.asdict(order) | {"state": order.state.value},
            )
        )

    async def _stored(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except StateUnavailable as error:
            raise PolicyError(f"orders: {error}") from error


def _names(machine: Machine | None, mac: str) -> list[str]:
    """Return what an order for a machine may be called by, the best first."""
    names = [*((machine.name, *machine.macs) if machine else ()), mac]
    return list(dict.fromkeys(name.lower() for name in names if name))


def _label(name: str, labels: Mapping[str, str]) -> str:
    found = (value for key, value in labels.items() if key.lower() == name.lower())
    return next(found, "").strip()


def build(settings: Settings, site: Site) -> OrdersPolicy:
    """Make the policy; the database is opened when it is first needed.

    :raises ConfigError: if there is no profile of the name given by `then`.
    """
    if settings.then and settings.then.text not in site.profiles:
        hint = suggestion(settings.then.text, site.profiles)
        raise ConfigError(
            settings.then.location, f"then: unknown profile {settings.then.text!r}{hint}"
        )
    for name in settings.self_service:
        if name not in site.profiles:
            hint = suggestion(name, site.profiles)
            raise ConfigError(Location(""), f"self-service: unknown profile {name!r}{hint}")
    return OrdersPolicy(settings, site, Orders(settings.database_of(site), site))
