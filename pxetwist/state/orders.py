"""Orders in a database: what machines are to boot once, shared by servers and commands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pxetwist.errors import OrderConflict
from pxetwist.interfaces import IOrderStore, Site
from pxetwist.model.order import Order, OrderState, Taker, Terms
from pxetwist.state.database import Database, Rows, Schema, Session, counted
from pxetwist.state.pooled import Pool, Refreshed

SCHEMA = Schema(
    "orders",
    (
        """
        create table pxetwist_change (number bigint not null);
        insert into pxetwist_change values (0);
        create table pxetwist_order (
            number bigint primary key,
            change bigint not null,
            machine text not null,
            profile text not null,
            "then" text not null,
            label text not null,
            state text not null,
            created double precision not null,
            expires double precision not null,
            mac text not null,
            boot_id text not null,
            taken double precision not null,
            deadline double precision not null,
            attempts integer not null,
            handed integer not null,
            ended double precision not null,
            said text not null,
            note text not null
        );
        create index pxetwist_order_change on pxetwist_order (change);
        create index pxetwist_order_machine on pxetwist_order (machine, label);
        create index pxetwist_order_mac on pxetwist_order (mac, boot_id)
        """,
    ),
)

_FIELDS = tuple(each.name for each in attrs.fields(Order))
_COLUMNS = ", ".join(f'"{name}"' for name in _FIELDS)
_INSERT = (
    f"insert into pxetwist_order (change, {_COLUMNS})"
    f" values (:change, {', '.join(':' + name for name in _FIELDS)})"
)
_ASSIGNED = ", ".join(f'"{name}" = :{name}' for name in _FIELDS)
_UPDATE = f"update pxetwist_order set change = :change, {_ASSIGNED} where number = :number"


# Work, to be done in a session


def add(order: Order, session: Session, names: Collection[str] = ()) -> Order:
    """Store a new order; see :meth:`IOrderStore.add`."""
    number = counted(session, "pxetwist_change")
    for name in dict.fromkeys((order.machine, *names)):
        for other in _selected(session, "machine = :machine", machine=name):
            if other.label == order.label and (other.live or order.label):
                raise OrderConflict(f"{other.machine} has {other}, {other.state.value}")
    order = attrs.evolve(order, number=number)
    session.rows(_INSERT, **_values(order, number))
    return order


def everything(session: Session) -> Sequence[Order]:
    """Return all orders there ever were, the oldest first."""
    return _selected(session, "number > 0")


def cancel(number: int, now: float, session: Session) -> Order:
    """Take an order back.

    :raises OrderConflict: if there is none with this number.
    """
    found = _selected(session, "number = :number", number=number)
    if not found:
        raise OrderConflict(f"there is no order {number}")
    return _store(session, found[0], found[0].cancelled(now))


def take(order: Order, taker: Taker, terms: Terms, now: float, session: Session) -> Order | None:
    """Hand an order to a boot; see :meth:`IOrderStore.take`."""
    counted(session, "pxetwist_change")  # whoever else wants it waits here
    present = _present(session, order)
    if present is None:
        present = add(attrs.evolve(order, created=now), session)
    taken = present.take(taker, now, terms)
    return None if taken is None else _store(session, present, taken)


def report(taker: Taker, word: str, text: str, now: float, session: Session) -> Order | None:
    """Note what a boot says; see :meth:`IOrderStore.report`."""
    counted(session, "pxetwist_change")
    where = "mac = :mac and boot_id = :boot_id"
    found = _selected(session, where, mac=taker.mac, boot_id=taker.boot_id)
    if not found:
        return None
    last = max(found, key=lambda order: (order.taken, order.number))
    return _store(session, last, last.report(word, text, now))


def abandon(order: Order, taker: Taker, terms: Terms, now: float, session: Session) -> Order:
    """Note that a machine starts anew; see :meth:`IOrderStore.abandon`."""
    counted(session, "pxetwist_change")
    present = _present(session, order) or order
    return _store(session, present, present.abandoned(taker, now, terms))


def sweep(now: float, session: Session) -> Sequence[Order]:
    """End what is overdue; see :meth:`IOrderStore.sweep`."""
    if not _overdue(session, now):
        return []
    counted(session, "pxetwist_change")
    return [_store(session, each, ended) for each, ended in _overdue(session, now)]


def any_overdue(now: float, session: Session) -> bool:
    """Whether there is anything to sweep."""
    return bool(_overdue(session, now))


def _overdue(session: Session, now: float) -> list[tuple[Order, Order]]:
    states = {"pending": OrderState.PENDING.value, "taken": OrderState.TAKEN.value}
    found = _selected(session, "state in (:pending, :taken)", **states)
    pairs = [(order, order.overdue(now)) for order in found]
    return [(order, ended) for order, ended in pairs if ended is not order]


def _present(session: Session, order: Order) -> Order | None:
    """Return an order as it is now; one without a number by its label."""
    if order.number:
        found = _selected(session, "number = :number", number=order.number)
    else:
        where = "machine = :machine and label = :label"
        found = _selected(session, where, machine=order.machine, label=order.label)
    return found[0] if found else None


def _store(session: Session, before: Order, after: Order) -> Order:
    if after != before:
        number = counted(session, "pxetwist_change")
        session.rows(_UPDATE, **_values(after, number))
    return after


def _selected(session: Session, where: str, **values: object) -> list[Order]:
    rows = session.rows(
        f"select {_COLUMNS} from pxetwist_order where {where} order by number", **values
    )
    return [_order(row) for row in rows]


def _order(row: Sequence[object]) -> Order:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    return Order(**{**values, "state": OrderState(values["state"])})


def _values(order: Order, change: int) -> dict[str, object]:
    values: dict[str, object] = attrs.asdict(order, recurse=False)
    return {**values, "state": order.state.value, "change": change}


def _changed_since(change: int, session: Session) -> tuple[int, Rows]:
    """Return the number of the last change, and the rows of all since; of all, if the database
    was exchanged for an older one.
    """
    [(last,)] = session.rows("select number from pxetwist_change")
    if last == change:
        return change, []
    return last, session.rows(
        f"select change, {_COLUMNS} from pxetwist_order where change > :change order by change",
        change=change if last > change else 0,
    )


@implementer(IOrderStore)
class Orders:
    """The orders of a database, with a copy of each machine's last ones in memory."""

    def __init__(self, database: Database, site: Site) -> None:
        self.pool = Pool(database, SCHEMA, site.reactor, f"policy {site.name}")
        self._copy = Refreshed(self._load, site.reactor, site.log)
        self._change = 0
        self._edition = 0
        self._last: dict[str, dict[str, Order]] = {}

    def stop(self) -> Deferred[None] | None:
        """Store nothing more; fire when what was begun is stored."""
        return self.pool.stop()

    async def find(self, machines: Collection[str], now: float) -> Sequence[Order]:
        """Look in the copy."""
        await self._copy.fresh()
        last = self._last
        return [order for name in machines if name in last for order in last[name].values()]

    def edition(self) -> int | None:
        """Count what has changed in the copy, while that is fresh enough."""
        return self._edition if self._copy.current else None

    async def add(self, order: Order, names: Collection[str] = ()) -> Order:
        """Store a new order."""
        added = await self.pool.change(partial(add, order, names=names))
        self._remember(added)
        return added

    async def take(self, order: Order, taker: Taker, terms: Terms, now: float) -> Order | None:
        """Hand an order to a boot."""
        taken = await self._changing(partial(take, order, taker, terms, now))
        if taken is None:  # another server, or a command, was quicker
            self._copy.expire()
        return taken

    async def report(self, taker: Taker, word: str, text: str, now: float) -> Order | None:
        """Note what a boot says."""
        return await self._changing(partial(report, taker, word, text, now))

    async def abandon(self, order: Order, taker: Taker, terms: Terms, now: float) -> Order:
        """Note that a machine starts anew."""
        changed = await self._changing(partial(abandon, order, taker, terms, now))
        return changed or order

    async def sweep(self, now: float) -> Sequence[Order]:
        """End what is overdue."""
        if not await self.pool.read(partial(any_overdue, now), False):
            return []
        ended = await self.pool.change(partial(sweep, now))
        for order in ended:
            self._remember(order)
        return ended

    async def _changing(self, work: Callable[[Session], Order | None]) -> Order | None:
        changed = await self.pool.change(work)
        if changed is not None:
            self._remember(changed)
        return changed

    async def _load(self) -> None:
        empty: tuple[int, Rows] = (0, [])
        change, rows = await self.pool.read(partial(_changed_since, self._change), empty)
        if change < self._change:
            self._last.clear()
            self._edition += 1
        self._change = change
        for _, *row in rows:
            self._remember(_order(row))

    def _remember(self, order: Order) -> None:
        """Keep the last order of each machine and label, in its last state."""
        self._edition += 1
        labels = self._last.setdefault(order.machine, {})
        known = labels.get(order.label)
        if known is None or known.number <= order.number:
            labels[order.label] = order
