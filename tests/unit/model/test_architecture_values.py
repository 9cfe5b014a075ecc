"""What a profile says for one architecture."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import PolicyError
from pxetwist.model.architecture_values import ArchitectureValues
from pxetwist.wire.iana import Architecture

VALUES = {"kernel": {"": "linux", "arm64": "image"}, "initrds": {"x64": "a  b"}}


def on(architecture: Architecture | None) -> ArchitectureValues:
    return ArchitectureValues("debian", architecture, VALUES)


class ArchitectureValuesTests(SynchronousTestCase):
    def test_an_architecture_takes_its_own_value_else_the_general_one(self) -> None:
        for architecture, kernel, option in (
            (Architecture.ARM64_UEFI, "image", "kernel.arm64"),
            (Architecture.X64_UEFI, "linux", "kernel"),
            (None, "linux", "kernel"),
        ):
            values = on(architecture)
            self.assertEqual((values["kernel"], values.spelled("kernel")), (kernel, option))

    def test_what_white_space_separates(self) -> None:
        self.assertEqual(on(Architecture.X64_UEFI).words("initrds"), ("a", "b"))
        self.assertEqual(on(None).words("initrds"), ())

    def test_a_value_that_is_missing_is_told_of(self) -> None:
        for architecture, name in ((Architecture.X86_BIOS, "bios"), (None, "an unknown")):
            with self.assertRaisesRegex(PolicyError, f"'debian' has no initrds for {name}"):
                on(architecture).needed("initrds")
        self.assertEqual(on(Architecture.X64_UEFI).needed("initrds"), "a  b")
