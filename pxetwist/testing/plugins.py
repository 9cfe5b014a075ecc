"""Plugins that say what they are told to, part of the public test kit :mod:`pxetwist.testing`."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from zope.interface import implementer

from pxetwist.interfaces import IBootObserver, IBootPolicy, IHostDirectory
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.event import BootEvent
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine


@implementer(IHostDirectory)
@attrs.define(eq=False)
class FakeHosts:
    """Machines by MAC; `failure` is raised instead, if given."""

    machines: Mapping[str, Machine] = attrs.field(factory=dict)
    failure: Exception | None = None
    asked: list[ClientIdentity] = attrs.field(factory=list)

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Look the MAC up."""
        self.asked.append(identity)
        if self.failure is not None:
            raise self.failure
        return self.machines.get(identity.mac)


@implementer(IBootPolicy)
@attrs.define(eq=False)
class FakePolicy:
    """The same plan for all; `failure` is raised instead, if given."""

    plan: BootPlan | None = None
    failure: Exception | None = None
    asked: list[BootRequest] = attrs.field(factory=list)

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the plan."""
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        return self.plan


@implementer(IBootObserver)
@attrs.define(eq=False)
class FakeObserver:
    """Keeps what it is told."""

    events: list[BootEvent] = attrs.field(factory=list)

    def notice(self, event: BootEvent) -> None:
        """Keep the event."""
        self.events.append(event)
