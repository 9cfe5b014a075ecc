"""The built-in policies keep the contract."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.fields import Line
from pxetwist.errors import Location
from pxetwist.interfaces import IBootPolicy, Site
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import fixed, rules
from pxetwist.testing import make_site
from pxetwist.testing.contracts import BootPolicyContract

DEBIAN = BootProfile("debian12", ProfileKind.LINUX, kernel={"x64": "vmlinuz"})
LOCAL = BootProfile("local", ProfileKind.LOCAL)


def site() -> Site:
    return attrs.evolve(make_site(), profiles={"debian12": DEBIAN, "local": LOCAL})


def lines(*texts: str) -> tuple[Line, ...]:
    return tuple(Line(text, Location("pxe.ini", n)) for n, text in enumerate(texts, 1))


class FixedTests(BootPolicyContract, SynchronousTestCase):
    def make_policy(self) -> IBootPolicy:
        return fixed.build(fixed.Settings(profile=lines("debian12")[0]), site())


class RulesTests(BootPolicyContract, SynchronousTestCase):
    def make_policy(self) -> IBootPolicy:
        settings = rules.Settings(
            rules=lines(
                "profile=* -> @profile",
                "firmware=ipxe -> next",
                "arch=x64 -> debian12",
                "known -> local",
                "any -> silence",
            )
        )
        return rules.build(settings, site())
