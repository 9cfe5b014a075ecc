"""Stores whose paths begin below a folder that they do not know of themselves."""

from __future__ import annotations

import attrs
from zope.interface import implementer

from pxetwist.errors import ContentNotFound
from pxetwist.interfaces import IContent, IContentStore
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ContentPath


@implementer(IContentStore)
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
