"""The content of a configuration, as far as it lies in folders."""

from __future__ import annotations

from collections.abc import Callable

from pxetwist.config.load import Configuration
from pxetwist.content.directory import Directory
from pxetwist.model.content import ContentPath


def content_folders(configuration: Configuration) -> list[Directory]:
    """Return the folders of all content stores that have one."""
    stores = configuration.of_kind("content")
    settings = [each.settings for each in stores if each.factory.name == "directory"]
    return [Directory(each.root, each.ignore_case) for each in settings]


def folders_are_all(configuration: Configuration) -> bool:
    """Whether no file can come from a store that we cannot look into."""
    names = {store.factory.name for store in configuration.of_kind("content")}
    return "directory" in names and not names - {"directory", "rendered"}


def files_in_folders(configuration: Configuration) -> Callable[[str], bool]:
    """Return a test of whether a file is there, as far as folders can tell."""
    if not folders_are_all(configuration):
        return lambda file: True
    folders = content_folders(configuration)

    def has(file: str) -> bool:
        if "://" in file:
            return True
        try:
            path = ContentPath.parse(file)
        except ValueError:
            return False
        return any(folder.place(path) for folder in folders)

    return has
