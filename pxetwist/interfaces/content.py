"""Where files come from."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Attribute, Interface

from pxetwist.model.boot import BootRequest
from pxetwist.model.boots import SanDisk
from pxetwist.model.content import ContentInfo, ContentPath, Listed


class IContent(Interface):
    """An open content."""

    info: ContentInfo = Attribute("size, modified, tag, media type; the size is never unknown")

    async def read(offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer only at the end."""

    def fileno() -> int | None:
        """Return a plain file's descriptor, so that services may use sendfile or a memory map.

        The content begins at `info.offset` in that file, and may end before it.
        """

    def close() -> None:
        """Let go of it; closing twice does no harm."""


class IContentStore(Interface):
    """Has files, or makes them."""

    async def open(path: ContentPath, request: BootRequest) -> IContent:
        """Open a content for this request, whose `machine` and `plan` are resolved.

        :raises ContentNotFound: if there is none here; the next store is asked.
        :raises ContentIncomplete: if there would be, but no store has what it is made from.
        :raises ContentDenied: if there is, but not for this request.
        """


class IListsFolders(Interface):
    """May be provided by a content store as well: shows everybody what is in its folders."""

    def listed(path: ContentPath) -> Sequence[Listed]:
        """Return what is in a folder, in any order.

        :raises ContentNotFound: if there is no such folder here, or it is not shown.
        :raises ContentDenied: if it is not for anybody.
        """


class IRepeats(Interface):
    """May be provided by a content store as well: knows what it would give again. It is asked if
    it is the first store: what another gives depends on what those before it lack.
    """

    def lasts(path: ContentPath, content: IContent, request: BootRequest) -> bool:
        """Return whether to open a path again for this request, whenever that is, would begin
        nothing and give this content, which is in memory and was opened for it just now.
        """


class INamesDisks(Interface):
    """May be provided by a content store as well: knows the words of profiles for iSCSI disks."""

    def disk(request: BootRequest) -> SanDisk | None:
        """Return the disk of a resolved request; `None`: its plan has none.

        :raises PolicyError: if the profile makes no names of it.
        """
