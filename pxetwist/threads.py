"""Threads of a plugin's own, for work that takes long, and how such work is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock, Thread
from typing import Any, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most `most` threads; they start when there is work."""

    def __init__(self, reactor: Any, name: str, most: int = 1) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, most, name)
        # They must not keep a process alive which never stops its services.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]  # declared as a class

    def run(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Deferred[T]:
        """Do it in a thread, after what was given before; fire with what it returned."""
        self._start()
        doing: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work, *args, **named)
        return doing

    def set_off(self, work: Callable[[], object]) -> None:
        """Do it in a thread; the reactor is not told of the end, errors are logged."""
        self._start()
        self._pool.callInThread(work)

    def stop(self, last: Callable[[], object] = lambda: None) -> Deferred[None] | None:
        """Fire when all work is done, and `last` after it, which may take long as well.

        If there was no work at all, `last` is done at once and nothing is to be waited for.
        """
        if not self._pool.started:
            last()
            return None
        stopped: Deferred[None] = Deferred()

        def stop() -> None:
            self._pool.stop()
            last()
            self._reactor.callFromThread(stopped.callback, None)

        Thread(target=stop, daemon=True).start()  # to wait is not the reactor's business
        return stopped

    def _start(self) -> None:
        if not self._pool.started:
            self._pool.start()


class Interruptible(Protocol):
    """What a thread waits for."""

    def interrupt(self) -> None:
        """Let it end soon, with an error; called from another thread."""


class GivenUp(Exception):
    """Nobody waits for this work any more."""


class Errand:
    """One piece of work on its way through a thread, which is freed when nobody waits any more."""

    def __init__(self) -> None:
        self.given_up = False
        self._lock = Lock()
        self._waits_for: Interruptible | None = None

    def give_up(self) -> None:
        """Free the thread: nobody waits any more."""
        with self._lock:
            self.given_up = True
            if self._waits_for is not None:
                self._waits_for.interrupt()

    @contextmanager
    def waiting_for(self, other: Interruptible) -> Iterator[None]:
        """Let the other be interrupted meanwhile; in the thread.

        :raises GivenUp: if it is too late to begin.
        """
        with self._lock:
            if self.given_up:
                raise GivenUp
            self._waits_for = other
        try:
            yield
        finally:
            with self._lock:
                self._waits_for = None
