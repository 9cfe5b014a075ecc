"""Machines that no directory knows report themselves, and wait for somebody to approve them.

They boot a script (``discover.ipxe.j2``) that tells who they are, at a URL that was made for them,
and then ask again every few seconds. ``pxetwist pending`` lists them, ``pxetwist approve`` names
one: it is then in the directory ``approved``, and boots what the policies say, without a reset.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pxetwist.config.fields import Line, integer, option, seconds
from pxetwist.errors import ConfigError
from pxetwist.interfaces import IBegins, IBootPolicy, IHears, ISteady, Site
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.boots import Script
from pxetwist.model.discovery import Discovery, DiscoveryState
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.profile import BootProfile
from pxetwist.model.report import MachineReport
from pxetwist.policies import suggestion
from pxetwist.policies.fixed import profile_name
from pxetwist.state import discovered
from pxetwist.state.database import SqliteDatabase
from pxetwist.state.pooled import Pool

#: How often a machine asks, in seconds.
POLL = 5
#: How many boots that need not wait any more are remembered.
_REMEMBERED = 10_000
#: A machine that cannot reach us gives up after so many polls.
_POLLS = 120

_WAIT = """#!ipxe
set polls:int32 0
echo
echo This machine is not known here. Waiting for approval: code {code}
:wait
sleep {poll}
chain --replace --autofree {url} ||
inc polls
iseq ${{polls}} {polls} || goto wait
exit 1
"""
#: Directories look at their database once a second.
_GO_ON = """#!ipxe
echo {word}
sleep 1
chain --replace --autofree {url} || exit 1
"""


@attrs.frozen
class Settings:
    """How long machines wait, and what comes after that."""

    wait: float = option(
        seconds, default=600.0, doc="How long a machine waits; 0: until somebody decides."
    )
    fallback: Line | None = option(
        profile_name,
        default=None,
        doc="The profile of machines that waited in vain or were rejected; without it the next"
        " policy decides.",
    )
    limit: int = option(
        integer(10, 1_000_000),
        default=10_000,
        doc="So many reports are kept; beyond that the oldest that are not approved are dropped.",
    )


@implementer(IBootPolicy, IBegins, IHears, ISteady)
class DiscoverPolicy(Service):
    """Decides for machines that no directory knows."""

    def __init__(self, settings: Settings, database: SqliteDatabase, site: Site) -> None:
        self.database = database
        self._settings = settings
        self._site = site
        self._pool = Pool(database, discovered.SCHEMA, site.reactor, f"policy {site.name}")
        self._edition = 0
        self._released: OrderedDict[tuple[str, str], DiscoveryState] = OrderedDict()

    def stopService(self) -> Deferred[None] | None:
        """Fire when nothing is stored any more."""
        super().stopService()
        return self._pool.stop()

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the script that reports; `None` for machines that are known."""
        identity = request.identity
        if request.machine or not identity.mac or request.stage is BootStage.KERNEL:
            return None
        key = (identity.mac, request.boot_id)
        decided = self._released.get(key)
        self._edition += decided is not None
        if decided is DiscoveryState.APPROVED:
            del self._released[key]  # no directory knows it yet: it goes on waiting
        elif decided is not None:
            return self._fallback(request)
        return BootPlan(
            Script(ipxe='{% include "discover.ipxe.j2" %}'),
            profile="discovery",
            reason="no directory knows it: it reports itself",
            loader="ipxe",
        )

    def edition(self) -> int:
        """Count what was decided for one boot alone: nothing that was decided then lasts."""
        return self._edition

    def _fallback(self, request: BootRequest) -> BootPlan | None:
        if self._settings.fallback is None:
            return None
        profile: BootProfile = self._site.profiles[self._settings.fallback.text]
        return profile.plan(request.identity.architecture, "unknown, and not approved")

    async def begin(self, request: BootRequest) -> bool:
        """Whether the machine has still to report; what comes after that is not asked here."""
        if request.plan is None or request.plan.profile != "discovery":
            return True
        return (request.identity.mac, request.boot_id) not in self._released

    async def hear(self, report: MachineReport) -> str | None:
        """Note what an unknown machine says, and let it wait or go on."""
        if report.topic != "discover":
            return None
        work = partial(discovered.note, report, self._settings.limit)
        found, news = await self._pool.change(work)
        if news:
            self._tell(found, report.time)
        wait = self._settings.wait
        if found.state is not DiscoveryState.WAITING:
            return self._go_on(report, found.state, f"This machine is {found.state.value}.")
        if wait and report.time - found.since >= wait:
            return self._go_on(report, DiscoveryState.WAITING, "Nobody has approved this machine.")
        request = _request(report)
        url = self._site.boot.report_url(request, "discover", report.time)
        return _WAIT.format(code=found.code, poll=POLL, url=url, polls=_POLLS)

    def _go_on(self, report: MachineReport, state: DiscoveryState, word: str) -> str:
        self._released[report.identity.mac, report.boot_id] = state
        self._edition += 1
        if len(self._released) > _REMEMBERED:
            self._released.popitem(last=False)
        base = self._site.boot.script_base(_request(report), report.time)
        return _GO_ON.format(word=word, url=f"{base}/boot.ipxe")

    def _tell(self, found: Discovery, now: float) -> None:
        facts = found.facts
        hardware = " ".join(facts.get(name, "") for name in ("manufacturer", "product", "serial"))
        state = (
            "waits for approval" if found.state is DiscoveryState.WAITING else found.state.value
        )
        self._site.boot.tell(
            BootEvent(
                now,
                EventKind.DISCOVERED,
                self._site.name,
                found.mac,
                found.boot_id,
                BootStage.LOADER.value,
                f"unknown machine, code {found.code}, {state}: {hardware.strip() or 'no facts'}",
                {"code": found.code, **facts},
            )
        )


def _request(report: MachineReport) -> BootRequest:
    return BootRequest(
        report.identity,
        BootStage.LOADER,
        Protocol.HTTP,
        endpoints=report.endpoints,
        boot_id=report.boot_id,
    )


def build(settings: Settings, site: Site) -> DiscoverPolicy:
    """Make the policy; the database is opened when it is first needed.

    :raises ConfigError: if there is no profile of the name given by `fallback`.
    """
    named = settings.fallback
    if named and named.text not in site.profiles:
        hint = suggestion(named.text, site.profiles)
        raise ConfigError(named.location, f"fallback: unknown profile {named.text!r}{hint}")
    return DiscoverPolicy(settings, discovered.database_in(site.state_folder), site)
