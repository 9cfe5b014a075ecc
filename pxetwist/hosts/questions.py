"""Questions to a slow directory: one for many askers, so many at a time, none for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pxetwist.errors import DirectoryUnavailable
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine

#: What comes of a question.
Outcome = Machine | None | Exception

#: A question goes on for so many deadlines: its late answer is there when the ROM asks again,
#: 4 s after its first attempt (PXE 2.1).
_LATE = 3


@attrs.define(eq=False)
class Question:
    """One question: `begun` when (seconds) the directory was asked, `None` while it waits."""

    key: Hashable
    identity: ClientIdentity
    askers: list[Deferred[Outcome]] = attrs.field(factory=list)
    begun: float | None = None
    slow: bool = False  # longer on its way than the deadline
    ended: bool = False
    work: Deferred[None] | None = None
    timer: IDelayedCall | None = None


@attrs.define(eq=False)
class Questions:
    """Puts questions by `ask`, as many at a time as `limit` says; others wait in their order.

    Before each one `admits` says whether it may be asked. `slow` is told of each that takes
    longer than the deadline (seconds), `ended` of what came of each, late or not.
    """

    clock: IReactorTime
    ask: Callable[[ClientIdentity], Awaitable[Machine | None]]
    limit: Callable[[], int]
    deadline: float
    admits: Callable[[], bool]
    slow: Callable[[Question], None]
    ended: Callable[[Question, Outcome], None]
    _open: dict[Hashable, Question] = attrs.field(factory=dict)
    _queue: deque[Question] = attrs.field(factory=deque)
    _running: int = 0
    _beginning: bool = False

    async def answer(self, key: Hashable, identity: ClientIdentity) -> Machine | None:
        """Ask, or wait with those who have asked for the same key.

        :raises DirectoryUnavailable: if it cannot be asked, or at the deadline.
        """
        question = self._open.get(key)
        mine: Deferred[Outcome] = Deferred()
        if question is None:
            question = self._open[key] = Question(key, identity)
            self._queue.append(question)
            question.askers.append(mine)
            self._begin()
        else:
            question.askers.append(mine)
        if not mine.called:
            mine.addTimeout(self.deadline, self.clock)
        try:
            outcome = await mine
        except DeferredTimeout:
            raise DirectoryUnavailable(f"no answer within {self.deadline:g} s") from None
        if isinstance(outcome, Exception):
            raise DirectoryUnavailable(str(outcome)) from outcome
        return outcome

    def stop(self) -> None:
        """Give up all questions."""
        self._queue.clear()
        for question in list(self._open.values()):
            self._end(question, DirectoryUnavailable("the server stops"))

    def _begin(self) -> None:
        if self._beginning:  # a question that ended at once: the loop below goes on
            return
        self._beginning = True
        while self._queue and self._running < self.limit():
            question = self._queue.popleft()
            if not self.admits():
                self._end(question, DirectoryUnavailable("not asked again so soon"))
                continue
            self._running += 1
            question.begun = self.clock.seconds()
            work = Deferred.fromCoroutine(self._put(question))
            if not question.ended:
                question.work = work
                question.timer = self.clock.callLater(self.deadline, self._note_slow, question)
        self._beginning = False

    async def _put(self, question: Question) -> None:
        outcome: Outcome
        try:
            outcome = await self.ask(question.identity)
        except Exception as error:  # also its cancellation, after which nobody listens
            outcome = error
        question.work = None
        self._end(question, outcome)

    def _note_slow(self, question: Question) -> None:
        question.slow = True
        rest = (_LATE - 1) * self.deadline
        error = DirectoryUnavailable(f"no answer within {_LATE * self.deadline:g} s")
        question.timer = self.clock.callLater(rest, self._end, question, error)
        self.slow(question)

    def _end(self, question: Question, outcome: Outcome) -> None:
        """Tell everybody, once; what was asked may go on or not, but holds no place any more."""
        if question.ended:
            return
        question.ended = True
        self._open.pop(question.key, None)
        if question.timer is not None and question.timer.active():
            question.timer.cancel()
        if question.begun is not None:
            self._running -= 1
            self.ended(question, outcome)
        for asker in question.askers:
            if not asker.called:  # at its own deadline
                asker.callback(outcome)
        if question.work is not None:
            question.work.cancel()
        self._begin()
