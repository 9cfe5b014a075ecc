"""Kernels and initramfses of what ``pxetwist image`` has built; of their roots not a file."""

from __future__ import annotations

import attrs
from zope.interface import implementer

from pxetwist.content.directory import Directory
from pxetwist.errors import ContentNotFound
from pxetwist.interfaces import IContent, IContentStore, Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ContentPath
from pxetwist.model.image_use import FOLDER, SERVED


@attrs.frozen
class Settings:
    """There are no options: images are in the folder ``images`` of the state folder."""


def build(settings: Settings, site: Site) -> ImagesStore:
    """Make the store; there need be no image yet."""
    return ImagesStore(Directory(site.state_folder / FOLDER, ignore_case=False))


@implementer(IContentStore)
@attrs.frozen
class ImagesStore:
    """Serves ``images/NAME/VERSION/vmlinuz`` and ``…/initrd.img``, and no other file."""

    directory: Directory

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a kernel or an initramfs."""
        below = path.below(ContentPath((FOLDER,)))
        if below is None or len(below.parts) != 3 or below.name not in SERVED:
            raise ContentNotFound(str(path))
        return await self.directory.open(below, request)
