"""The versions of an image as roots of machines."""

from __future__ import annotations

import attrs
from zope.interface import implementer

from pxetwist.config.fields import option, text
from pxetwist.exports.directory import DirectoryExport, DirectoryTree
from pxetwist.exports.places import Places
from pxetwist.file_tree import IVersioned
from pxetwist.interfaces import Site
from pxetwist.model.image_use import FOLDER, ROOT


@attrs.frozen
class Settings:
    """Options of ``[export:NAME]`` with the plugin ``image``."""

    image: str = option(
        text, default="", doc="The name that pxetwist image build was given; else that of this."
    )


def build(settings: Settings, site: Site) -> ImageExport:
    """Make the export; there need be no image yet."""
    name = settings.image or site.name
    places = Places(site.state_folder / f"export-{site.name}.sqlite")
    return ImageExport(DirectoryTree(site.state_folder / FOLDER / name, places), name)


@implementer(IVersioned)
class ImageExport(DirectoryExport):
    """All versions, each in its folder: a machine that runs keeps what it has started."""

    def __init__(self, files: DirectoryTree, image: str) -> None:
        super().__init__(files)
        self.image = image

    def place(self, version: str, path: str) -> str:
        """Return where a path of the root is in the export, in this version."""
        return f"{version}/{ROOT}/{path}".rstrip("/")
