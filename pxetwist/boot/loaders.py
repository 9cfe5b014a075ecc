"""Which network boot program for which architecture, firmware and loader family.

Architecture says what the machine is, firmware who is speaking. An iPXE that asks is never
given an iPXE: it gets its script. That alone ends chain-load loops.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import attrs

from pxetwist.model.boot import BootFile, BootPlan
from pxetwist.model.boots import Image, Iscsi, LocalDisk, Nbp, RaspberryPi, Script, native_program
from pxetwist.model.families import LOADER_FAMILIES
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.installers import Windows

#: Loader families, in the order in which one is chosen when a plan names none.
FAMILIES = LOADER_FAMILIES


@attrs.frozen
class Loader:
    """A loader of a family for an architecture (its short name): a content path. `name` is that
    of its section.
    """

    architecture: str
    family: str
    file: str
    name: str = ""


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

    def candidates(self, architecture: str, family: str, name: str = "") -> list[str]:
        """Return the content paths of what may be tried, in order: the one of that name, else all
        that the site has, else the built-in one.
        """
        fitting = [
            loader
            for loader in (*self.own, *BUILT_IN)
            if (loader.architecture, loader.family) == (architecture, family)
        ]
        named = [loader.file for loader in fitting if name and loader.name == name]
        own = [loader.file for loader in fitting if loader in self.own]
        return named or own or [loader.file for loader in fitting]

    def family_of(self, name: str) -> str:
        """Return the family of the loaders of a name; empty if there are none."""
        return next((loader.family for loader in self.own if loader.name == name), "")

    def is_ipxe(self, path: str) -> bool:
        """Whether a boot program is an iPXE, by the table and by the names iPXE builds have."""
        if any(path == each.file for each in (*self.own, *BUILT_IN) if each.family == "ipxe"):
            return True
        name = path.rsplit("/", 1)[-1].lower()
        return any(word in name for word in ("ipxe", "snponly", "undionly"))

    def choose(
        self,
        identity: ClientIdentity,
        plan: BootPlan,
        http: str,
        script: str,
        tftp_script: str,
        *,
        name: str = "",
        pick: Callable[[Sequence[str]], str] = operator.itemgetter(0),
    ) -> BootFile | None:
        """Choose the first file.

        `http` is our base URL; `script` the URL of this machine's iPXE script, `tftp_script`
        the same for an iPXE that cannot speak HTTP. `name` is the loader that the machine is said
        to need; of several `pick` takes one.
        """
        firmware = identity.firmware
        if firmware is Firmware.IPXE:
            return self._for_ipxe(identity, plan, script if identity.speaks_http else tftp_script)
        chosen = self._for_firmware(identity, plan, name, pick)
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

    def _for_firmware(
        self,
        identity: ClientIdentity,
        plan: BootPlan,
        name: str,
        pick: Callable[[Sequence[str]], str],
    ) -> BootFile | None:
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
            files = self.candidates(architecture, family, name)
            if files:
                file = pick(files)
                reason = f"{family} for {architecture}, {identity.firmware.value} asks"
                if file != files[0]:
                    reason += f", and did not start with {files[0]}"
                return BootFile(file, family, reason)
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
