"""Boots what a back end of pixiecore's said, which the directory ``http`` has asked for.

With ``api = pixiecore`` that directory notes the answer in labels that begin with ``pixiecore.``;
machines without them are no concern of this policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs
from zope.interface import implementer

from pxetwist.errors import PolicyError
from pxetwist.interfaces import IBootPolicy, ISteady, Site
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.boots import Files, Script

#: Scripts and arguments of plans are templates (of Jinja): these begin an expression there.
_OPENING = re.compile(r"\{(?=[{%#])")


@attrs.frozen
class Settings:
    """There is nothing to set."""


@implementer(IBootPolicy, ISteady)
@attrs.frozen
class PixiecorePolicy:
    """Turns the labels into a plan."""

    name: str

    def edition(self) -> int:
        """It says the same for ever."""
        return 0

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the plan; `None` for a machine that no back end of pixiecore's knows.

        :raises PolicyError: if the answer names a file of the server by ``file:``.
        """
        machine = request.machine
        labels: Mapping[str, str] = machine.labels if machine else {}
        script, kernel = labels.get("pixiecore.script"), labels.get("pixiecore.kernel")
        if machine is None or not (script or kernel):
            return None
        said = " ".join(labels.get("pixiecore.message", "").split())
        reason = f"{machine.directory}: {said or 'as it answered'}"
        if script:
            return BootPlan(Script(ipxe=_plain(script)), "pixiecore", reason, loader="ipxe")
        files = (str(kernel), *labels.get("pixiecore.initrd", "").split())
        for file in files:
            if file.startswith("file:"):
                raise PolicyError(
                    f"machine {machine.name}: {file} is a file of pixiecore's; put it below a"
                    " content folder, and let the back end name its http URL"
                )
        boot = Files(files[0], files[1:], _plain(labels.get("pixiecore.cmdline", "")))
        return BootPlan(boot, "pixiecore", reason)


def _plain(text: str) -> str:
    """Quote what would be an expression of a template: a foreign answer runs nothing here."""
    return _OPENING.sub("{{ '{' }}", text)


def build(settings: Settings, site: Site) -> PixiecorePolicy:
    """Make the policy."""
    return PixiecorePolicy(site.name)
