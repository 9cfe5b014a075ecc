"""Another system at some hours of the day: a classroom that computes at night."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pxetwist.config.fields import Converter, Line, lines, list_of, option, text
from pxetwist.errors import ConfigError
from pxetwist.interfaces import IBootPolicy, IExplains, Site
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.profile import BootProfile
from pxetwist.plugins import PluginFactory

hours = PluginFactory("policy", "hours", __name__, "One profile at some hours of the day.")


# values
@attrs.frozen
class Hours:
    """A part of the day, in local time; it may go past midnight. The end is not included."""

    begin: time
    end: time

    def __contains__(self, now: time) -> bool:
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end

    def __str__(self) -> str:
        return f"{self.begin:%H:%M} - {self.end:%H:%M}"


def parse_hours(value: str) -> Hours:
    """Read ``20:00 - 06:00``.

    :raises ValueError: if it is anything else.
    """
    begin, end = map(time.fromisoformat, re.split(r"\s*-\s*", value))
    return Hours(begin, end)


def one_line(value: str) -> Line:
    """Take a value of one line together with the place where it stands.

    :raises ValueError: if it has none or several.
    """
    [line] = lines(value)
    return line


# settings
@attrs.frozen
class Settings:
    """When, where and what."""

    between: Hours = option(
        Converter("hours like 20:00 - 06:00", parse_hours), doc="The hours, in local time."
    )
    rooms: tuple[str, ...] = option(list_of(text), doc="The label `room` of the machines.")
    profile: Line = option(
        Converter("the name of a profile", one_line), doc="What they boot at these hours."
    )


# the policy
@implementer(IBootPolicy, IExplains)
@attrs.frozen
class HoursPolicy:
    """Gives the machines of some rooms one profile, at some hours of the day."""

    name: str
    hours: Hours
    rooms: Sequence[str]
    profile: BootProfile
    clock: IReactorTime

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the profile's plan; `None` at other hours and for other machines.

        :raises PolicyError: if the profile has nothing for this architecture.
        """
        if self._obstacle(request):
            return None
        return self.profile.plan(request.identity.architecture, f"it is between {self.hours}")

    def explain(self, request: BootRequest) -> list[str]:
        """Say why it decides or not."""
        obstacle = self._obstacle(request)
        return [f"{self.name}: {f'no, {obstacle}' if obstacle else f'between {self.hours}'}"]

    def _obstacle(self, request: BootRequest) -> str:
        room = request.machine.labels.get("room", "") if request.machine else ""
        if room not in self.rooms:
            return f"room is {room!r}" if room else "room is not set"
        now = datetime.fromtimestamp(self.clock.seconds()).time()
        return "" if now in self.hours else f"{now:%H:%M} is not between {self.hours}"


def build(settings: Settings, site: Site) -> HoursPolicy:
    """Make the policy.

    :raises ConfigError: if there is no such profile.
    """
    name, location = settings.profile.text, settings.profile.location
    if name not in site.profiles:
        raise ConfigError(location, f"profile: there is no [profile:{name}]")
    return HoursPolicy(
        site.name, settings.between, settings.rooms, site.profiles[name], site.reactor
    )
