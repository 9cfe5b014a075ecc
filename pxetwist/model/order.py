"""Orders: what a machine is to boot once, and how an order comes to its end.

Every change of an order is a pure function here; stores make it durable. The rules see to it that
an order is handed to a bounded number of boots, whatever a machine or an installer does.
"""

from __future__ import annotations

import enum

import attrs

#: How often one boot may fetch its text: loaders probe for sizes and try again.
HANDED = 10
#: For how long (seconds) it may do so; without a boot id two boots cannot be told apart, and the
#: time must be shorter than any machine needs to start again and do something in between.
SAME_BOOT = 600.0
SAME_BOOT_UNKNOWN = 30.0
#: What a machine says is cut to this many characters.
NOTE = 500


class OrderState(enum.Enum):
    """How far an order has come."""

    PENDING = "pending"
    TAKEN = "taken"  # a loader was given the text for it
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"  # nobody took it in time
    CANCELLED = "cancelled"


#: The states in which it may still be handed out.
LIVE = (OrderState.PENDING, OrderState.TAKEN)


@attrs.frozen
class Taker:
    """One boot of one machine: the MAC that boots, and the boot's id (empty if not known)."""

    mac: str
    boot_id: str = ""


@attrs.frozen
class Terms:
    """How orders are handed out: to how many boots at most, until how many seconds after the
    first one; `done_when_taken`: no call-back is waited for.
    """

    attempts: int = 1
    time_limit: float = 4 * 3600.0
    done_when_taken: bool = False


@attrs.frozen
class Order:
    """One order. Times are seconds since the epoch; 0 is never.

    `machine` is a machine's name or a MAC, in lower case. `label` is the value of the directory's
    attribute that it stands for; empty for one that a person gave. `number` is 0 until it is
    stored. `attempts` counts the boots that took it, `handed` how often the last one (`mac`,
    `boot_id`) was given its text. `said` is the machine's own last word: ``done``, ``failed`` or
    empty.
    """

    machine: str
    profile: str
    number: int = 0
    then: str = ""
    label: str = ""
    state: OrderState = OrderState.PENDING
    created: float = 0.0
    expires: float = 0.0
    mac: str = ""
    boot_id: str = ""
    taken: float = 0.0
    deadline: float = 0.0
    attempts: int = 0
    handed: int = 0
    ended: float = 0.0
    said: str = ""
    note: str = ""

    @property
    def live(self) -> bool:
        """Whether it may still be handed out."""
        return self.state in LIVE

    def taken_by(self, taker: Taker) -> bool:
        """Whether this very boot has it; a boot without an id is never known again."""
        return bool(taker.boot_id) and (self.mac, self.boot_id) == (taker.mac, taker.boot_id)

    def available(self, taker: Taker, now: float, terms: Terms) -> bool:
        """Whether this boot may be given the text for it now."""
        match self.state:
            case OrderState.PENDING:
                return not self.expires or now < self.expires
            case OrderState.TAKEN:
                return self._again(taker, now) or not self.spent(now, terms)
            case OrderState.DONE:  # by being taken: the same boot may fetch its text again
                return not self.said and self._again(taker, now)
        return False

    def spent(self, now: float, terms: Terms) -> bool:
        """Whether no further boot may have it."""
        return self.attempts >= terms.attempts or now >= self.deadline

    def _again(self, taker: Taker, now: float) -> bool:
        same = (self.mac, self.boot_id) == (taker.mac, taker.boot_id)
        limit = SAME_BOOT if taker.boot_id else SAME_BOOT_UNKNOWN
        return same and self.handed < HANDED and now - self.taken < limit

    # Changes; each returns the order itself if there is nothing to change.

    def take(self, taker: Taker, now: float, terms: Terms) -> Order | None:
        """Hand it to a boot; `None`: this one may not have it."""
        if not self.available(taker, now, terms):
            return None
        if self.state is not OrderState.PENDING and self._again(taker, now):
            return attrs.evolve(self, handed=self.handed + 1)
        return attrs.evolve(
            self,
            state=OrderState.DONE if terms.done_when_taken else OrderState.TAKEN,
            mac=taker.mac,
            boot_id=taker.boot_id,
            taken=now,
            deadline=self.deadline or now + terms.time_limit,
            attempts=self.attempts + 1,
            handed=1,
            ended=now if terms.done_when_taken else 0.0,
        )

    def report(self, word: str, text: str, now: float) -> Order:
        """Note what the machine says: ``progress``, ``done`` or ``failed``. Its first final word
        counts, and more than what was concluded from its silence.
        """
        note = text[:NOTE]
        if word == "progress":
            return self if self.said else attrs.evolve(self, note=note)
        if self.said or self.state in (OrderState.CANCELLED, OrderState.PENDING):
            return self
        state = OrderState.DONE if word == "done" else OrderState.FAILED
        return attrs.evolve(self, state=state, said=word, ended=now, note=note)

    def abandoned(self, taker: Taker, now: float, terms: Terms) -> Order:
        """Conclude that it failed if its machine starts anew, and nothing may be tried again."""
        if (
            self.state is not OrderState.TAKEN
            or self.available(taker, now, terms)
            or self.taken_by(taker)
        ):
            return self
        return self._failed("the machine started again without a call-back", now)

    def overdue(self, now: float) -> Order:
        """Let it expire, or conclude that it failed, if its time is over."""
        if self.state is OrderState.PENDING and self.expires and now >= self.expires:
            return attrs.evolve(self, state=OrderState.EXPIRED, ended=now)
        if self.state is OrderState.TAKEN and now >= self.deadline:
            return self._failed("no call-back in time", now)
        return self

    def cancelled(self, now: float) -> Order:
        """Take it back."""
        if self.state is OrderState.CANCELLED:
            return self
        return attrs.evolve(self, state=OrderState.CANCELLED, ended=self.ended or now)

    def _failed(self, why: str, now: float) -> Order:
        note = f"{why}; it last said: {self.note}" if self.note else why
        return attrs.evolve(self, state=OrderState.FAILED, ended=now, note=note[:NOTE])

    def __str__(self) -> str:
        number = f"order {self.number}" if self.number else f"order {self.label}"
        return f"{number} ({self.profile} once)"
