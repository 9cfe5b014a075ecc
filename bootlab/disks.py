"""Disks with an installed system, as small as they can be: they say that they were started."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs

from bootlab.processes import run

#: What an installed system says on the serial line.
MARKER = "INSTALLED-SYSTEM-STARTED"

_SHIM = Path("/usr/lib/shim/shimx64.efi.signed")
_GRUB = Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")


@attrs.frozen
class Disk:
    """A disk as QEMU's ``-drive`` wants it described."""

    drive: str


def bios_disk(path: Path) -> Disk:
    """Write a disk of 1 MiB whose boot sector prints the marker on the first serial port."""
    code = bytes.fromhex(
        "fa"  # cli
        "31c0 8ed8"  # xor ax,ax; mov ds,ax
        "be 207c"  # mov si,0x7c20: the text
        "fc"  # cld
        "ba fd03"  # next: mov dx,0x3fd: the line status
        "ec a820 74fb"  # wait: in al,dx; test al,0x20; jz wait
        "baf803"  # mov dx,0x3f8
        "ac 84c0 7403"  # lodsb; test al,al; jz halt
        "ee ebed"  # out dx,al; jmp next
        "f4 ebfd"  # halt: hlt; jmp halt
    )
    text = f"\r\n{MARKER}\r\n".encode() + b"\0"
    partition = bytes.fromhex("80 010100 83 010100 01000000 01000000")
    sector = (code.ljust(0x20, b"\x90") + text).ljust(446, b"\0")
    sector += partition.ljust(64, b"\0") + b"\x55\xaa"
    path.write_bytes(sector.ljust(1 << 20, b"\0"))
    return Disk(f"format=raw,file={path}")


#: GRUB's configuration of an installed system.
_INSTALLED = (
    f"serial --unit=0 --speed=115200\nterminal_output serial\necho {MARKER}\nsleep 60\nhalt\n"
)


def uefi_disk(folder: Path, config: str = _INSTALLED) -> Disk:
    """Fill a folder that QEMU shows as a FAT disk: shim and GRUB as Debian installs them."""
    boot, debian = folder / "EFI" / "BOOT", folder / "EFI" / "debian"
    for place, name in ((boot, "BOOTX64.EFI"), (debian, "shimx64.efi")):
        place.mkdir(parents=True)
        shutil.copyfile(_SHIM, place / name)
        shutil.copyfile(_GRUB, place / "grubx64.efi")
    (debian / "grub.cfg").write_text(config)
    return Disk(f"format=raw,file=fat:rw:{folder}")


def uefi_image(path: Path) -> None:
    """Write a disk of 32 MiB without partitions; its only loader is a GRUB with the marker."""
    start, loader = path.with_suffix(".cfg"), path.with_suffix(".efi")
    start.write_text(_INSTALLED)
    words = ("-O", "x86_64-efi", "-p", "/", "-c", str(start), "-o", str(loader))
    run("grub-mkimage", *words, "serial", "terminal", "echo", "sleep", "halt")
    run("mformat", "-C", "-i", str(path), "-T", "65536", "::")
    for folder in ("EFI", "EFI/BOOT"):
        run("mmd", "-i", str(path), f"::{folder}")
    run("mcopy", "-i", str(path), str(loader), "::EFI/BOOT/BOOTX64.EFI")
