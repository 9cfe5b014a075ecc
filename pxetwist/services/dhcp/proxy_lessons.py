"""What a ProxyDHCP service has learned of offers survives a restart: the state keeps it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from pxetwist.errors import StateUnavailable
from pxetwist.exchange.proxy_trials import LESSONS, Trials
from pxetwist.interfaces import INotes, Site

TOPIC = "proxydhcp"
#: So often (seconds) it is looked whether something was learned.
INTERVAL = 10.0


class LessonKeeper:
    """Reads lessons at the start, and stores new ones soon and at the stop."""

    def __init__(self, trials: Trials, site: Site) -> None:
        self._trials = trials
        self._site = site
        self._recalled = self._away = False
        self._keeping = LoopingCall(lambda: Deferred.fromCoroutine(self._keep()))
        self._keeping.clock = site.reactor

    def start(self) -> None:
        """Begin."""
        self._keeping.start(INTERVAL).addErrback(self._failed)

    def stop(self) -> None:
        """End. What is new is on its way to the state then, which stops later and stores it."""
        if self._keeping.running:
            self._keeping.stop()
            Deferred.fromCoroutine(self._keep()).addErrback(self._failed)

    def _failed(self, bug: Failure) -> None:
        self._site.log.failure("keeping lessons", bug)

    async def _keep(self) -> None:
        notes = self._site.boot.leases
        if not INotes.providedBy(notes):
            return
        try:
            if not self._recalled:
                self._trials.recall(await notes.recall(TOPIC))
                self._recalled = True
            lessons = self._trials.unsaved()
            if lessons:
                now = self._site.reactor.seconds()
                await notes.remember(TOPIC, lessons, LESSONS, now)
                self._trials.saved(lessons)
        except StateUnavailable as error:
            if not self._away:
                self._site.log.warn("what machines taught is not stored: {error}", error=error)
            self._away = True
        else:
            self._away = False
