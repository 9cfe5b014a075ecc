"""Tokens for reports, and where one boot ends once its plan took effect."""

from __future__ import annotations

from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.sightings import Sightings
from pxetwist.boot.tokens import REPORT_LIFE, TOKEN_LIFE, Tokens
from pxetwist.model.boot import BootStage
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.wire.iana import Architecture

NOW = 1_700_000_000.0
IPXE = ClientIdentity(
    mac="52:54:00:12:34:56", architecture=Architecture.X64_UEFI, firmware=Firmware.IPXE
)


class TokenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tokens = Tokens(Path(self.mktemp()))

    def test_each_for_its_purpose(self) -> None:
        purposes = ("", "callback", "discover")
        for purpose in purposes:
            token = self.tokens.issue(IPXE, "1a2b", NOW, purpose)
            for other in purposes:
                found = self.tokens.redeem(token, NOW, other)
                self.assertEqual(found, (IPXE, "1a2b") if other == purpose else None)

    def test_life(self) -> None:
        for purpose, life in (("", TOKEN_LIFE), ("callback", REPORT_LIFE)):
            token = self.tokens.issue(IPXE, "1a2b", NOW, purpose)
            self.assertIsNotNone(self.tokens.redeem(token, NOW + life, purpose))
            self.assertIsNone(self.tokens.redeem(token, NOW + life + 1, purpose))

    def test_no_boot_id(self) -> None:
        token = self.tokens.issue(IPXE, "", NOW, "callback")
        self.assertEqual(self.tokens.redeem(token, NOW, "callback"), (IPXE, ""))


class BegunTests(SynchronousTestCase):
    def test_a_loader_that_asks_again_was_restarted(self) -> None:
        sightings = Sightings()
        first = sightings.see(IPXE, BootStage.LOADER, NOW)
        self.assertIs(sightings.see(IPXE, BootStage.LOADER, NOW + 1), first)
        first.begun = True
        kernel = attrs.evolve(IPXE, firmware=Firmware.SYSTEM)
        self.assertIs(sightings.see(kernel, BootStage.KERNEL, NOW + 2), first)
        second = sightings.see(IPXE, BootStage.LOADER, NOW + 3)
        self.assertIsNot(second, first)
        self.assertFalse(second.begun)
        self.assertIs(sightings.see(IPXE, BootStage.LOADER, NOW + 4), second)
