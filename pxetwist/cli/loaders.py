"""``pxetwist loaders FILE``: boot loaders of the distribution, and what else could be booted from
what this machine has, and where all that is served.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from pxetwist.boot.loaders import FAMILIES, Loaders
from pxetwist.cli.file_options import FileOptions
from pxetwist.config.load import Configuration, load
from pxetwist.errors import StartError


@attrs.frozen
class Source:
    """A file of a Debian package, and its name in the content root. `file` may hold a ``*``.
    Without a package it belongs to this machine.
    """

    package: str
    file: str
    target: str

    def find(self, root: Path) -> Path | None:
        """Return the file below `root`, the last one if there are several."""
        return max(root.glob(self.file.lstrip("/")), default=None)


def _bios_modules() -> Iterator[Source]:
    for module in ("ldlinux", "libcom32", "libutil", "menu", "chain", "reboot", "poweroff"):
        file = f"/usr/lib/syslinux/modules/bios/{module}.c32"
        yield Source("syslinux-common", file, f"loaders/{module}.c32")


#: What is known of Debian and its derivatives; signed files keep the names that shim asks for.
SOURCES = (
    Source("ipxe", "/usr/lib/ipxe/undionly.kpxe", "loaders/undionly.kpxe"),
    Source("syslinux-common", "/usr/lib/syslinux/memdisk", "loaders/memdisk"),
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


def _offers() -> Iterator[Source]:
    """Yield what menus can offer from packages and from this machine itself."""
    for suffix in ("efi", "bin"):
        yield Source("memtest86+", f"/boot/memtest86+x64.{suffix}", f"memtest/memtest.{suffix}")
    installer = "/usr/lib/debian-installer/images/*/amd64/text/debian-installer/amd64"
    for name in ("linux", "initrd.gz"):
        package = "debian-installer-12-netboot-amd64"
        yield Source(package, f"{installer}/{name}", f"debian-installer/amd64/{name}")
    system = os.uname()
    for name in ("vmlinuz", "initrd.img"):
        yield Source("", f"/boot/{name}-{system.release}", f"rescue/{system.machine}/{name}")


#: shim's manager of keys, of Debian and of Ubuntu; they come with shim's package.
KEY_MANAGERS = tuple(
    Source(package, f"/usr/lib/shim/mm{suffix}.efi{ending}", f"loaders/mm{suffix}.efi")
    for architecture, suffix in (("amd64", "x64"), ("arm64", "aa64"))
    for package, ending in (
        (f"shim-helpers-{architecture}-signed", ".signed"),
        ("shim-signed", ""),
    )
)
#: No loaders, and nothing misses them: profiles of etc/pxe.ini use them if they are there.
OFFERS = tuple(_offers())

_NEW, _OTHER = "can be installed", "is not the one that can be installed"
_INSTALLED, _MISSING = "installed now", "is missing"


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE [--install] [--quiet] [--from FOLDER]"
    longdesc = (
        "Shows which loader each kind of machine is given, where its file comes from, and what"
        " else this machine has that others can boot. Exits with 1 if a package with loaders of"
        " this machine's architecture is missing."
    )
    optFlags = [
        ["install", "i", "Copy the files into the first directory of content."],
        ["quiet", "q", "Tell only what was installed, and what else there is for menus."],
    ]
    optParameters = [["from", None, "/", "Where the packages are unpacked, if not in the system."]]


def run(options: Options) -> int:
    """Print the table; copy if asked to."""
    configuration = load(Path(options["file"]))
    root = content_root(configuration)
    if not options["quiet"]:
        print(f"files of loaders are served from {root}")
    missing = _go_through((*SOURCES, *_key_managers(options)), root, options)
    named = set(_named_files(configuration))
    more = _go_through([each for each in OFFERS if each.target in named], root, options)
    if not options["quiet"]:
        _print_choices(configuration)
        if missing:
            print(f"missing packages: apt-get install {' '.join(missing)}")
    if more:
        print(f"more for menus: apt-get install {' '.join(more)}")
    return 1 if missing else 0


def _key_managers(options: Options) -> Iterator[Source]:
    """Yield those that are there: the signed one, if a package has both."""
    targets = set()
    for source in KEY_MANAGERS:
        if source.target not in targets and source.find(Path(options["from"])):
            targets.add(source.target)
            yield source


def _go_through(sources: Iterable[Source], root: Path, options: Options) -> list[str]:
    """Tell where each file is, install it if asked to; return the packages that are missing."""
    packages = set()
    for source in sources:
        found = source.find(Path(options["from"]))
        state = _state(found, root / source.target)
        if found and options["install"] and state in (_NEW, _OTHER):
            install(found, root / source.target)
            state = _INSTALLED
        if state == _MISSING and source.package and "arm64" not in source.package:
            packages.add(source.package)
        if state == _INSTALLED or not options["quiet"]:
            print(f"  {source.target:33} {source.package or 'this machine':33} {state}")
    return sorted(packages)


def _named_files(configuration: Configuration) -> Iterator[str]:
    """Yield the files that profiles name."""
    for profile in configuration.profiles.values():
        for values in (profile.kernel, profile.initrds, profile.nbp, profile.image):
            for files in values.values():
                yield from (file.lstrip("/") for file in files.split())


def content_root(configuration: Configuration) -> Path:
    """Return the folder that loaders belong in: that of the first directory store
    without a prefix.

    :raises StartError: if there is none.
    """
    for instance in configuration.of_kind("content"):
        if instance.factory.name == "directory" and instance.prefix is None:
            return Path(instance.settings.root)
    raise StartError(
        f"{configuration.file}: content names no store of plugin 'directory' without a prefix"
    )


def _state(found: Path | None, target: Path) -> str:
    if found is None:
        return "there" if target.exists() else _MISSING
    if not found.stat().st_mode & stat.S_IROTH:
        return "not for everybody to read, so not served"  # an initrd may hold keys
    if not target.exists():
        return _NEW
    return "there" if filecmp.cmp(found, target, shallow=False) else _OTHER


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
            files = table.candidates(architecture, family)
            if files:
                print(f"  {architecture:6} {family:9} {', then '.join(files)}")
