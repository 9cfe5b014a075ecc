"""The content of a configuration, as far as it lies in folders and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import attrs

from pxetwist.config.load import Configuration
from pxetwist.content.directory import Directory
from pxetwist.content.iso import image_places
from pxetwist.content.iso_index import Folder, Stored, find, read_index
from pxetwist.errors import ContentError
from pxetwist.model.content import ContentPath
from pxetwist.model.image_use import FOLDER
from pxetwist.model.nfs_root import by_nfs

#: The plugins that make what they serve, and have no files.
_MADE = ("rendered",)


@attrs.frozen
class ContentFolder:
    """The folder of a store, whose paths begin below a prefix, if it has one."""

    directory: Directory
    prefix: ContentPath | None = None

    def place(self, path: ContentPath) -> Path | None:
        """Return where the file of that name is, if there is one."""
        below = _below(self.prefix, path)
        return self.directory.place(below) if below else None

    def has(self, path: ContentPath) -> bool:
        """Whether there is a file of that name."""
        return self.place(path) is not None

    def hindrance(self, path: ContentPath) -> str:
        """Return why a file that is there is not served to anybody; nothing, if it is."""
        below = _below(self.prefix, path)
        try:
            if below and self.directory.place(below):
                self.directory.open_file(below).close()
        except ContentError as error:
            return str(error)
        return ""

    def read(self, path: ContentPath) -> bytes | None:
        """Return what is in a file; `None`: there is none.

        :raises OSError: if it cannot be read.
        """
        place = self.place(path)
        return place.read_bytes() if place else None

    def wanted(self, path: ContentPath) -> str | None:
        """Return where a file of that name is, or would be; `None`: it is not below the prefix."""
        below = _below(self.prefix, path)
        if below is None:
            return None
        wanted = Path(self.directory.root, *below.parts)
        if any(each.is_file() for each in wanted.parents):  # an image, of another store
            return None
        return str(self.place(path) or wanted)


@attrs.frozen
class ContentImages:
    """The images of a store, or its only one (`root`), and its prefix, if it has one."""

    root: Path
    ignore_case: bool
    prefix: ContentPath | None = None

    def has(self, path: ContentPath) -> bool:
        """Whether there is a file of that name; an image is one as well."""
        return self._found(path) is not None

    def read(self, path: ContentPath) -> bytes | None:
        """Return what is in a file of an image; `None`: there is none.

        :raises OSError: if it cannot be read.
        """
        found = self._found(path)
        if found is None:
            return None
        image, pieces = found
        with image.open("rb") as file:
            return b"".join(file.read(size) for at, size in pieces if file.seek(at) == at)

    def wanted(self, path: ContentPath) -> str | None:
        """Return where a file of that name is, or would be; `None`: in no image of this store."""
        below = _below(self.prefix, path)
        for folder, image, inside in image_places(self.root, below.parts) if below else ():
            place = Directory(folder, self.ignore_case).place(image)
            if place is None or not inside:
                return str(Path(folder, *image.parts))
            return f"{'/'.join(inside)} in {place}"
        return None

    def _found(self, path: ContentPath) -> tuple[Path, Sequence[tuple[int, int]]] | None:
        """Return the image of a path, and where the file is in it, as (offset, length)."""
        below = _below(self.prefix, path)
        for folder, image, inside in image_places(self.root, below.parts) if below else ():
            place = Directory(folder, self.ignore_case).place(image)
            if place is None:
                continue
            status = place.stat()
            if not inside:
                return place, ((0, status.st_size),)
            root = _names(place, (status.st_ino, status.st_mtime_ns, status.st_size))
            file = find(root, inside, ignore_case=self.ignore_case) if root else None
            if isinstance(file, Stored):
                return place, file.pieces
        return None


def _below(prefix: ContentPath | None, path: ContentPath) -> ContentPath | None:
    return path.below(prefix) if prefix else path


@lru_cache(maxsize=8)  # a large image takes a second, and is asked for file by file
def _names(image: Path, stamp: tuple[int, ...]) -> Folder | None:
    """Read the names in one version of an image; `None`: it is broken."""
    try:
        with image.open("rb") as file:
            return read_index(file)
    except (OSError, ValueError):
        return None


def content_places(configuration: Configuration) -> list[ContentFolder | ContentImages]:
    """Return the folders and images of all content stores that have some, in their order."""
    found: list[ContentFolder | ContentImages] = []
    for store in configuration.of_kind("content"):
        settings = store.settings
        match store.factory.name:
            case "directory":
                directory = Directory(settings.root, settings.ignore_case)
                found.append(ContentFolder(directory, store.prefix))
            case "images":
                directory = Directory(configuration.state_folder / FOLDER, ignore_case=False)
                found.append(ContentFolder(directory, ContentPath((FOLDER,))))
            case "iso":
                found.append(ContentImages(settings.root, settings.ignore_case, store.prefix))
    return found


def content_folders(configuration: Configuration) -> list[ContentFolder]:
    """Return the folders of all content stores that have one."""
    return [each for each in content_places(configuration) if isinstance(each, ContentFolder)]


def files_in_content(configuration: Configuration) -> Callable[[str], bool]:
    """Return a test of whether a file is there. What a store may have that nobody can look into,
    as a mirror, counts as being there.
    """
    places = content_places(configuration)
    closed = [
        store.prefix
        for store in configuration.of_kind("content")
        if store.factory.name not in ("directory", "images", "iso", *_MADE)
    ]
    if not places:
        return lambda file: True

    def has(file: str) -> bool:
        if "://" in file or by_nfs(file):
            return True
        try:
            path = ContentPath.parse(file)
        except ValueError:
            return False
        if any(_below(prefix, path) for prefix in closed):
            return True
        return any(place.has(path) for place in places)

    return has
