"""Whether a version of an image can be started."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterator, Sequence

from pxetwist.diskless.folder import ImageError, ImageVersion
from pxetwist.diskless.tools import PATHS

#: What the initramfs must hold, and what for.
_NEEDED = (
    (r"scripts/pxetwist", "the script that mounts the root (scripts/pxetwist)"),
    (r".*/overlay\.ko(\.\w+)?", "the module overlay"),
    (r".*/nfs\.ko(\.\w+)?", "the module nfs"),
    (r".*/nfsv3\.ko(\.\w+)?", "the module nfsv3"),
)
_CARDS = re.compile(r".*/drivers/net/.*\.ko(\.\w+)?")
_MEND = "build the image anew"
#: Lists an initramfs, the second argument, with the tool that is in the root, the first one.
_LIST = f"""\
set -e
{PATHS}
mount -t tmpfs tmpfs "$1/mnt"
touch "$1/mnt/initrd"
mount --bind "$2" "$1/mnt/initrd"
chroot "$1" lsinitramfs /mnt/initrd
"""


def problems(version: ImageVersion) -> Iterator[str]:
    """Yield a sentence for everything that is wrong with a version."""
    if (
        not (version.root / "sbin" / "init").exists()
        and not (version.root / "usr" / "sbin" / "init").exists()
    ):
        yield f"{version.root} has no sbin/init: nothing would start there; {_MEND}"
    for file, what in ((version.kernel, "kernel"), (version.initrd, "initramfs")):
        if not file.is_file():
            yield f"{file} is missing: no {what}; {_MEND}"
        elif not file.stat().st_mode & 0o004:
            yield f"{file} is not for everybody to read: chmod a+r {file}"
    if version.initrd.is_file():
        try:
            yield from _lacking(contents(version))
        except ImageError as error:
            yield str(error)


def _lacking(names: Collection[str]) -> Iterator[str]:
    for pattern, what in _NEEDED:
        if not any(re.fullmatch(pattern, name) for name in names):
            yield f"the initramfs lacks {what}; {_MEND}"
    if not any(_CARDS.fullmatch(name) for name in names):
        yield f"the initramfs has no driver of a network card; {_MEND}"


def contents(version: ImageVersion) -> Sequence[str]:
    """Return the names in the initramfs, as its own distribution's tool lists them.

    :raises ImageError: if it cannot be read.
    """
    words = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _LIST, "sh")
    command = (*words, str(version.root), str(version.initrd))
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise ImageError(f"{version.initrd} cannot be read: {said}")
    return done.stdout.decode("utf-8", "replace").splitlines()
