"""A memory before a directory that is slow or may be away.

A plugin asks its directory in `find_machine`, plainly, and raises `DirectoryUnavailable` if it
cannot; its settings inherit :class:`CacheSettings`, and its `build` returns :func:`cached`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from threading import Thread

import attrs
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from pxetwist.config.fields import Converter, integer, option, seconds
from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts import answers
from pxetwist.hosts.facts import AnswerUnusable
from pxetwist.hosts.memory import Memory, key_of
from pxetwist.hosts.questions import Outcome, Question, Questions
from pxetwist.interfaces import (
    IAuthenticator,
    IHealth,
    IHostDirectory,
    IListsMachines,
    IReloads,
    IRemembers,
    IReservations,
    Site,
)
from pxetwist.model.health import Breaker, Health, HealthState
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine

#: So often (seconds) new answers are written to the state folder.
_SAVED_EVERY = 60.0


def _deadline(value: str) -> float:
    found = seconds(value)
    if not 0 < found <= 2:
        raise ValueError("out of bounds")
    return found


@attrs.frozen
class CacheSettings:
    """How long answers hold, and how patiently the directory is asked."""

    fresh: float = option(seconds, default=30.0, doc="So long an answer is given from memory.")
    stale: float = option(
        seconds, default=86400.0, doc="So long it is given if the directory is away."
    )
    negative: float = option(
        seconds, default=60.0, doc="So long a machine stays unknown that was not found."
    )
    deadline: float = option(
        Converter("a duration of at most 2s: ROMs do not wait longer", _deadline),
        default=2.0,
        doc="So long a machine waits for an answer.",
    )
    # 1,000 machines and 0.2 s for each answer make 3.1 s: all have theirs when ROMs ask for the
    # second time, after 4 s. With more, a directory that is busy would answer too late for all.
    pool: int = option(
        integer(1, 200), default=64, doc="So many questions are put at the same time."
    )


def cached(
    directory: IHostDirectory,
    settings: CacheSettings,
    site: Site,
    limit: Callable[[], int] | None = None,
) -> CachedDirectory:
    """Put a memory before a directory; start and stop, and reload, are passed on to it.

    `limit` says how many questions may be put at the same time, if not those of `pool`.
    """
    return CachedDirectory(directory, settings, site, limit or (lambda: settings.pool))


@implementer(IHostDirectory, IHealth, IReloads, IRemembers, IService)
class CachedDirectory(MultiService):
    """Answers from memory while that is fresh, or while the directory is away."""

    def __init__(
        self,
        directory: IHostDirectory,
        settings: CacheSettings,
        site: Site,
        limit: Callable[[], int],
    ) -> None:
        super().__init__()
        self._directory = directory
        self._settings = settings
        self._clock = site.reactor
        self._log = site.log
        self._title = site.name
        self._memory = Memory(settings.fresh, settings.negative, settings.stale)
        self._site = site
        self._file = site.state_folder / f"answers-{site.name}.json"
        self._unsaved = False
        self._saving = LoopingCall(self._save_beside)
        self._saving.clock = site.reactor
        self._breaker = Breaker(since=site.reactor.seconds())
        self._answered = float("-inf")
        self._counters: Counter[str] = Counter()
        self._questions = Questions(
            clock=site.reactor,
            ask=directory.find_machine,
            limit=limit,
            deadline=settings.deadline,
            admits=lambda: self._breaker.admits(site.reactor.seconds()),
            slow=self._slow,
            ended=self._ended,
        )
        if IService.providedBy(directory):
            IService(directory).setServiceParent(self)
        for extra in (IAuthenticator, IReservations, IListsMachines):
            if extra.providedBy(directory):
                alsoProvides(self, extra)
                for name in extra.names():
                    setattr(self, name, getattr(directory, name))

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Answer from memory, else ask; with a stale answer if that fails.

        :raises DirectoryUnavailable: if it fails and there is no stale answer.
        """
        now = self._clock.seconds()
        key = key_of(identity)
        known = self._memory.current(key, now)
        if known is not None:
            self._counters["fresh"] += 1
            return _evolved(known.machine, f"fresh, {_spelled(now - known.given)} old")
        if self._memory.is_unknown(key, now):
            self._counters["fresh"] += 1
            return None
        if self._breaker.refuses(now):
            self._counters["refused"] += 1
            return self._stale(key, identity, DirectoryUnavailable(self._breaker.error))
        try:
            found = await self._questions.answer(key, identity)
            return None if found is None else _evolved(found, "fresh")
        except DirectoryUnavailable as error:
            return self._stale(key, identity, error)

    def remembers(self, mac: str) -> bool:
        """Look among the answers, old ones as well."""
        return self._memory.knows(mac)

    def health(self) -> Health:
        """Say how well the directory answers."""
        breaker = self._breaker
        return Health(breaker.state, breaker.since, breaker.error, dict(self._counters))

    def reload(self) -> None:
        """Ask anew from now on; keep what is known for the case that nobody answers."""
        self._memory.expire()
        if IReloads.providedBy(self._directory):
            self._directory.reload()

    def startService(self) -> None:
        """Remember what was known before, for the case that nobody answers; then start."""
        try:
            self._memory.restore(answers.load(self._file))
        except (OSError, ValueError) as error:
            self._log.warn("earlier answers are lost: {error}", error=error)
        super().startService()
        self._saving.start(_SAVED_EVERY, now=False)

    def stopService(self) -> Deferred[None]:
        """Give up what is asked, keep what is known, then stop the directory."""
        self._questions.stop()
        if self._saving.running:
            self._saving.stop()
        self._save(self._known())
        return maybeDeferred(super().stopService)

    def _known(self) -> list[answers.Given]:
        """Return what was learnt since it was written last; empty if that is nothing, or if
        another process writes the file.
        """
        if not self._unsaved or self._site.boot.rehearsal or self._site.worker:
            return []
        self._unsaved = False
        return self._memory.latest(self._clock.seconds())

    def _save_beside(self) -> None:
        known = self._known()
        if known:
            Thread(target=self._save, args=(known,), name=f"saves {self._file.name}").start()

    def _save(self, known: list[answers.Given]) -> None:
        try:
            if known:
                answers.save(self._file, known)
        except OSError as error:
            self._log.warn("answers are not kept: {error}", error=error)

    def _stale(
        self, key: Hashable, identity: ClientIdentity, error: DirectoryUnavailable
    ) -> Machine:
        """Return the last answer.

        :raises DirectoryUnavailable: if there is none, or it is too old. That a machine was
            unknown is never taken from an old answer.
        """
        now = self._clock.seconds()
        known = self._memory.last(key, identity, now)
        if known is None:
            raise error
        self._counters["stale"] += 1
        age = f"stale, {_spelled(now - known.given)} old: directory away ({error})"
        return _evolved(known.machine, age)

    def _ended(self, question: Question, outcome: Outcome) -> None:
        """Account for what came of a question, and remember an answer."""
        now = self._clock.seconds()
        if isinstance(outcome, AnswerUnusable):  # it is there: others are asked for as before
            self._answered = now
            self._counters["unusable"] += 1
            self._breaker.succeeded(now)
            self._log.warn("directory {name}: {error}", name=self._title, error=outcome)
            return
        if isinstance(outcome, Exception):
            bug = not isinstance(outcome, DirectoryUnavailable)
            if bug and self._breaker.state is HealthState.UP:  # once, however often it happens
                failure = Failure(outcome)
                self._log.failure("asking {name}", failure, name=self._title)
            if not question.slow:
                self._failed(str(outcome) or type(outcome).__name__)
            return
        self._answered = now
        self._counters["answered" if outcome else "unknown"] += 1
        if self._breaker.succeeded(now):
            self._log.info("directory {name} answers again", name=self._title)
        self._unsaved = self._unsaved or outcome is not None
        self._memory.learn(question.key, question.identity, outcome, now)

    def _slow(self, question: Question) -> None:
        """Take the directory for gone, unless it has answered others meanwhile: it is busy."""
        self._counters["late"] += 1
        if question.begun is not None and self._answered < question.begun:
            self._failed(f"no answer within {self._settings.deadline:g} s")

    def _failed(self, error: str) -> None:
        self._counters["failed"] += 1
        if self._breaker.failed(error, self._clock.seconds()):
            self._log.warn(
                "directory {name} is away: {error}; answers from memory, up to {age} old",
                name=self._title,
                error=error,
                age=_spelled(self._settings.stale),
            )


def _evolved(machine: Machine, age: str) -> Machine:
    return attrs.evolve(machine, provenance=", ".join(filter(None, (machine.provenance, age))))


def _spelled(age: float) -> str:
    """Spell a duration for people, in the largest unit that leaves more than one."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if age >= 2 * size:
            return f"{age / size:.0f} {unit}"
    return f"{age:.0f} s"
