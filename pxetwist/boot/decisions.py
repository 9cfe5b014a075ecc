"""What machines boot, decided once: within a boot, and while nobody has read anything new."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime

from pxetwist.boot.guard import Bugs
from pxetwist.boot.https import Https
from pxetwist.boot.loader_trials import LoaderTrials
from pxetwist.boot.offered import Offers
from pxetwist.boot.resolver import BootResolver
from pxetwist.boot.sightings import Sightings
from pxetwist.interfaces import ISteady
from pxetwist.model.boot import BootPlan, BootRequest, Edition, Protocol, Resolution, Step, Verdict
from pxetwist.model.boots import Menu
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine

#: What is asked after DHCP has announced a plan.
_LATER = (Protocol.TFTP, Protocol.HTTP, Protocol.FTP, Protocol.NFS)


class Decisions:
    """Asks the resolver, notes in the sightings what it says, and remembers it."""

    def __init__(
        self,
        reactor: IReactorTime,
        sightings: Sightings,
        trials: LoaderTrials,
        https: Https,
        address: IPv4Address | None,
        *,
        bugs: Bugs,
    ) -> None:
        self._bugs = bugs
        self._reactor = reactor
        self._sightings = sightings
        self._trials = trials
        self._https = https
        self._address = str(address) if address else ""  # in the place of those that are asked
        self._offers = Offers()
        self._contents = Offers()  # to who asks for contents, and has no plan from DHCP

    def attach(self, resolver: BootResolver, asked: Collection[Any]) -> None:
        """Know whom to ask: a resolver, and the directories and policies behind it."""
        self._resolver = resolver
        steady = all(map(ISteady.providedBy, asked))
        self._editions = [each.edition for each in asked] if steady else None

    def forget(self) -> None:
        """Decide about every machine anew: directories were read again."""
        self._sightings.forget_plans()
        self._offers.forget()
        self._contents.forget()

    async def resolve(self, request: BootRequest) -> Resolution:
        """Resolve a request, and choose address and scheme of this client's URLs."""
        resolution = await self._resolve(request)
        endpoints = self._https.endpoints(resolution.request)
        if self._address and ":" not in endpoints.address:
            endpoints = attrs.evolve(endpoints, address=self._address)
        before = resolution.request.endpoints
        if endpoints is before or endpoints == before:
            return resolution
        request, found = resolution.request.reaching(endpoints), resolution
        return Resolution(request, found.verdict, found.steps, found.reason, found.lasts)

    async def _resolve(self, request: BootRequest) -> Resolution:
        """Within one boot TFTP, HTTP and NFS keep the plan that DHCP announced, unless it was that
        of a stranger, who tells now by what directories may know it, or of somebody without the
        certificate that is shown now. Who takes up an offer gets what was offered.
        """
        now = self._reactor.seconds()
        sighting = self._sightings.get(request.identity.key, now)
        dhcp = sighting is not None and request.protocol is Protocol.DHCP
        if sighting is not None:
            learned = sighting.learned(request.identity)
            news = learned is not sighting.identity and sighting.machine is None
            if learned is not sighting.identity:
                self._sightings.amend(sighting, identity=learned)
            recalled = sighting.recall(request.identity)
            if recalled is not request.identity:
                request = attrs.evolve(request, identity=recalled)
            same = sighting.decided_for(request.identity)
            if sighting.plan and request.protocol in _LATER and not news and same:
                return _as_announced(request, sighting.machine, sighting.plan)
        resolution, edition = None, self.edition()
        memory = self._memory(request, edition, dhcp=dhcp)
        if memory is not None:
            resolution = memory.recall(request, now, edition)
        if resolution is None:
            resolution = await self._resolver.resolve(request)
            if edition != self.edition():
                edition = None
            memory = self._memory(request, edition, dhcp=dhcp)
            if (
                memory is not None
                and resolution.verdict is not Verdict.BROKEN
                and (edition is not None or not request.accepts)
            ):
                memory.note(resolution, now, edition)
        certificate = request.identity.certificate
        if sighting is not None and (certificate or not sighting.certificate):
            if sighting.choice:
                resolution = _as_chosen(resolution, sighting.choice)
            self._sightings.amend(
                sighting,
                machine=resolution.machine,
                plan=resolution.plan,
                certificate=certificate,
            )
        return resolution

    def _memory(self, request: BootRequest, edition: Edition, *, dhcp: bool) -> Offers | None:
        """Return what remembers decisions like that about a request, if anything may."""
        if dhcp:
            return self._offers
        if edition is None or request.protocol not in _LATER or not request.identity.key:
            return None
        return self._contents if request.machine is None else None

    def confirm(
        self, identity: ClientIdentity, resolution: Resolution, edition: Edition, now: float
    ) -> str:
        """Give the same decision once more, in the present boot."""
        if edition is None or edition != self.edition():
            return ""
        if self._trials.undecided(identity.key):
            return ""
        request = resolution.request
        sighting = self._sightings.see(identity, request.stage, now)
        seen = sighting.identity
        if sighting.choice or sighting.certificate:
            return ""
        if seen is not request.identity and seen != request.identity:
            return ""
        if identity.address:
            self._sightings.locate(identity.address, identity.key)
        if sighting.machine is not request.machine or sighting.plan is not request.plan:
            self._sightings.amend(sighting, machine=request.machine, plan=request.plan)
        self._offers.again(request, sighting.boot_id, now)
        return sighting.boot_id

    def stands(self, request: BootRequest, edition: Edition, now: float) -> bool:
        """Whether a request for content would be resolved in the same way now."""
        sighting = self._sightings.get(request.identity.key, now)
        if sighting is None:
            return edition is not None and edition == self.edition()
        return (
            sighting.plan is request.plan
            and sighting.machine is request.machine
            and sighting.decided_for(request.identity)
        )

    def edition(self) -> Edition:
        """Return what all that is asked answers from; `None`: not everything can tell."""
        if self._editions is None:
            return None
        try:
            editions = [edition() for edition in self._editions]
        except Exception as error:
            self._bugs.note("an edition()", error)
            return None
        return None if None in editions else (self._trials.edition, *editions)

    def choose(self, identity: ClientIdentity, entry: str, now: float) -> None:
        """Let an entry of a machine's menu be its plan for this boot."""
        sighting = self._sightings.get(identity.key, now)
        if sighting is not None and sighting.choice != entry:
            self._sightings.amend(sighting, choice=entry)


def _as_chosen(resolution: Resolution, choice: str) -> Resolution:
    """Replace a menu by the entry that was chosen from it."""
    plan = resolution.plan
    entries = plan.boot.entries if plan and isinstance(plan.boot, Menu) else ()
    for entry in entries:
        if plan and entry.name == choice and not entry.locked:
            reason = f"chosen from menu {plan.profile}"
            plan = attrs.evolve(plan, boot=entry.boot, profile=entry.name, reason=reason)
            request = attrs.evolve(resolution.request, plan=plan)
            step = Step("this boot", f"profile {entry.name} ({reason})")
            return attrs.evolve(resolution, request=request, steps=(*resolution.steps, step))
    return resolution


def _as_announced(request: BootRequest, machine: Machine | None, plan: BootPlan) -> Resolution:
    steps = _announced(plan.profile)
    return Resolution(request.answered(machine, plan), Verdict.PLANNED, steps)


@lru_cache
def _announced(profile: str) -> tuple[Step, ...]:
    return (Step("this boot", f"profile {profile}, as announced by DHCP"),)
