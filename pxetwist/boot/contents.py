"""Files and folders of all content stores, in their order: the first that has a name serves it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import attrs
from twisted.internet.defer import CancelledError

from pxetwist.boot.file_names import meant
from pxetwist.boot.guard import Bugs
from pxetwist.boot.loaders import Loaders
from pxetwist.errors import ContentError, ContentNotFound, PolicyError, PxeError
from pxetwist.interfaces import IContent, IContentStore, IListsFolders, INamesDisks, IRepeats
from pxetwist.model.boot import BootRequest
from pxetwist.model.boots import SanDisk
from pxetwist.model.content import ContentPath, Listed


@attrs.frozen
class Contents:
    """The content stores, with the names of their instances."""

    named: Sequence[tuple[str, IContentStore]]
    loaders: Loaders
    bugs: Bugs

    @property
    def stores(self) -> Sequence[IContentStore]:
        """The stores alone."""
        return [store for _, store in self.named]

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a content from the first store that has it.

        :raises ContentNotFound: if none has.
        :raises PolicyError: if a store has a bug, or cannot read what it has.
        """
        for name in meant(path, request, self.loaders):
            for instance, store in self.named:
                try:
                    content = await store.open(name, request)
                    if fault := _fault(content):
                        raise PolicyError(f"content {instance} failed: open {fault}")
                except ContentNotFound:
                    continue
                except (PxeError, CancelledError):
                    raise
                except Exception as error:
                    if not isinstance(error, OSError):
                        self.bugs.note(f"content {instance}", error)
                    what = f"content {instance} failed: {type(error).__name__}: {error}"
                    raise PolicyError(what) from error
                return content
        raise ContentNotFound(str(path))

    def lasts(self, path: ContentPath, content: IContent, request: BootRequest) -> bool:
        """Ask the first store."""
        _, first = self.named[0]
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


def _fault(content: IContent) -> str:
    """Say why nobody can send what a store has opened; empty: it can be sent."""
    if not IContent.providedBy(content):
        return f"returns a {type(content).__name__}, which provides no IContent"
    size = getattr(content.info, "size", None)
    if isinstance(size, int) and size >= 0:
        return ""
    content.close()
    return f"returns a content of the size {size!r}"
