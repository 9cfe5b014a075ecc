"""What operators see by SFTP: the content, to be read, and a folder for their uploads."""

from __future__ import annotations

import posixpath
import stat
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

import attrs
from twisted.conch.interfaces import ISFTPFile, ISFTPServer
from twisted.conch.ssh import filetransfer
from twisted.conch.ssh.filetransfer import SFTPError
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pxetwist.errors import ContentDenied, ContentError, ContentNotFound, PxeError
from pxetwist.interfaces import IContent, Site
from pxetwist.model.boot import BootRequest, Protocol
from pxetwist.model.content import ROOT, ContentPath, Listed
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.services import requests
from pxetwist.services.uploads import Upload, Uploads, UploadTooLarge

T = TypeVar("T")
Attributes = dict[str, int]

#: The folder for uploads, as operators see it.
DROP = "drop"

_MOST_READ = 1 << 18  # bytes of one answer
_MOST_OPEN = 16  # files and folders of one operator at a time
_UNSUPPORTED = filetransfer.FX_OP_UNSUPPORTED


def _code(error: PxeError) -> int:
    if isinstance(error, ContentDenied):
        return int(filetransfer.FX_PERMISSION_DENIED)
    if isinstance(error, ContentNotFound):
        return int(filetransfer.FX_NO_SUCH_FILE)
    return int(filetransfer.FX_FAILURE)


def _attributes(size: int | None, modified: float, *, writable: bool = False) -> Attributes:
    when = int(modified)
    kind = stat.S_IFREG if size is not None else stat.S_IFDIR
    mode = kind | (0o755 if size is None else 0o444) | (0o200 if writable else 0)
    return {"size": size or 0, "permissions": mode, "atime": when, "mtime": when}


@attrs.frozen
class Operator:
    """Who uploads and reads: a name, and the address that it comes from."""

    name: str
    identity: ClientIdentity
    local: str


@implementer(ISFTPServer)
class OperatorFiles:
    """The files of one operator's session; `opened` are those that are not closed yet."""

    def __init__(self, site: Site, operator: Operator, uploads: Uploads | None) -> None:
        self.opened: set[OpenFile | Reception] = set()
        self._site = site
        self.avatar = operator.name
        self._operator = operator
        self._uploads = uploads

    def _guarded(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Do something, and answer mistakes by their codes; those of ours are logged."""
        return Deferred.fromCoroutine(self._guard(work))

    async def _guard(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        try:
            return await work
        except (SFTPError, EOFError):
            raise
        except PxeError as error:
            raise SFTPError(_code(error), str(error)) from None
        except OSError as error:
            text = error.strerror or str(error)
            raise SFTPError(filetransfer.FX_FAILURE, text) from None
        except Exception:
            self._site.log.failure("a request of an operator failed")
            raise SFTPError(filetransfer.FX_FAILURE, "internal trouble") from None

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
        return self._guarded(self._open(filename, flags))

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
            made = OpenFile(self, content, request)
        self.opened.add(made)
        return made

    def _begin_upload(self, path: ContentPath, flags: int) -> Reception:
        place = self._dropped(path)
        if not place or self._uploads is None:
            raise ContentDenied(f"files are taken in /{DROP} only")
        if flags & filetransfer.FXF_READ or flags & filetransfer.FXF_APPEND:
            raise SFTPError(_UNSUPPORTED, "files are sent as a whole")
        return Reception(self, path, self._uploads.open(ContentPath(place), None))

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

    def guarded(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Do something for an open file, as above."""
        return self._guarded(work)

    def closed(self, opened: OpenFile | Reception) -> None:
        """Know that a file was closed."""
        self.opened.discard(opened)

    def tell(self, path: ContentPath, summary: str, octets: int, *, whole: bool) -> None:
        """Tell observers what became of a file."""
        operator = self._operator
        details = {"path": str(path), "bytes": octets, "address": str(operator.identity.address)}
        kind = EventKind.ENDED if whole else EventKind.FAILED
        who, now = f"operator {operator.name}", self._site.reactor.seconds()
        self._site.boot.tell(BootEvent(now, kind, "sftp", who, summary=summary, details=details))

    def now(self) -> float:
        """Return the time."""
        return float(self._site.reactor.seconds())

    # Folders

    def openDirectory(self, path: bytes) -> Deferred[Listing]:
        """Show what stores show, and what was uploaded."""
        return self._guarded(self._list(path))

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
        return self._guarded(self._attributes(path))

    async def _attributes(self, name: bytes) -> Attributes:
        path = self._path(name)
        place = self._dropped(path)
        if place:
            *_, last = place
            for each in self._listed(ContentPath(path.parts[:-1])):
                if each.name == last:
                    return _attributes(each.size, each.modified, writable=True)
            raise ContentNotFound(f"{path}: no such file")
        if place is not None or not path.parts:
            return _attributes(None, 0, writable=place is not None)
        try:
            content = await self._content(path, await self._request(path))
        except ContentError:
            list(self._listed(path))
            return _attributes(None, 0)
        content.close()
        return _attributes(content.info.size, content.info.modified)

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


@implementer(ISFTPFile)
class OpenFile:
    """A content that is read."""

    def __init__(self, files: OperatorFiles, content: IContent, request: BootRequest) -> None:
        self._files = files
        self._content = content
        self._request = request
        self._octets = 0
        self._began = files.now()

    def readChunk(self, offset: int, length: int) -> Deferred[bytes]:
        """Return a part; an empty one is the end."""
        return self._files.guarded(self._read(offset, min(length, _MOST_READ)))

    async def _read(self, offset: int, length: int) -> bytes:
        if offset >= self._content.info.size:
            raise EOFError
        data = await self._content.read(offset, length)
        self._octets += len(data)
        return data

    def writeChunk(self, offset: int, data: bytes) -> None:
        """Refuse it."""
        raise SFTPError(filetransfer.FX_PERMISSION_DENIED, "it was opened to be read")

    def getAttrs(self) -> Attributes:
        """Tell its size and time."""
        return _attributes(self._content.info.size, self._content.info.modified)

    def setAttrs(self, attrs: Attributes) -> None:
        """Keep them."""

    def close(self) -> None:
        """Let go of it, and tell observers if all of it was read."""
        self._files.closed(self)
        self._content.close()
        if self._octets >= self._content.info.size:
            seconds = self._files.now() - self._began
            path = self._request.wanted or ROOT
            said = f"sent {requests.transferred(path, self._octets, seconds)}"
            self._files.tell(path, said, self._octets, whole=True)

    def abandon(self) -> None:
        """Let go of it: the operator has left."""
        self._content.close()


@implementer(ISFTPFile)
class Reception:
    """A file that is uploaded; it has its name when it is closed."""

    def __init__(self, files: OperatorFiles, path: ContentPath, upload: Upload) -> None:
        self._files = files
        self._path = path
        self._upload = upload
        self._began = files.now()
        self._failed = False

    def readChunk(self, offset: int, length: int) -> bytes:
        """Refuse it."""
        raise SFTPError(filetransfer.FX_PERMISSION_DENIED, "it was opened to be written")

    def writeChunk(self, offset: int, data: bytes) -> Deferred[None]:
        """Add bytes, which must come in order."""
        return self._files.guarded(self._write(offset, data))

    async def _write(self, offset: int, data: bytes) -> None:
        if self._failed or offset != self._upload.size:
            self._failed = True
            raise SFTPError(filetransfer.FX_FAILURE, "files are sent from beginning to end")
        try:
            self._upload.write(data)
        except (UploadTooLarge, OSError) as error:
            self._failed = True
            raise SFTPError(filetransfer.FX_FAILURE, str(error)) from None

    def getAttrs(self) -> Attributes:
        """Tell how much has come."""
        return _attributes(self._upload.size, time.time(), writable=True)

    def setAttrs(self, attrs: Attributes) -> None:
        """Keep the mode that uploads have."""

    def close(self) -> Deferred[None]:
        """Give it its name, if all of it was taken."""
        return self._files.guarded(self._close())

    async def _close(self) -> None:
        self._files.closed(self)
        size, seconds = self._upload.size, self._files.now() - self._began
        try:
            if self._failed:
                raise SFTPError(filetransfer.FX_FAILURE, "not all of it was taken")
            self._upload.publish()
        except (SFTPError, PxeError, OSError) as error:
            why = error.message if isinstance(error, SFTPError) else error
            self._files.tell(self._path, f"did not take {self._path}: {why}", size, whole=False)
            raise
        finally:
            self._upload.close()
        said = f"received {requests.transferred(self._path, size, seconds)}"
        self._files.tell(self._path, said, size, whole=True)

    def abandon(self) -> None:
        """Throw it away: the operator has left."""
        so_far = requests.octets_text(self._upload.size)
        said = f"stopped receiving {self._path} after {so_far}: the connection is lost"
        self._upload.close()
        self._files.tell(self._path, said, 0, whole=False)


class Listing:
    """A folder that is shown."""

    def __init__(self, listed: list[Listed], *, writable: bool) -> None:
        self._listed = [each for each in listed if each.name.isprintable()]
        self._writable = writable

    def __iter__(self) -> Iterator[tuple[bytes, bytes, Attributes]]:
        for each in self._listed:
            name = each.name.encode("utf-8", "surrogateescape")
            about = _attributes(each.size, each.modified, writable=self._writable)
            mode = stat.filemode(about["permissions"]).encode()
            when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.modified)).encode()
            yield name, b"%s 1 %12d %s %s" % (mode, each.size or 0, when, name), about

    def close(self) -> None:
        """Hold nothing."""
