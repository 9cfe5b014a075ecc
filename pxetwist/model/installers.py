"""Systems that iPXE does not start as a kernel with initrds: Windows PE, and VMware ESXi."""

from __future__ import annotations

import attrs

from pxetwist.model.answer import Answer

#: The boot manager of a medium by architecture: the name that wimboot knows it by, and where
#: media have it. With another architecture wimboot takes one out of the WIM.
BOOT_MANAGERS = {
    "bios": ("bootmgr", "bootmgr"),
    "ia32": ("bootia32.efi", "efi/boot/bootia32.efi"),
    "x64": ("bootx64.efi", "efi/boot/bootx64.efi"),
    "arm64": ("bootaa64.efi", "efi/boot/bootaa64.efi"),
}
#: Where media have the rest.
BCD, SDI, WIM = "boot/bcd", "boot/boot.sdi", "sources/boot.wim"
#: wimboot itself, by architecture; one file is for BIOS and x64.
WIMBOOTS = {"ia32": "loaders/wimboot.i386", "arm64": "loaders/wimboot.arm64"}
WIMBOOT = "loaders/wimboot"
#: ESXi's own loader, by architecture, below its medium.
MBOOTS = {"x64": "efi/boot/bootx64.efi", "arm64": "efi/boot/bootaa64.efi"}
MBOOT = "mboot.c32"
#: What a machine gets of its own, if the profile has nothing else under these names.
WINDOWS_TEXTS = ("unattend.xml", "winpeshl.ini", "startnet.cmd")
ESXI_TEXTS = ("ks.cfg",)

#: Names of generated files with the site's own template; an empty one means: the built-in one.
Texts = tuple[tuple[str, str], ...]


@attrs.frozen
class Windows:
    """Windows PE: iPXE starts `wimboot`, or firmware the native boot `program`.

    `media` is the content folder with the medium; `files` are the names that wimboot knows and
    their content paths; `texts` are made for the machine with the values of `answer`, under names
    that are unknown to wimboot and end in ``Windows\\System32``. `share` is where Setup finds the
    medium, in Windows' own spelling.
    """

    media: str
    wimboot: str
    files: tuple[tuple[str, str], ...]
    arguments: str = ""
    texts: Texts = ()
    share: str = ""
    program: str = ""
    answer: Answer | None = None

    @property
    def wim(self) -> str:
        """The one file of the medium that nothing can take the place of."""
        return dict(self.files)["boot.wim"]


@attrs.frozen
class Esxi:
    """The installer of ESXi: `mboot` is started by iPXE, the `program` (one like it) by firmware.

    `media` is the content folder with the medium, `arguments` are added to its kernel's. `texts`
    are made for the machine, with the values of `answer`.
    """

    media: str
    mboot: str
    arguments: str = ""
    texts: Texts = ()
    program: str = ""
    architecture: str = "bios"
    answer: Answer | None = None

    @property
    def configurations(self) -> tuple[str, ...]:
        """The content paths of its boot.cfg, the better one first."""
        below = [] if self.architecture == "bios" else [f"{self.media}/efi/boot/boot.cfg"]
        return (*below, f"{self.media}/boot.cfg")
