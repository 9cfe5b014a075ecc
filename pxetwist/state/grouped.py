"""Leases answered from memory, and stored before they are acknowledged: by one thread, which
stores together all that came while it stored the last ones.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from queue import Empty, SimpleQueue
from threading import Thread

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from pxetwist.config.fields import option, seconds
from pxetwist.errors import LeaseConflict, StateUnavailable
from pxetwist.interfaces import IHealth, Site
from pxetwist.model.health import Health, HealthState
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Lease, LeaseState
from pxetwist.state.database import Database
from pxetwist.state.desk import Desk
from pxetwist.state.groups import Change, Group, Ledger, Outcome, Refusal, StoredNoMore, Wish
from pxetwist.state.leases import LeaseTable, spare
from pxetwist.state.memory import MemoryLeases
from pxetwist.state.notes import DatabaseNotes
from pxetwist.state.pool import HOLD

#: So often (seconds) records that are too old are forgotten.
PRUNE = 3600.0
#: Whoever waits for longer (seconds) waits for a disk that hangs; it is looked for as often.
HANGS = 5.0
#: Under load so long (seconds) more is waited for before it is stored: each transaction takes time
#: from those who answer.
GATHER = 0.010
#: So much may wait for the thread.
QUEUE = 20_000


def keep_option() -> float:
    """Declare the option ``keep`` of a plugin."""
    return option(
        seconds,
        default=90 * 86400.0,
        doc="So long after its end a lease is remembered for the return of its machine; 0: for"
        " ever.",
    )


@implementer(IHealth)
class GroupedLeases(MemoryLeases, Service, ABC):
    """A lease store of one :class:`Ledger`; `keep` is how long ended leases are remembered.
    Notes are in the `database`.
    """

    def __init__(self, title: str, keep: float, site: Site, database: Database) -> None:
        super().__init__(DatabaseNotes(database, site.reactor, site.name))
        self.title = title
        self._keep = keep
        self._site = site
        self._queue: SimpleQueue[Change | Refusal | Deferred[None] | float | None]
        self._thread: Thread | None = None
        self._stopped: Deferred[None]
        self._pending: dict[int, list[Change]] = {}  # by address
        self._alone = False
        self._error = ""
        self._gone = False  # also what was stored
        self._since = 0.0
        self._counters = {"stored": 0, "groups": 0, "conflicts": 0, "failed": 0}
        self._pruning = LoopingCall(self._prune)
        self._pruning.clock = site.reactor
        self._watching = LoopingCall(self._watch)
        self._watching.clock = site.reactor

    @abstractmethod
    def open(self) -> Ledger:
        """Open what stores the leases.

        :raises StartError: if that cannot be.
        """

    @abstractmethod
    def desk(self) -> Desk:
        """Return what commands do with the leases, beside a running server or without one."""

    def startService(self) -> None:
        """Open and load."""
        ledger = self.open()
        self._alone = ledger.alone
        self._table = LeaseTable(ledger.load(), in_order=True)
        self._queue, self._stopped = SimpleQueue(), Deferred()
        self._since = self._site.reactor.seconds()
        self._thread = Thread(target=self._work, args=(ledger,), name="leases", daemon=True)
        self._thread.start()
        super().startService()
        self._watching.start(HANGS, now=False)
        if self._keep:
            self._pruning.start(PRUNE)

    def stopService(self) -> Deferred[None]:
        """Store what waits and close; fires when the threads have ended."""
        super().stopService()
        for each in (self._pruning, self._watching):
            if each.running:
                each.stop()
        ending = [each for each in (self._notes.stop(),) if each is not None]
        if self._thread is not None:
            self._queue.put(None)
            ending.append(self._stopped)
        return gatherResults(ending).addCallback(lambda _: None)

    def health(self) -> Health:
        """Say whether leases can be stored."""
        state = HealthState.DOWN if self._error else HealthState.UP
        return Health(state, self._since, self._error, dict(self._counters))

    async def commit(self, lease: Lease, now: float) -> Lease:
        """Store a lease, unless it is stored."""
        stored = self._table.same(lease)
        if stored is not None and self.lasts(stored, lease.ends, now):
            return stored
        before = self._table.get(lease.address)
        return await self._store(self._commit(lease, now), before, now, lease.ends)

    def keep(self, lease: Lease, now: float, then: Callable[[Exception | None], None]) -> None:
        """Store a lease without being waited for."""
        before = self._table.get(lease.address)
        try:
            self._put(Change(self._commit(lease, now), before, now, lease.ends, then))
        except (LeaseConflict, StateUnavailable) as error:
            then(error)

    async def release(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """End a lease and store that."""
        before = self._table.get(address)
        return await self._end(self._table.release(address, identity.key, now), before, now)

    async def decline(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> bool:
        """Put an address out of use for a day and store that."""
        before = self._table.get(address)
        return await self._end(self._table.decline(address, identity.key, now), before, now)

    def lasts(self, record: Lease, ends: float, now: float) -> bool:
        """Whether a record is stored, and for long enough. Others may have changed it since,
        unless we are alone; and an offer may have made it longer in memory, by its own time.
        """
        return (
            self._alone
            and not self._gone
            and ends > now + HOLD
            and record.state is LeaseState.LEASED
            and 0.0 <= record.ends - ends <= spare(ends - now)
            and int(record.address) not in self._pending
            and bool(self.running)
        )

    def _commit(self, lease: Lease, now: float) -> Lease:
        """Make a lease in memory, for some time more."""
        longer = attrs.evolve(lease, ends=lease.ends + spare(lease.ends - now))
        return self._table.commit(longer, now)

    async def _end(self, record: Lease | None, before: Lease | None, now: float) -> bool:
        if record is None:
            return False
        try:
            await self._store(record, before, now, record.ends)
        except LeaseConflict:
            return False
        return True

    async def _store(
        self, record: Lease, before: Lease | None, now: float, enough: float
    ) -> Lease:
        stored: Deferred[None] = Deferred()
        self._put(Change(record, before, now, enough, partial(_wake, stored)))
        await stored
        return self._table.same(record) or record  # as it is stored

    def _put(self, change: Change) -> None:
        """Hand a change that is made in memory to the thread.

        :raises StateUnavailable: if it is too busy; the change is undone then.
        """
        if not self.running or self._queue.qsize() >= QUEUE:
            self._undo(change)
            raise StateUnavailable(
                "too many leases wait" if self.running else "the lease store does not run"
            )
        number = int(change.record.address)
        pending = self._pending.get(number)
        if pending is None:
            self._pending[number] = [change]
        else:
            pending.append(change)
        self._queue.put(change)

    async def _look(self) -> None:
        """Wait until all is known that others had stored when this was called.

        :raises StateUnavailable: if that cannot be.
        """
        if not self.running:
            raise StateUnavailable("the lease store does not run")
        look: Deferred[None] = Deferred()
        self._queue.put(look)
        await look

    def _prune(self) -> None:
        before = self._site.reactor.seconds() - self._keep
        self._table.forget(before)
        self._queue.put(before)

    def _watch(self) -> None:
        """Say so if the thread hangs: who waits for it is not answered, not even by an error."""
        now = self._site.reactor.seconds()
        waiting = (change.since for changes in self._pending.values() for change in changes)
        if now - min(waiting, default=now) >= HANGS:
            self._tell(StateUnavailable(f"no answer within {HANGS:g} s"))

    # In the thread

    def _work(self, ledger: Ledger) -> None:
        failing, looked = False, time.monotonic()
        group = Group()
        while True:
            gather = GATHER if len(group.changes) > 1 else 0.0
            group = self._collected(looked + ledger.interval - time.monotonic(), gather)
            outcome, error = Outcome(), None
            try:
                outcome = ledger.exchange(group)
            except Exception as caught:  # whatever it is, nobody may be acknowledged
                error = caught
            looked = time.monotonic()
            if not group.empty or outcome.news or outcome.wishes or failing is not bool(error):
                self._site.reactor.callFromThread(self._ended, group, outcome, error)
            failing = error is not None
            if group.last:
                break
        try:
            ledger.close()
        finally:
            self._site.reactor.callFromThread(self._joined)

    def _collected(self, patience: float, gather: float) -> Group:
        """Wait for something to do, give more of it time to come, and take all that is there."""
        group = Group()
        try:
            group.add(self._queue.get(timeout=max(patience, 0.001)))
            time.sleep(gather)
            while True:
                group.add(self._queue.get_nowait())
        except Empty:
            return group

    # Back in the reactor

    def _ended(self, group: Group, outcome: Outcome, error: Exception | None) -> None:
        self._tell(error)
        for change in group.changes:
            self._settled(change)
        if error is not None:
            self._counters["failed"] += len(group.changes)
            for change in reversed(group.changes):
                self._undo(change)
            away = StateUnavailable(f"{self.title}: {error}")
            for change in group.changes:
                change.then(away)
            for look in group.looks:
                _wake(look, away)
            return
        self._counters["stored"] += len(group.changes) - len(outcome.lost)
        self._counters["conflicts"] += len(outcome.lost)
        self._counters["groups"] += bool(group.changes)
        for change, present in outcome.lost.items():
            self._lose(change, present)
        for record in outcome.news:
            self._learn(record)
        lost = outcome.lost
        for change in group.changes:
            if change not in lost:
                change.then(None)
        for look in group.looks:
            _wake(look)
        for wish in outcome.wishes:
            self._fulfil(wish)

    def _settled(self, change: Change) -> None:
        number = int(change.record.address)
        waiting = self._pending[number]
        waiting.remove(change)
        if not waiting:
            del self._pending[number]

    def _tell(self, error: Exception | None) -> None:
        """Log once that it does not work, and once that it does again."""
        if error is not None and not self._error:
            self._site.log.error(
                "leases cannot be stored, nobody is acknowledged: {title}: {error}",
                title=self.title,
                error=error,
            )
        elif error is None and self._error:
            self._site.log.info("leases can be stored again")
        if bool(error) is not bool(self._error):
            self._since = self._site.reactor.seconds()
        self._error = str(error) or repr(error) if error is not None else ""
        self._gone = isinstance(error, StoredNoMore)

    def _undo(self, change: Change) -> None:
        """Take back in memory what is not stored, unless more has happened since."""
        record = change.record
        if self._table.get(record.address) is record:
            ended = attrs.evolve(record, state=LeaseState.RELEASED, ends=0.0)
            self._table.put(change.before or ended)

    def _lose(self, change: Change, present: Lease | None) -> None:
        """Another server was quicker: what it stored counts."""
        record = change.record
        self._undo(change)
        if present is not None:
            self._learn(present)
        change.then(LeaseConflict(f"{record.address} is not free for {record.key}"))

    def _learn(self, record: Lease) -> None:
        """Take over what another server stored. What is just being stored here comes after it,
        or will lose against it.
        """
        pending = self._pending.get(int(record.address), ())
        for change in pending:
            change.before = record
        if not pending:
            self._table.put(record)

    def _fulfil(self, wish: Wish) -> None:
        """Do what a command has asked for, or tell it why not."""
        now = self._site.reactor.seconds()
        before = self._table.get(wish.record.address)
        try:
            record = self._table.apply(wish.record, now)
            # What goes wrong later is logged, and the command is not answered.
            self._put(Change(record, before, now, record.ends, lambda _: None, wish.number))
        except (LeaseConflict, StateUnavailable) as error:
            self._queue.put(Refusal(wish.number, str(error)))

    def _joined(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._stopped.callback(None)


def _wake(waiting: Deferred[None], error: Exception | None = None) -> None:
    """Let go on who waits, unless he has left."""
    if waiting.called:
        return
    if error is None:
        waiting.callback(None)
    else:
        waiting.errback(error)
