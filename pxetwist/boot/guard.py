"""One plugin, contained: it may hang, raise or leak, and costs the boot no more than a moment.

What blocks the whole process (a plugin that sleeps instead of awaiting) cannot be contained.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pxetwist.errors import DirectoryUnavailable, PolicyError, PxeError
from pxetwist.interfaces import IHealth
from pxetwist.model.health import Breaker, Health, HealthState

Q = TypeVar("Q")
T = TypeVar("T")

#: So long (seconds) one plugin may take; the ROM waits 4 s (PXE 2.1), others need time as well.
PATIENCE = 2.0
#: The traceback of a bug is logged so often (seconds), however often it is met.
_BURST = 60.0
#: A plugin that keeps everybody waiting so long (seconds) is told of.
_BLOCKED = 0.25


class Bugs:
    """Logs the tracebacks of plugins' bugs: that of one place once a minute."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._logged: dict[tuple[str, int], float] = {}

    def note(self, who: str, error: Exception) -> None:
        """Log what was caught just now."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        place, now = (last.filename, last.lineno or 0), self._clock.seconds()
        if now - self._logged.get(place, float("-inf")) >= _BURST:
            self._logged[place] = now
            self.log.failure("{who} has a bug", who=who)


class Unanswered(PxeError):
    """A plugin did not answer: it hangs, it is left in peace for that, or it has a bug."""


async def within(
    limit: float,
    clock: IReactorTime,
    work: Awaitable[T],
    blocked: Callable[[float], None] = lambda seconds: None,
) -> T:
    """Await work for so many seconds, also if it does not heed that it is cancelled then.

    Work that has to wait for nothing costs neither a Deferred nor a timer. `blocked` is told how
    many seconds it took to begin, if those were too many.

    :raises twisted.internet.defer.TimeoutError: at the end of the time.
    """
    if not isinstance(work, CoroutineType):
        work = _awaiting(work)
    began = clock.seconds()
    try:
        awaited = work.send(None)
    except StopIteration as finished:
        answer: T = finished.value
        return answer
    finally:
        if (took := clock.seconds() - began) > _BLOCKED:
            blocked(took)
    rest = Deferred.fromCoroutine(rest_of(work, awaited))
    result: Deferred[T] = Deferred()
    rest.addBoth(lambda outcome: None if result.called else result.callback(outcome))
    if not result.called:
        result.addTimeout(max(limit, 0), clock)
    try:
        return await result
    finally:
        rest.cancel()  # of no effect on what has ended


def _name(method: Callable[..., object]) -> str:
    return str(getattr(method, "__name__", method))


async def _awaiting(work: Awaitable[T]) -> T:
    return await work


def rest_of(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that has run until it waits for `awaited`."""
    while True:
        try:
            try:
                value = yield awaited
            except Exception as error:
                awaited = work.throw(error)
            else:
                awaited = work.send(value)
        except StopIteration as finished:
            answer: T = finished.value
            return answer


class _Misfit(PxeError):
    """A plugin's answer is not what its interface says."""


class Guard(Generic[Q, T]):
    """Stands before one method of a plugin.

    A plugin that hangs is left in peace for a while. What fails at once is asked again each
    time: that costs no more than to refuse it, and one machine on which a plugin stumbles
    must not take it away from all others. `fault` says what is wrong with an answer; empty:
    nothing.
    """

    log = Logger()

    def __init__(
        self,
        who: str,
        plugin: object,
        method: Callable[[Q], Awaitable[T | None]],
        clock: IReactorTime,
        fault: Callable[[T], str] = lambda answer: "",
    ) -> None:
        self.who = who
        self._plugin = plugin
        self._method = method
        self._clock = clock
        self._breaker = Breaker(since=clock.seconds())
        self._counters: Counter[str] = Counter()
        self._bugs = Bugs(clock)
        self._fault = fault
        self._stumbles: tuple[float, str] | None = None  # since when it does, and over what
        #: A plugin that knows its health keeps its own deadline, and has a breaker.
        self._patience = float("inf") if IHealth.providedBy(plugin) else PATIENCE

    async def ask(self, question: Q, left: float) -> T | None:
        """Ask the plugin, for at most its own deadline and the `left` seconds.

        :raises Unanswered: if it hangs, has hung, or has a bug.
        :raises DirectoryUnavailable: as the plugin says.
        :raises PolicyError: ditto.
        """
        if not self._breaker.admits(self._clock.seconds()):
            self._counters["refused"] += 1
            raise Unanswered(f"left in peace: {self._breaker.error}")
        limit = min(self._patience, left)
        self._counters["asked"] += 1
        try:
            work = self._method(question)
            if type(work) is not CoroutineType and not isinstance(work, Awaitable):
                raise _Misfit(f"{_name(self._method)} must be async def")
            answer = await within(limit, self._clock, work, self._blocked)
            if answer is not None and (fault := self._fault(answer)):
                raise _Misfit(f"{_name(self._method)} {fault}")
        except DeferredTimeout:
            raise self._hung(limit) from None
        except CancelledError:  # who has asked has left
            raise
        except _Misfit as error:
            self._counters["bugs"] += 1
            self._spoke(str(error))
            raise Unanswered(str(error)) from error
        except (DirectoryUnavailable, PolicyError) as error:
            self._counters["failed"] += 1
            self._spoke(str(error))
            raise
        except Exception as error:
            self._counters["bugs"] += 1
            self._bugs.note(self.who, error)
            seen = f"{type(error).__name__}, see the traceback in the log"
            self._spoke(seen)
            raise Unanswered(seen) from error
        self._spoke()
        return answer

    def health(self) -> Health:
        """Return what the plugin says of itself, else what was seen of it."""
        if IHealth.providedBy(self._plugin):
            try:
                return IHealth(self._plugin).health()
            except Exception as error:
                self._bugs.note(self.who, error)
        breaker = self._breaker
        if breaker.state is HealthState.UP and self._stumbles:
            return Health(HealthState.DEGRADED, *self._stumbles, dict(self._counters))
        return Health(breaker.state, breaker.since, breaker.error, dict(self._counters))

    def _blocked(self, seconds: float) -> None:
        self._counters["blocked"] += 1
        self.log.warn(
            "{who} kept the whole server waiting for {seconds:.2g} s: it must await",
            who=self.who,
            seconds=seconds,
        )

    def _spoke(self, trouble: str = "") -> None:
        """Note that it does not hang, and what it said of this one: `trouble`, or an answer."""
        now = self._clock.seconds()
        self._stumbles = (
            (self._stumbles[0] if self._stumbles else now, trouble) if trouble else None
        )
        if self._breaker.succeeded(now):
            self.log.info("{who} answers again", who=self.who)

    def _hung(self, limit: float) -> Unanswered:
        error = f"no answer within {limit:.2g} s"
        self._counters["late"] += 1
        if limit < PATIENCE:
            return Unanswered(error)  # the others had taken its time
        if self._breaker.failed(error, self._clock.seconds()):
            self.log.warn("{who} hangs: {error}", who=self.who, error=error)
        return Unanswered(error)
