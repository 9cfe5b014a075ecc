"""The folder of an image: versions that are whole, and the link that says which one starts.

A version is made under a name that begins with a dot, and gets its own when all of it is on the
disk: nobody ever sees half of one.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from pxetwist.errors import PxeError
from pxetwist.model.image_use import CURRENT, INITRD, KERNEL, ROOT

FACTS = "image.json"
_BUILDING = ".building"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


class ImageError(PxeError):
    """An image could not be made, found or removed: what happened, and what would mend it."""


@attrs.frozen
class Facts:
    """What is known of a version: what it was made `of` (``debian:bookworm``, ``image:a/b``), its
    architecture and kernel as Debian calls them, when it was `built` (seconds since the epoch),
    its `size` in bytes, and the packages and commands that were asked for.
    """

    of: str
    architecture: str
    kernel: str
    built: float
    size: int
    packages: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@attrs.frozen
class ImageVersion:
    """One whole version."""

    folder: Path

    @property
    def name(self) -> str:
        """What it is called: when it was made, unless a person chose otherwise."""
        return self.folder.name

    @property
    def root(self) -> Path:
        """The root file system of machines."""
        return self.folder / ROOT

    @property
    def kernel(self) -> Path:
        """The kernel's file."""
        return self.folder / KERNEL

    @property
    def initrd(self) -> Path:
        """The initramfs."""
        return self.folder / INITRD

    @property
    def facts(self) -> Facts:
        """What was noted when it was made.

        :raises ImageError: if that cannot be read.
        """
        file = self.folder / FACTS
        try:
            told = json.loads(file.read_text("utf-8"))
            told |= {each: tuple(told[each]) for each in ("packages", "commands")}
            return Facts(**told)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ImageError(f"{file}: {error}; build the image anew") from None

    def note(self, facts: Facts) -> None:
        """Write down what is known of it."""
        text = json.dumps(attrs.asdict(facts), indent=1)
        (self.folder / FACTS).write_text(text + "\n", "utf-8")


@attrs.frozen
class Image:
    """A folder of versions; it need not exist."""

    folder: Path

    @property
    def name(self) -> str:
        """What it is called."""
        return self.folder.name

    @property
    def versions(self) -> list[ImageVersion]:
        """All whole versions, in the order of their names."""
        if not self.folder.is_dir():
            return []
        found = [each for each in self.folder.iterdir() if (each / FACTS).is_file()]
        names = sorted(each.name for each in found if not each.is_symlink())
        return [ImageVersion(self.folder / name) for name in names if _NAME.fullmatch(name)]

    @property
    def current(self) -> str:
        """The name of the version that machines start; empty if there is none."""
        try:
            return os.readlink(self.folder / CURRENT).rstrip("/")
        except OSError:
            return ""

    def version(self, name: str = "") -> ImageVersion:
        """Return a version; the current one if not named.

        :raises ImageError: if there is no such version.
        """
        wanted = name or self.current
        for each in self.versions:
            if each.name == wanted:
                return each
        if not self.versions:
            raise ImageError(f"there is no image {self.name!r}; see pxetwist image list")
        known = ", ".join(each.name for each in self.versions)
        raise ImageError(
            f"image {self.name!r} has no version {wanted or CURRENT!r} (known: {known})"
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else change it meanwhile.

        :raises ImageError: if somebody is at it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ImageError(
                    f"image {self.name!r} is being built or removed already"
                ) from None
            yield

    def begin(self, name: str) -> ImageVersion:
        """Make the folder of a version that nobody sees yet; what others left half is removed."""
        if not _NAME.fullmatch(name) or name == CURRENT:
            raise ImageError(f"{name!r} is no name of a version: letters, digits and . _ - only")
        if (self.folder / name).exists():
            raise ImageError(f"image {self.name!r} has a version {name} already")
        for left in self.folder.glob(f".*{_BUILDING}"):
            delete(left)
        made = self.folder / f".{name}{_BUILDING}"
        made.mkdir()
        return ImageVersion(made)

    def finish(self, made: ImageVersion) -> ImageVersion:
        """Give a version its name once all of it is on the disk."""
        subprocess.run(("sync", "--file-system", str(made.folder)), check=True)
        name = made.name.removeprefix(".").removesuffix(_BUILDING)
        made.folder.rename(self.folder / name)
        self._keep()
        return ImageVersion(self.folder / name)

    def switch(self, version: ImageVersion) -> None:
        """Let machines that start from now on start this version."""
        link = self.folder / f".{CURRENT}"
        link.unlink(missing_ok=True)
        link.symlink_to(version.name)
        link.rename(self.folder / CURRENT)
        self._keep()

    def remove(self, version: ImageVersion) -> None:
        """Remove a version: first its name, so that nobody finds half of it."""
        if version.name == self.current:
            (self.folder / CURRENT).unlink()
        gone = self.folder / f".{version.name}{_BUILDING}"
        version.folder.rename(gone)
        self._keep()
        delete(gone)

    def _keep(self) -> None:
        """Let the names in the folder outlive a power cut."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def image(images: Path, name: str) -> Image:
    """Return the image of this name among all images.

    :raises ImageError: if it cannot be a name.
    """
    if not _NAME.fullmatch(name):
        raise ImageError(f"{name!r} is no name of an image: letters, digits and . _ - only")
    return Image(images / name)


def all_images(images: Path) -> list[Image]:
    """Return all images that have a version."""
    if not images.is_dir():
        return []
    found = (Image(each) for each in sorted(images.iterdir()) if each.is_dir())
    return [each for each in found if each.versions]


def delete(folder: Path) -> None:
    """Remove a folder, but nothing that is mounted in it.

    :raises ImageError: if something could not be removed.
    """
    command = ("rm", "-rf", "--one-file-system", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(done.stderr.strip())
