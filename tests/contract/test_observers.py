"""The built-in observers keep the contract."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.interfaces import IBootObserver
from pxetwist.observers import log
from pxetwist.testing import make_site
from pxetwist.testing.contracts import BootObserverContract


class LogTests(BootObserverContract, SynchronousTestCase):
    def make_observer(self) -> IBootObserver:
        return log.build(log.Settings(), make_site())


class DebugLogTests(BootObserverContract, SynchronousTestCase):
    def make_observer(self) -> IBootObserver:
        return log.build(log.Settings(debug=True), make_site())
