"""Which network boot program for which architecture, firmware and loader family.

Architecture says what the machine is, firmware who is speaking. An iPXE that asks is never
given an iPXE: it gets its script. That alone ends chain-load loops.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pxetwist.model.boot import (
    BootFile,
    BootPlan,
    Image,
    Iscsi,
    LocalDisk,
    Nbp,
    RaspberryPi,
    Script,
    native_program,
)
from pxetwist.model.families import LOADER_FAMILIES
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.installers import Windows

#: Loader families, in the order in which one is chosen when a plan names none.
FAMILIES = LOADER_FAMILIES


@attrs.frozen
class Loader:
    """A loader of a family for an architecture (its short name): a content path."""

    architecture: str
    family: str
    file: str


#: What the ROM of the older boards asks for first.
FIRST_OF_RASPBERRY_PI = "bootcode.bin"

#: What `pxetwist loaders` installs. snponly and undionly use the firmware's own driver of the
#: NIC that booted, the safest choice (quirks B13, B14).
BUILT_IN = (
    Loader("bios", "ipxe", "loaders/undionly.kpxe"),
    Loader("x64", "ipxe", "loaders/snponly.efi"),
    Loader("x64", "grub", "loaders/shimx64.efi"),
    Loader("arm64", "grub", "loaders/shimaa64.efi"),
    Loader("bios", "pxelinux", "loaders/pxelinux.0"),
)


@attrs.frozen
class Loaders:
    """The loaders of a site: its own before the built-in ones."""

    own: Sequence[Loader] = ()

    def find(self, architecture: str, family: str) -> str:
        """Return the content path of a loader, or an empty text."""
        for loader in (*self.own, *BUILT_IN):
            if (loader.architecture, loader.family) == (architecture, family):
                return loader.file
        return ""

    def is_ipxe(self, path: str) -> bool:
        """Whether a boot program is an iPXE, by the table and by the names iPXE builds have."""
        if any(path == each.file for each in (*self.own, *BUILT_IN) if each.family == "ipxe"):
            return True
        name = path.rsplit("/", 1)[-1].lower()
        return any(word in name for word in ("ipxe", "snponly", "undionly"))

    def choose(
        self, identity: ClientIdentity, plan: BootPlan, http: str, script: str, tftp_script: str
    ) -> BootFile | None:
        """Choose the first file.

        `http` is our base URL; `script` the URL of this machine's iPXE script, `tftp_script`
        the same for an iPXE that cannot speak HTTP.
        """
        firmware = identity.firmware
        if firmware is Firmware.IPXE:
            return self._for_ipxe(identity, plan, script if identity.speaks_http else tftp_script)
        chosen = self._for_firmware(identity, plan)
        if chosen and firmware is Firmware.UEFI_HTTP and "://" not in chosen.name:
            return attrs.evolve(chosen, name=f"{http}/{chosen.name}")
        return chosen

    def _for_ipxe(self, identity: ClientIdentity, plan: BootPlan, script: str) -> BootFile | None:
        if isinstance(plan.boot, Nbp) and not self.is_ipxe(plan.boot.path):
            return BootFile(plan.boot.path, "nbp", f"the program of profile {plan.profile}")
        if not isinstance(plan.boot, Nbp) and _family(plan) not in ("", "ipxe"):
            file = self.find(_architecture(identity), _family(plan))
            if file:
                return BootFile(file, _family(plan), f"iPXE asks, {_family(plan)} is wanted")
        return BootFile(script, "script", "iPXE asks: its script")

    def _for_firmware(self, identity: ClientIdentity, plan: BootPlan) -> BootFile | None:
        program = native_program(plan.boot)
        if identity.firmware is Firmware.RASPBERRY_PI and not isinstance(plan.boot, LocalDisk):
            # It goes by names of its own (quirk B22), and needs a server to ask for them.
            name = program or FIRST_OF_RASPBERRY_PI
            return BootFile(name, "raspberry-pi", "what a Raspberry Pi asks for by itself")
        if isinstance(plan.boot, RaspberryPi):
            return None
        # Windows' boot managers read by TFTP, whatever they were loaded by.
        by_http = identity.firmware is Firmware.UEFI_HTTP and isinstance(plan.boot, Windows)
        if program and not by_http:
            return BootFile(program, "nbp", f"the program of profile {plan.profile}")
        architecture, wanted = _architecture(identity), _family(plan)
        for family in (wanted,) if wanted else FAMILIES:
            file = self.find(architecture, family)
            if file:
                return BootFile(
                    file, family, f"{family} for {architecture}, {identity.firmware.value} asks"
                )
        return None


def _architecture(identity: ClientIdentity) -> str:
    return identity.architecture.short if identity.architecture is not None else ""


def _family(plan: BootPlan) -> str:
    """Return the family that a plan asks for, that its only script is written for, or that alone
    can do it.
    """
    if isinstance(plan.boot, Image | Iscsi):
        by_memdisk = isinstance(plan.boot, Image) and plan.boot.memdisk
        return (by_memdisk and plan.loader) or "ipxe"
    if plan.loader or not isinstance(plan.boot, Script):
        return plan.loader
    texts = {"ipxe": plan.boot.ipxe, "grub": plan.boot.grub, "pxelinux": plan.boot.pxelinux}
    return next((family for family in FAMILIES if texts[family]), "")
