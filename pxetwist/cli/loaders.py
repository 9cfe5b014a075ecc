"""``pxetwist loaders FILE``: the boot loaders of the distribution, and where they are served."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from pxetwist.boot.loaders import FAMILIES, Loaders
from pxetwist.cli.file_options import FileOptions
from pxetwist.config.load import Configuration, load
from pxetwist.errors import StartError


@attrs.frozen
class Source:
    """A file of a Debian package, and its name in the content root."""

    package: str
    file: str
    target: str


def _bios_modules() -> Iterator[Source]:
    for module in ("ldlinux", "libcom32", "libutil", "menu", "chain", "reboot", "poweroff"):
        file = f"/usr/lib/syslinux/modules/bios/{module}.c32"
        yield Source("syslinux-common", file, f"loaders/{module}.c32")


#: What is known of Debian and its derivatives; signed files keep the names that shim asks for.
SOURCES = (
    Source("ipxe", "/usr/lib/ipxe/undionly.kpxe", "loaders/undionly.kpxe"),
    Source("ipxe", "/usr/lib/ipxe/snponly.efi", "loaders/snponly.efi"),
    Source("ipxe", "/usr/lib/ipxe/ipxe.efi", "loaders/ipxe.efi"),
    Source("shim-signed", "/usr/lib/shim/shimx64.efi.signed", "loaders/shimx64.efi"),
    Source(
        "grub-efi-amd64-signed",
        "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
        "loaders/grubx64.efi",
    ),
    Source("shim-signed:arm64", "/usr/lib/shim/shimaa64.efi.signed", "loaders/shimaa64.efi"),
    Source(
        "grub-efi-arm64-signed",
        "/usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed",
        "loaders/grubaa64.efi",
    ),
    Source("pxelinux", "/usr/lib/PXELINUX/pxelinux.0", "loaders/pxelinux.0"),
    Source("pxelinux", "/usr/lib/PXELINUX/lpxelinux.0", "loaders/lpxelinux.0"),
    *_bios_modules(),
    Source("syslinux-common", "/usr/lib/syslinux/memdisk", "loaders/memdisk"),
)


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE [--install] [--from FOLDER]"
    longdesc = (
        "Shows which loader each kind of machine is given, and where its file comes from."
        " Exits with 1 if a package of this machine's architecture is missing."
    )
    optFlags = [["install", "i", "Copy the files into the first directory of content."]]  # noqa: RUF012  Twisted's way
    optParameters = [  # noqa: RUF012  ditto
        ["from", None, "/", "Where the packages are unpacked, if not in the system."]
    ]


def run(options: Options) -> int:
    """Print the table; copy if asked to."""
    configuration = load(Path(options["file"]))
    root = content_root(configuration)
    missing = []
    print(f"files of loaders are served from {root}")
    for source in SOURCES:
        found = Path(options["from"]) / source.file.lstrip("/")
        state = _state(found, root / source.target)
        if options["install"] and state in ("can be installed", "differs from the package's"):
            install(found, root / source.target)
            state = "installed now"
        if state == "package is missing":
            missing.append(source)
        print(f"  {source.target:26} {source.package:22} {state}")
    _print_choices(configuration)
    packages = sorted({each.package for each in missing if "arm64" not in each.package})
    if packages:
        print(f"missing packages: apt-get install {' '.join(packages)}")
    return 1 if packages else 0


def content_root(configuration: Configuration) -> Path:
    """Return the folder that loaders belong in: that of the first directory store.

    :raises StartError: if there is none.
    """
    for instance in configuration.of_kind("content"):
        if instance.factory.name == "directory":
            return Path(instance.settings.root)
    raise StartError(f"{configuration.file}: content names no store of plugin 'directory'")


def _state(found: Path, target: Path) -> str:
    if target.exists():
        if found.exists() and found.read_bytes() != target.read_bytes():
            return "differs from the package's"
        return "there"
    return "can be installed" if found.exists() else "package is missing"


def install(found: Path, target: Path) -> None:
    """Copy so that a machine that is loading the old file gets it whole: new name, then rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(descriptor)
    shutil.copyfile(found, name)
    Path(name).chmod(0o644)
    Path(name).rename(target)


def _print_choices(configuration: Configuration) -> None:
    table = Loaders(configuration.loaders)
    print("machines are given, in this order of families:")
    for architecture in ("bios", "x64", "arm64"):
        for family in FAMILIES:
            file = table.find(architecture, family)
            if file:
                print(f"  {architecture:6} {family:9} {file}")
