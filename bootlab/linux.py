"""A Linux to boot: Debian's signed kernel and an initramfs that says who it is."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from bootlab.processes import LabError, run

#: What the userland prints when it is up: its name by the kernel's arguments, its address.
BOOTED = r"PXETWIST-BOOTED name=(?P<name>\S*) address=(?P<address>\S*) lockdown=(?P<lockdown>\S*) "

_BUSYBOX = Path("/bin/busybox")
_MODULES = ("virtio_pci", "virtio_net")

_INIT = """\
#!/bin/sh
# The whole userland: load the network card's driver, ask for an address, say who we are.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
echo 1 >/proc/sys/kernel/printk
echo
echo "Linux $(uname -r) is starting its userland"
mount -t securityfs security /sys/kernel/security
while read -r module; do insmod "/modules/$module"; done </modules/order
name= callback= address6=
for word in $(cat /proc/cmdline); do
    case "$word" in
        lab.host=*) name="${word#lab.host=}" ;;
        lab.callback=*) callback="${word#lab.callback=}" ;;
        lab.address6=*) address6="${word#lab.address6=}" ;;
    esac
done
if [ -n "$address6" ]; then  # busybox has no client of DHCPv6
    echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
    ip link set eth0 up
    ip addr add "$address6/64" dev eth0
    echo "$address6" >/address
else
    ip link set eth0 up
    udhcpc -i eth0 -n -q -t 10 -T 1 -s /bin/leased
fi
[ -e /more ] && . /more
lockdown=$(sed 's/.*\\[\\(.*\\)\\].*/\\1/' /sys/kernel/security/lockdown)
echo "PXETWIST-BOOTED name=$name address=$(cat /address) lockdown=$lockdown "
if [ -n "$callback" ]; then
    answer=$(wget -q -O - --post-data="installed by $(uname -r)" "$callback/done")
    echo "PXETWIST-CALLED-BACK answer=$answer "
fi
poweroff -f
"""

_LEASED = """\
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
echo "$ip" >/address
"""


#: What the userland prints of a root by NFS: a digest of all names and sizes in the folder
#: ``many``, one of what these files have in them, one of pieces of the file ``large``, and what it
#: is told when it writes.
NFS_READ = (
    r"PXETWIST-NFS sizes=(?P<sizes>\w+) content=(?P<content>\w+) pieces=(?P<pieces>\w+)"
    r" written=(?P<written>.*)\r"
)
_NFS_MODULES = ("nfsv3",)
#: Mounts what the kernel was told as its root, which this kernel cannot do by itself.
_NFS = """\
while read -r module; do insmod "/nfs/$module"; done </nfs/order
for word in $(cat /proc/cmdline); do
    case "$word" in
        nfsroot=*) nfsroot="${word#nfsroot=}" ;;
        lab.pieces=*) offsets="$(echo "${word#lab.pieces=}" | tr , ' ')" ;;
    esac
done
place="${nfsroot%%,*}"
mkdir /mnt
mount -t nfs -o "addr=${place%%:*},${nfsroot#*,},actimeo=600" "$place" /mnt
digest() { sha256sum | cut -d' ' -f1; }
cd /mnt/many
find . -type f -exec stat -c '%n %s' {} + | sort >/sizes
sizes=$(digest </sizes)
content=$(sed -n 's/ [1-9].*//p' /sizes | xargs cat | digest)
pieces=$(for at in $offsets; do dd if=/mnt/large bs=4096 skip="$at" count=1; done 2>/dev/null \\
    | digest)
written=$(touch /mnt/new 2>&1)
echo "PXETWIST-NFS sizes=$sizes content=$content pieces=$pieces written=$written"
"""


@attrs.frozen
class Linux:
    """Kernel and initramfs, as files; `nfs` is a second one that reads a root by NFS."""

    version: str
    kernel: Path
    initrd: Path
    nfs: Path

    def put(self, folder: Path) -> None:
        """Link kernel and initramfs into a folder, or copy them to another file system."""
        for file in (self.kernel, self.initrd):
            try:
                os.link(file, folder / file.name)
            except OSError:
                shutil.copyfile(file, folder / file.name)


def linux(cache: Path) -> Linux:
    """Return kernel and initramfs from the cache; the first time fetch and make them (70 MB).

    The package is unpacked, never installed; apt's lists are updated if it cannot be found.

    :raises LabError: if there is no such package, or busybox is missing.
    """
    try:
        return _linux(cache)
    except LabError:
        run("apt-get", "-qq", "update")
        return _linux(cache)


def _linux(cache: Path) -> Linux:
    version = _newest_version()
    parts = (_INIT, _LEASED, _NFS, repr((_MODULES, _NFS_MODULES)))
    recipe = hashlib.sha256("".join(parts).encode()).hexdigest()[:12]
    folder = cache / f"linux-{version}-{recipe}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            made = _make(Path(name), version)
            try:
                made.rename(folder)
            except OSError:
                if not folder.exists():  # no other run was quicker
                    raise
    return Linux(version, *(folder / name for name in ("vmlinuz", "initrd.gz", "nfs.gz")))


def _newest_version() -> str:
    found = re.findall(
        r"Depends: linux-image-(\d\S*-amd64)", run("apt-cache", "depends", "linux-image-amd64")
    )
    if not found:
        raise LabError("apt knows no linux-image-amd64")
    return str(found[0])


def _make(work: Path, version: str) -> Path:
    """Fetch and unpack the kernel's package; return a folder with kernel and initramfs."""
    run("apt-get", "-qq", "download", f"linux-image-{version}", cwd=work)
    run("dpkg", "-x", str(next(work.glob("*.deb"))), str(work / "package"))
    made = work / "made"
    made.mkdir()
    shutil.copyfile(work / "package" / "boot" / f"vmlinuz-{version}", made / "vmlinuz")
    _make_initrd(work / "package", version, made / "initrd.gz")
    _make_nfs(work / "package", version, made / "nfs.gz")
    return made


def _make_initrd(package: Path, version: str, target: Path) -> None:
    root = package.parent / "root"
    for name in ("bin", "dev", "proc", "sys", "modules"):
        (root / name).mkdir(parents=True)
    if not _BUSYBOX.exists():
        raise LabError(f"{_BUSYBOX} is missing; scripts/install-debian installs it")
    shutil.copy(_BUSYBOX, root / "bin" / "busybox")
    applets = "sh mount cat echo ip udhcpc insmod sed uname wget poweroff"
    for applet in applets.split():
        (root / "bin" / applet).symlink_to("busybox")
    for path, text in ((root / "init", _INIT), (root / "bin" / "leased", _LEASED)):
        path.write_text(text)
        path.chmod(0o755)
    _copy_modules(_with_dependencies(package, version, _MODULES), root / "modules")
    _pack(root, target)


def _make_nfs(package: Path, version: str, target: Path) -> None:
    """Make what is laid over the other initramfs."""
    root = package.parent / "more"
    for name in ("bin", "nfs"):
        (root / name).mkdir(parents=True)
    applets = "find sort sha256sum cut dd mkdir stat touch tr xargs"
    for applet in applets.split():
        (root / "bin" / applet).symlink_to("busybox")
    (root / "more").write_text(_NFS)
    _copy_modules(_with_dependencies(package, version, _NFS_MODULES), root / "nfs")
    _pack(root, target)


def _copy_modules(modules: Sequence[Path], folder: Path) -> None:
    for module in modules:
        shutil.copy(module, folder)
    (folder / "order").write_text("".join(f"{m.name}\n" for m in modules))


def _pack(root: Path, target: Path) -> None:
    names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
    archive = root.parent / "initrd.cpio"
    run(str(_BUSYBOX), "cpio", "-o", "-H", "newc", "-F", str(archive), cwd=root, stdin=names)
    target.write_bytes(gzip.compress(archive.read_bytes()))


def _with_dependencies(package: Path, version: str, wanted: Sequence[str]) -> list[Path]:
    """Return the files of the modules in an order in which each can be loaded."""
    run("depmod", "-b", str(package), version)
    folder = package / "lib" / "modules" / version
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    order: list[str] = []
    for name in wanted:
        path = next(path for path in needs if Path(path).name.partition(".")[0] == name)
        # depmod names the modules that are needed first last
        order += [each for each in [*reversed(needs[path]), path] if each not in order]
    return [folder / path for path in order]
