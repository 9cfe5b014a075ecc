"""Images of CDs: one that boots, and those as large as Windows's, most of which is a hole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from io import RawIOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pycdlib import PyCdlib

from bootlab.disks import uefi_disk
from bootlab.linux import Linux
from bootlab.processes import run


def mark(place: int) -> bytes:
    """Return the 16 bytes that stand at a place."""
    return f"<{place:014}>".encode()


def sparse_file(path: Path, size: int, places: Sequence[int]) -> None:
    """Write a file with marks at some places."""
    with path.open("wb") as file:
        os.truncate(path, size)
        for place in places:
            file.seek(place)
            file.write(mark(place))


def sparse_iso(path: Path, name: str, size: int, places: Sequence[int]) -> None:
    """Write an image that has one such file."""
    source = path.with_suffix(".part")
    sparse_file(source, size, places)
    image: Any = PyCdlib()
    image.new(interchange_level=3, rock_ridge="1.09")
    image.add_file(str(source), "/LARGE.;1", rr_name=name)
    with _Sparse(path) as into:
        image.write_fp(into, blocksize=1 << 20)
    image.close()
    source.unlink()


class _Sparse(RawIOBase):
    """A file in which zeros are holes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._end = 0

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if data != bytes(len(data)):
            self._file.write(data)
        else:
            self._file.seek(len(data), os.SEEK_CUR)
        self._end = max(self._end, self._file.tell())
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        self._end = self.tell() if size is None else size
        return self._file.truncate(size)

    def close(self) -> None:
        if not self.closed:
            self._file.truncate(self._end)
            self._file.close()
        super().close()


def bootable_iso(path: Path, system: Linux) -> None:
    """Write an image as distributions make them: ISOLINUX for BIOS and GRUB for UEFI start the
    system in it, whose name is ``from-image``. It takes the place of a file.
    """
    with TemporaryDirectory(dir=path.parent) as name:
        tree = Path(name, "tree")
        live, isolinux = tree / "live", tree / "isolinux"
        live.mkdir(parents=True)
        isolinux.mkdir()
        system.put(live)
        for file in _ISOLINUX:
            shutil.copy(file, isolinux)
        (isolinux / "isolinux.cfg").write_text(_ISOLINUX_CFG)
        efi = Path(name, "efi")
        uefi_disk(efi, _GRUB_CFG)
        shutil.copytree(efi, tree, dirs_exist_ok=True)
        fat = tree / "efi.img"
        run("mformat", "-C", "-i", str(fat), "-T", "32768", "::")
        run("mcopy", "-s", "-i", str(fat), str(efi / "EFI"), "::")
        made = Path(name, "made.iso")
        run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "LAB", "-o", str(made),
            "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
            "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot", "-e", "efi.img",
            "-no-emul-boot", str(tree))  # fmt: skip
        made.replace(path)


_ISOLINUX = (
    Path("/usr/lib/ISOLINUX/isolinux.bin"),
    Path("/usr/lib/syslinux/modules/bios/ldlinux.c32"),
)
_ARGUMENTS = "console=ttyS0 lab.host=from-image"
_ISOLINUX_CFG = f"""\
SERIAL 0 115200
DEFAULT lab
PROMPT 0
LABEL lab
  LINUX /live/vmlinuz
  INITRD /live/initrd.gz
  APPEND {_ARGUMENTS}
"""
_GRUB_CFG = f"""\
serial --unit=0 --speed=115200
terminal_output serial
search --no-floppy --set=root --file /live/vmlinuz
linux /live/vmlinuz {_ARGUMENTS}
initrd /live/initrd.gz
boot
"""
