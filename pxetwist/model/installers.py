"""Systems that iPXE does not start as a kernel with initrds: Windows PE, and VMware ESXi."""

from __future__ import annotations

import attrs

from pxetwist.model.answer import Answer
from pxetwist.model.architecture_values import ArchitectureValues

#: The boot manager of a medium by architecture: the name that wimboot knows it by, and where
#: media have it. With another architecture wimboot takes one out of the WIM.
_BOOT_MANAGERS = {
    "bios": ("bootmgr", "bootmgr"),
    "ia32": ("bootia32.efi", "efi/boot/bootia32.efi"),
    "x64": ("bootx64.efi", "efi/boot/bootx64.efi"),
    "arm64": ("bootaa64.efi", "efi/boot/bootaa64.efi"),
}
#: Where media have the rest.
BCD, SDI, _WIM = "boot/bcd", "boot/boot.sdi", "sources/boot.wim"
#: wimboot itself, by architecture; one file is for BIOS and x64.
_WIMBOOTS = {"ia32": "loaders/wimboot.i386", "arm64": "loaders/wimboot.arm64"}
_WIMBOOT = "loaders/wimboot"
#: ESXi's own loader, by architecture, below its medium.
_MBOOTS = {"x64": "efi/boot/bootx64.efi", "arm64": "efi/boot/bootaa64.efi"}
_MBOOT = "mboot.c32"
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


def windows(on: ArchitectureValues, texts: Texts, answer: Answer | None, share: str) -> Windows:
    """Find what an architecture starts on a medium of Windows.

    :raises PolicyError: if there is no medium for it.
    """
    media, short = on.needed("media").rstrip("/"), on.short or "bios"
    files = {"BCD": f"{media}/{BCD}", "boot.sdi": f"{media}/{SDI}"}
    if short in _BOOT_MANAGERS:
        name, path = _BOOT_MANAGERS[short]
        files = {name: f"{media}/{path}"} | files
    files |= {path.rsplit("/", 1)[-1]: path for path in on.words("initrds")}
    files["boot.wim"] = on["wim"] or f"{media}/{_WIM}"
    return Windows(
        media,
        on["kernel"] or _WIMBOOTS.get(short, _WIMBOOT),
        tuple(files.items()),
        on["arguments"],
        texts,
        share,
        on["nbp"],
        answer,
    )


def esxi(on: ArchitectureValues, texts: Texts, answer: Answer | None) -> Esxi:
    """Find what an architecture starts on a medium of ESXi.

    :raises PolicyError: if there is no medium for it.
    """
    media, short = on.needed("media").rstrip("/"), on.short or "bios"
    mboot = on["kernel"] or f"{media}/{_MBOOTS.get(short, _MBOOT)}"
    return Esxi(media, mboot, on["arguments"], texts, on["nbp"], short, answer)
