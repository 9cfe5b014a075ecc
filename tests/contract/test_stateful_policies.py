"""Policies with a database keep the contract of all policies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.interfaces import IBootPolicy, Site
from pxetwist.model.order import Order
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import discover, orders
from pxetwist.policies.order_settings import Settings
from pxetwist.state import orders as states
from pxetwist.testing import make_site
from pxetwist.testing.contracts import BootPolicyContract, ThreadClock

PROFILE = BootProfile("debian12", ProfileKind.LINUX, kernel={"x64": "vmlinuz"})


class StatefulCase(BootPolicyContract):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.clock.advance(1_700_000_000)

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def site(self) -> Site:
        folder = Path(self.mktemp()).absolute()  # type: ignore[attr-defined]  # trial's
        profiles = {"debian12": PROFILE}
        return make_site(reactor=self.clock, state_folder=folder, profiles=profiles)

    def started(self, policy: Any) -> IBootPolicy:
        policy.startService()
        self.addCleanup(self.stop, policy)
        made: IBootPolicy = policy
        return made

    def stop(self, policy: Any) -> None:
        stopped = policy.stopService()
        if stopped is not None:
            self.settle(lambda: stopped.called)


class OrdersTests(StatefulCase, SynchronousTestCase):
    def make_policy(self) -> IBootPolicy:
        policy = orders.build(Settings(), self.site())
        session = policy.store.pool.database.connect(states.SCHEMA, change=True)
        assert session is not None
        for machine in ("ws12", "bare", "52:54:00:00:00:13"):
            order = Order(machine, "debian12")
            session.run(lambda s, order=order: states.add(order, s), change=True)  # type: ignore[misc]  # bound early
        session.close()
        return self.started(policy)


class DiscoverTests(StatefulCase, SynchronousTestCase):
    def make_policy(self) -> IBootPolicy:
        return self.started(discover.build(discover.Settings(), self.site()))
