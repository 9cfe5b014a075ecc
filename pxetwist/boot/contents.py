"""Files and folders of all content stores, in their order: the first that has a name serves it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import attrs

from pxetwist.boot.file_names import meant
from pxetwist.boot.loaders import Loaders
from pxetwist.errors import ContentError, ContentNotFound
from pxetwist.interfaces import IContent, IContentStore, IListsFolders, INamesDisks, IRepeats
from pxetwist.model.boot import BootRequest
from pxetwist.model.boots import SanDisk
from pxetwist.model.content import ContentPath, Listed


@attrs.frozen
class Contents:
    """The content stores."""

    stores: tuple[IContentStore, ...]
    loaders: Loaders = attrs.field(factory=Loaders)

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a content from the first store that has it.

        :raises ContentNotFound: if none has.
        """
        for name in meant(path, request, self.loaders):
            for store in self.stores:
                try:
                    return await store.open(name, request)
                except ContentNotFound:
                    continue
        raise ContentNotFound(str(path))

    def lasts(self, path: ContentPath, content: IContent, request: BootRequest) -> bool:
        """Ask the first store."""
        first = self.stores[0]
        return IRepeats.providedBy(first) and first.lasts(path, content, request)

    def listed(self, path: ContentPath) -> Sequence[Listed]:
        """Join what the stores show; the first that has a name is the one that serves it.

        :raises ContentNotFound: if none shows this folder.
        """
        names: dict[str, Listed] = {}
        shown = False
        for store in self.stores:
            if IListsFolders.providedBy(store):
                with suppress(ContentError):
                    for each in store.listed(path):
                        names.setdefault(each.name, each)
                    shown = True
        if not shown:
            raise ContentNotFound(f"{path}: no folder to be shown")
        return [names[name] for name in sorted(names)]

    def disk(self, request: BootRequest) -> SanDisk | None:
        """Return the iSCSI disk of a resolved request."""
        namers = (each for each in self.stores if INamesDisks.providedBy(each))
        namer: INamesDisks | None = next(namers, None)
        return namer.disk(request) if namer else None
