"""Stores whose paths begin below a folder that they do not know of themselves."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from zope.interface import implementer

from pxetwist.errors import ContentNotFound
from pxetwist.interfaces import IContent, IContentStore, IListsFolders
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ROOT, ContentPath, Listed


@implementer(IContentStore, IListsFolders)
@attrs.frozen
class Mounted:
    """A store below a `prefix`: it is asked for what comes after that."""

    store: IContentStore
    prefix: ContentPath

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a content of the store, if the path is below the prefix."""
        below = path.below(self.prefix)
        if below is None:
            raise ContentNotFound(f"{path} is not below {self.prefix}")
        content: IContent = await self.store.open(below, request)
        return content

    def listed(self, path: ContentPath) -> Sequence[Listed]:
        """Return what the store shows of a folder, or the next part of the prefix above it."""
        if not IListsFolders.providedBy(self.store):
            raise ContentNotFound(f"{path} is not shown")
        listing: IListsFolders = self.store
        above = self.prefix.below(path)
        if above is not None:
            return [Listed(above.parts[0])]
        within = path.below(self.prefix)
        if within is None and str(path).lower() != str(self.prefix).lower():
            raise ContentNotFound(f"{path} is not below {self.prefix}")
        return listing.listed(within or ROOT)
