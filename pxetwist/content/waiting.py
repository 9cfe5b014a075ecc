"""Waiting for what others do: threads of a store's own, and what happens for many askers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")


class Signal:
    """Wakes all that wait for it; each of them may give up by itself."""

    def __init__(self) -> None:
        self._waiting: dict[Deferred[None], None] = {}

    def wait(self) -> Deferred[None]:
        """Fire at the next :meth:`wake`."""
        waiting: Deferred[None] = Deferred(lambda given_up: self._waiting.pop(given_up, None))
        self._waiting[waiting] = None
        return waiting

    def wake(self) -> None:
        """Let all of them go on."""
        waiting, self._waiting = self._waiting, {}
        for each in waiting:
            if not each.called:  # given up in the meantime
                each.callback(None)


class Threads:
    """At most `most` threads for work that takes long; they start when there is some."""

    def __init__(self, reactor: Any, name: str, most: int = 1) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, most, name)
        # They must not keep a process alive which never stops its services.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]  # declared as a class

    def run(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Deferred[T]:
        """Do it in a thread, after what was given before."""
        if not self._pool.started:
            self._pool.start()
        doing: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work, *args, **named)
        return doing

    def stop(self) -> Deferred[None] | None:
        """Fire when all work is done."""
        if not self._pool.started:
            return None
        stopped: Deferred[None] = Deferred()

        def stop() -> None:
            self._pool.stop()
            self._reactor.callFromThread(stopped.callback, None)

        Thread(target=stop, daemon=True).start()  # to wait is not the reactor's business
        return stopped
