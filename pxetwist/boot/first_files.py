"""The first file of a machine: the loader for its firmware, or the script for its loader."""

from __future__ import annotations

from functools import partial

import attrs

from pxetwist.boot.https import Https
from pxetwist.boot.loader_trials import LoaderTrials
from pxetwist.boot.loaders import Loaders
from pxetwist.boot.sightings import LOOP_LIMIT, Sightings
from pxetwist.boot.urls import Urls
from pxetwist.model.boot import BootFile, BootPlan, BootRequest
from pxetwist.model.boots import Nbp, Script
from pxetwist.model.identity import ClientIdentity, Firmware

#: The name under which a loader finds its script; iPXE itself asks for autoexec.ipxe.
SCRIPT_NAME = "boot.ipxe"
#: iPXE puts its settings into the names that it is given; these two no DHCP message has.
_MARKS = "?serial.hex=${serial:hexraw}&asset.hex=${asset:hexraw}"


@attrs.frozen
class FirstFiles:
    """Chooses it among the site's loaders, and stops an iPXE that loads itself."""

    _loaders: Loaders
    _trials: LoaderTrials
    _sightings: Sightings
    _https: Https
    _urls: Urls

    def choose(self, request: BootRequest, now: float) -> BootFile | None:
        """Choose the first file of a resolved request."""
        plan, identity, base = request.plan, request.identity, request.endpoints
        if plan is None or not identity.firmware.boots:
            return None
        script = f"{base.web}/{SCRIPT_NAME}"
        if identity.firmware is Firmware.IPXE:  # nobody else is given a script
            script = f"{self._urls.script_base(request, now)}/{SCRIPT_NAME}{_MARKS}"
            self._trials.spoke(identity.key)
            if self._loops(identity, plan, now):
                return BootFile(script, "script", "iPXE loads iPXE over and over: stopped")
        by_tftp = script if base.secure else f"{base.tftp}/{SCRIPT_NAME}"
        chosen = self._loaders.choose(
            *(identity, plan, base.web, script, by_tftp),
            name=request.machine.labels.get("loader", "") if request.machine else "",
            pick=partial(self._trials.pick, identity.key),
        )
        scheme = self._https.reason(request)
        if chosen is None or not scheme or not chosen.name.startswith("http"):
            return chosen
        return attrs.evolve(chosen, reason=f"{chosen.reason}, {scheme}")

    def _loops(self, identity: ClientIdentity, plan: BootPlan, now: float) -> bool:
        """Count the programs given to an iPXE: one may be iPXE under another name."""
        sighting = self._sightings.get(identity.key, now)
        if sighting is None or not isinstance(plan.boot, Nbp | Script):
            return False
        self._sightings.amend(sighting, handed=sighting.handed + 1)
        return sighting.handed > LOOP_LIMIT

    def looping(self, identity: ClientIdentity, now: float) -> bool:
        """Whether this machine's iPXE was stopped for loading itself."""
        sighting = self._sightings.get(identity.key, now)
        return sighting is not None and sighting.handed > LOOP_LIMIT
