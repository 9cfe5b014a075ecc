"""One profile for everyone."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.fields import OptionText
from pxetwist.errors import ConfigError
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.boots import LocalDisk
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import fixed
from pxetwist.testing import make_site, result_of


class FixedTests(SynchronousTestCase):
    def policy(self, name: str) -> fixed.FixedPolicy:
        site = make_site(name="default")
        site = attrs.evolve(site, profiles={"local": BootProfile("local", ProfileKind.LOCAL)})
        profile = fixed.profile_name(OptionText.of(name))
        return fixed.build(fixed.Settings(profile=profile), site)

    def test_everyone(self) -> None:
        request = BootRequest(ClientIdentity(), BootStage.FIRMWARE, Protocol.DHCP)
        self.assertEqual(
            result_of(self.policy("local").plan_boot(request)),
            BootPlan(LocalDisk(), "local", "always local"),
        )

    def test_no_such_profile(self) -> None:
        error = self.assertRaises(ConfigError, self.policy, "lokal")
        self.assertIn("unknown profile 'lokal'; did you mean 'local'?", str(error))
        self.assertEqual(error.location.line, 1)

    def test_one_name_only(self) -> None:
        for text in ("", "local\nlocal"):
            self.assertRaises(ValueError, fixed.profile_name, OptionText.of(text))
