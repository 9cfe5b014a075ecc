"""What operators see by SFTP: the content, to be read, and a folder for their uploads."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping

from twisted.conch.interfaces import ISFTPServer
from twisted.conch.ssh import filetransfer
from twisted.conch.ssh.filetransfer import SFTPError
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pxetwist.errors import ContentDenied, ContentError, ContentNotFound
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest, Protocol
from pxetwist.model.content import ROOT, ContentPath, Listed
from pxetwist.services import requests
from pxetwist.services.sftp.opened import Attributes, Listing, OpenFile, Reception, attributes_of
from pxetwist.services.sftp.work import Operator, OperatorWork
from pxetwist.services.uploads import Uploads

#: The folder for uploads, as operators see it.
DROP = "drop"

_MOST_OPEN = 16  # files and folders of one operator at a time
_UNSUPPORTED = filetransfer.FX_OP_UNSUPPORTED


@implementer(ISFTPServer)
class OperatorFiles:
    """The files of one operator's session; `opened` are those that are not closed yet."""

    def __init__(self, site: Site, operator: Operator, uploads: Uploads | None) -> None:
        self._site = site
        self.avatar = operator.name
        self._operator = operator
        self._work = OperatorWork(site, operator)
        self.opened = self._work.opened
        self._uploads = uploads

    def _path(self, name: bytes) -> ContentPath:
        """Return what a name means: ``..`` of the root is the root, as for all systems."""
        whole = posixpath.normpath("/" + name.decode("utf-8", "surrogateescape"))
        if not whole.strip("/"):
            return ROOT
        try:
            return ContentPath.parse(whole)
        except ValueError as error:
            raise ContentDenied(str(error)) from None

    def _dropped(self, path: ContentPath) -> tuple[str, ...] | None:
        """Return the place of a path in the folder for uploads, if it is there."""
        if self._uploads is None or path.parts[:1] != (DROP,):
            return None
        return path.parts[1:]

    # Files

    def gotVersion(self, otherVersion: int, extData: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Know no extensions."""
        return {}

    def openFile(
        self, filename: bytes, flags: int, attrs: Attributes
    ) -> Deferred[OpenFile | Reception]:
        """Open a content, or begin an upload."""
        return self._work.guarded(self._open(filename, flags))

    async def _open(self, filename: bytes, flags: int) -> OpenFile | Reception:
        if len(self.opened) >= _MOST_OPEN:
            raise SFTPError(filetransfer.FX_FAILURE, "too many files are open")
        path = self._path(filename)
        made: OpenFile | Reception
        if flags & (filetransfer.FXF_WRITE | filetransfer.FXF_APPEND):
            made = self._begin_upload(path, flags)
        else:
            request = await self._request(path)
            content = await self._content(path, request)
            made = OpenFile(self._work, content, request)
        self.opened.add(made)
        return made

    def _begin_upload(self, path: ContentPath, flags: int) -> Reception:
        place = self._dropped(path)
        if not place or self._uploads is None:
            raise ContentDenied(f"files are taken in /{DROP} only")
        if flags & filetransfer.FXF_READ or flags & filetransfer.FXF_APPEND:
            raise SFTPError(_UNSUPPORTED, "files are sent as a whole")
        try:
            return Reception(self._work, path, self._uploads.open(ContentPath(place), None))
        except (ContentError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self._work.tell(path, f"did not take {path}: {why}", 0, whole=False)
            raise

    async def _request(self, path: ContentPath) -> BootRequest:
        request = requests.content_request(
            self._site,
            Protocol.SFTP,
            path,
            identity=self._operator.identity,
            boot_id="",
            local=self._operator.local,
        )
        resolved: BootRequest = (await self._site.boot.resolve(request)).request
        return resolved

    async def _content(self, path: ContentPath, request: BootRequest) -> IContent:
        if self._dropped(path) is not None or not path.parts:
            raise ContentDenied("what was uploaded is not given out")
        content: IContent = await self._site.boot.open(path, request)
        return content

    # Folders

    def openDirectory(self, path: bytes) -> Deferred[Listing]:
        """Show what stores show, and what was uploaded."""
        return self._work.guarded(self._list(path))

    async def _list(self, name: bytes) -> Listing:
        path = self._path(name)
        return Listing(list(self._listed(path)), writable=self._dropped(path) is not None)

    def _listed(self, path: ContentPath) -> Iterator[Listed]:
        place = self._dropped(path)
        if place is not None and self._uploads is not None:
            yield from self._uploads.listed(place)
            return
        if not path.parts and self._uploads is not None:
            yield Listed(DROP)
        try:
            yield from self._site.boot.listed(path)
        except ContentError:
            if path.parts:
                raise

    def getAttrs(self, path: bytes, followLinks: int) -> Deferred[Attributes]:
        """Tell what a file or folder is."""
        return self._work.guarded(self._attributes(path))

    async def _attributes(self, name: bytes) -> Attributes:
        path = self._path(name)
        place = self._dropped(path)
        if place:
            *_, last = place
            for each in self._listed(ContentPath(path.parts[:-1])):
                if each.name == last:
                    return attributes_of(each.size, each.modified, writable=True)
            raise ContentNotFound(f"{path}: no such file")
        if place is not None or not path.parts:
            return attributes_of(None, 0, writable=place is not None)
        try:
            content = await self._content(path, await self._request(path))
        except ContentError:
            list(self._listed(path))
            return attributes_of(None, 0)
        content.close()
        return attributes_of(content.info.size, content.info.modified)

    def setAttrs(self, path: bytes, attrs: Attributes) -> None:
        """Keep modes and times as they are."""

    def realPath(self, path: bytes) -> bytes:
        """Spell a name from the root on."""
        return posixpath.normpath(b"/" + path).replace(b"//", b"/")

    # Everything else is refused

    def _refused(self, *_: object) -> None:
        raise SFTPError(filetransfer.FX_PERMISSION_DENIED, "nothing is changed here")

    removeFile: Callable[..., None] = _refused
    renameFile: Callable[..., None] = _refused
    makeDirectory: Callable[..., None] = _refused
    removeDirectory: Callable[..., None] = _refused
    makeLink: Callable[..., None] = _refused

    def readLink(self, path: bytes) -> bytes:
        """Show no links."""
        raise SFTPError(filetransfer.FX_NO_SUCH_FILE, "no link")

    def extendedRequest(self, extendedName: bytes, extendedData: bytes) -> bytes:
        """Know no extensions."""
        raise SFTPError(_UNSUPPORTED, "no such extension")
