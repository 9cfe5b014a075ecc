"""The content of a configuration, as far as it lies in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from pxetwist.config.load import Configuration
from pxetwist.content.directory import Directory
from pxetwist.model.content import ContentPath
from pxetwist.model.image_use import FOLDER
from pxetwist.model.nfs_root import by_nfs


@attrs.frozen
class ContentFolder:
    """The folder of a store, whose paths begin below a prefix, if it has one."""

    directory: Directory
    prefix: ContentPath | None = None

    def place(self, path: ContentPath) -> Path | None:
        """Return where the file of that name is, if there is one."""
        below = path.below(self.prefix) if self.prefix else path
        return self.directory.place(below) if below else None

    def wanted(self, path: ContentPath) -> Path | None:
        """Return where a file of that name would be; `None`: it is not below the prefix."""
        below = path.below(self.prefix) if self.prefix else path
        return Path(self.directory.root, *below.parts) if below else None


def content_folders(configuration: Configuration) -> list[ContentFolder]:
    """Return the folders of all content stores that have one."""
    found = []
    for store in configuration.of_kind("content"):
        if store.factory.name == "directory":
            directory = Directory(store.settings.root, store.settings.ignore_case)
            found.append(ContentFolder(directory, store.prefix))
        elif store.factory.name == "images":
            directory = Directory(configuration.state_folder / FOLDER, ignore_case=False)
            found.append(ContentFolder(directory, ContentPath((FOLDER,))))
    return found


def folders_are_all(configuration: Configuration) -> bool:
    """Whether no file can come from a store that we cannot look into."""
    names = {store.factory.name for store in configuration.of_kind("content")}
    return "directory" in names and not names - {"directory", "images", "rendered"}


def files_in_folders(configuration: Configuration) -> Callable[[str], bool]:
    """Return a test of whether a file is there, as far as folders can tell."""
    if not folders_are_all(configuration):
        return lambda file: True
    folders = content_folders(configuration)

    def has(file: str) -> bool:
        if "://" in file or by_nfs(file):
            return True
        try:
            path = ContentPath.parse(file)
        except ValueError:
            return False
        return any(folder.place(path) for folder in folders)

    return has
