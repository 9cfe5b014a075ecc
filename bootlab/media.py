"""Installation media that nobody can buy: of the shape of Windows' and ESXi's, without their code.

The WIM is a valid one; all programs are random bytes.
"""

from __future__ import annotations

import os
from pathlib import Path

from bootlab.processes import run

#: The files of a Windows medium, as copype of the Windows ADK spells them, and native programs.
WINDOWS = (
    *("bootmgr", "bootmgr.efi", "Boot/BCD", "Boot/boot.sdi", "EFI/Boot/bootx64.efi"),
    *("Boot/pxeboot.n12", "Boot/bootmgr.exe", "Boot/Fonts/wgl4_boot.ttf"),
)
#: The modules of an ESXi medium; the kernel is the first.
ESXI = ("B.B00", "JUMPSTRT.GZ", "USEROPTS.GZ", "FEATURES.GZ", "S.V00", "TOOLS.T00")
BOOT_CFG = """\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot
modules=/jumpstrt.gz --- /useropts.gz --- /features.gz --- /s.v00 --- /tools.t00
build=8.0.2-0.0.22380479
updated=0
"""
_SOFTWARE = "Windows/System32/winpe.txt"


def windows_medium(folder: Path, work: Path) -> None:
    """Fill a folder with a Windows medium; `work` is room for what goes into the WIM."""
    for name in WINDOWS:
        _random(folder / name, 4000)
    _random(work / _SOFTWARE, 20_000)
    wim = folder / "sources" / "boot.wim"
    wim.parent.mkdir()
    run("wimlib-imagex", "capture", str(work), str(wim), "WinPE", "--boot", "--check")


def esxi_medium(folder: Path) -> None:
    """Fill a folder with an ESXi medium, whose names are in capitals as on its CD."""
    for name in (*ESXI, "MBOOT.C32", "EFI/BOOT/BOOTX64.EFI"):
        _random(folder / name, 9000)
    for name in ("BOOT.CFG", "EFI/BOOT/BOOT.CFG"):
        (folder / name).write_text(BOOT_CFG)


def _random(file: Path, size: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(size))
