"""The same profile for everyone."""

from __future__ import annotations

from collections.abc import Collection

import attrs
from zope.interface import implementer

from pxetwist.config.fields import Line, OptionText, option
from pxetwist.errors import ConfigError
from pxetwist.interfaces import IAdvises, IBootPolicy, ISteady, Site
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile
from pxetwist.policies import suggestion
from pxetwist.policies.judgement import lacking
from pxetwist.policies.outcomes import check_profile


def profile_name(value: str) -> Line:
    """Expect the name of a profile section, on one line."""
    lines = OptionText.of(value).lines
    if len(lines) != 1:
        raise ValueError(f"expected the name of one profile, got {str(value)!r}")
    return lines[0]


@attrs.frozen
class Settings:
    """Which profile."""

    profile: Line = option(profile_name, doc="The profile that every machine gets.")


@implementer(IBootPolicy, IAdvises, ISteady)
@attrs.frozen
class FixedPolicy:
    """Gives every machine one profile."""

    name: str
    profile: BootProfile

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the profile's plan for this architecture.

        :raises PolicyError: if it has none.
        """
        architecture = request.identity.architecture
        return self.profile.plan(architecture, f"always {self.profile.name}")

    def edition(self) -> int:
        """It says the same for ever."""
        return 0

    def advice(
        self, machines: Collection[Machine] | None, architectures: Collection[str]
    ) -> list[str]:
        """Say which architectures here get nothing."""
        found = lacking(self.profile, architectures, [()], ())
        return [f"[policy:{self.name}] {sentence}" for sentence in found]

    def profiles_named(self, machines: Collection[Machine] | None) -> Collection[str]:
        """Return the profile."""
        return (self.profile.name,)


def build(settings: Settings, site: Site) -> FixedPolicy:
    """Make the policy.

    :raises ConfigError: if there is no such profile.
    """
    name, location = settings.profile.text, settings.profile.location
    profile = site.profiles.get(name)
    if profile is None:
        raise ConfigError(location, f"unknown profile {name!r}{suggestion(name, site.profiles)}")
    try:
        check_profile(profile)
    except ValueError as error:
        raise ConfigError(location, str(error)) from error
    return FixedPolicy(site.name, profile)
