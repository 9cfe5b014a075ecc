"""What an operator has open by SFTP: a content, an upload, or a folder."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator

from twisted.conch.interfaces import ISFTPFile
from twisted.conch.ssh import filetransfer
from twisted.conch.ssh.filetransfer import SFTPError
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pxetwist.errors import PxeError
from pxetwist.interfaces import IContent
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ROOT, ContentPath, Listed
from pxetwist.services import requests
from pxetwist.services.sftp.work import OperatorWork
from pxetwist.services.uploads import Upload, UploadTooLarge

Attributes = dict[str, int]

_MOST_READ = 1 << 18  # bytes of one answer


def attributes_of(size: int | None, modified: float, *, writable: bool = False) -> Attributes:
    """Describe a file, or a folder, which has no size."""
    when = int(modified)
    kind = stat.S_IFREG if size is not None else stat.S_IFDIR
    mode = kind | (0o755 if size is None else 0o444) | (0o200 if writable else 0)
    return {"size": size or 0, "permissions": mode, "atime": when, "mtime": when}


@implementer(ISFTPFile)
class OpenFile:
    """A content that is read."""

    def __init__(self, work: OperatorWork, content: IContent, request: BootRequest) -> None:
        self._work = work
        self._content = content
        self._request = request
        self._octets = 0
        self._began = work.now()

    def readChunk(self, offset: int, length: int) -> Deferred[bytes]:
        """Return a part; an empty one is the end."""
        return self._work.guarded(self._read(offset, min(length, _MOST_READ)))

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
        return attributes_of(self._content.info.size, self._content.info.modified)

    def setAttrs(self, attrs: Attributes) -> None:
        """Keep them."""

    def close(self) -> None:
        """Let go of it, and tell observers if all of it was read."""
        self._work.opened.discard(self)
        self._content.close()
        if self._octets >= self._content.info.size:
            seconds = self._work.now() - self._began
            path = self._request.wanted or ROOT
            said = f"sent {requests.transferred(path, self._octets, seconds)}"
            self._work.tell(path, said, self._octets, whole=True)

    def abandon(self) -> None:
        """Let go of it: the operator has left."""
        self._content.close()


@implementer(ISFTPFile)
class Reception:
    """A file that is uploaded; it has its name when it is closed."""

    def __init__(self, work: OperatorWork, path: ContentPath, upload: Upload) -> None:
        self._work = work
        self._path = path
        self._upload = upload
        self._began = work.now()
        self._failed = ""  # why no more is taken

    def readChunk(self, offset: int, length: int) -> bytes:
        """Refuse it."""
        raise SFTPError(filetransfer.FX_PERMISSION_DENIED, "it was opened to be written")

    def writeChunk(self, offset: int, data: bytes) -> Deferred[None]:
        """Add bytes, which must come in order."""
        return self._work.guarded(self._write(offset, data))

    async def _write(self, offset: int, data: bytes) -> None:
        if self._failed or offset != self._upload.size:
            self._failed = self._failed or "files are sent from beginning to end"
            raise SFTPError(filetransfer.FX_FAILURE, self._failed)
        try:
            self._upload.write(data)
        except (UploadTooLarge, OSError) as error:
            self._failed = str(error)
            raise SFTPError(filetransfer.FX_FAILURE, self._failed) from None

    def getAttrs(self) -> Attributes:
        """Tell how much has come."""
        return attributes_of(self._upload.size, time.time(), writable=True)

    def setAttrs(self, attrs: Attributes) -> None:
        """Keep the mode that uploads have."""

    def close(self) -> Deferred[None]:
        """Give it its name, if all of it was taken."""
        return self._work.guarded(self._close())

    async def _close(self) -> None:
        self._work.opened.discard(self)
        size, seconds = self._upload.size, self._work.now() - self._began
        try:
            if self._failed:
                raise SFTPError(filetransfer.FX_FAILURE, self._failed)
            self._upload.publish()
        except (SFTPError, PxeError, OSError) as error:
            why = error.message if isinstance(error, SFTPError) else error
            self._work.tell(self._path, f"did not take {self._path}: {why}", size, whole=False)
            raise
        finally:
            self._upload.close()
        said = f"received {requests.transferred(self._path, size, seconds)}"
        self._work.tell(self._path, said, size, whole=True)

    def abandon(self) -> None:
        """Throw it away: the operator has left."""
        so_far = requests.octets_text(self._upload.size)
        said = f"stopped receiving {self._path} after {so_far}: the connection is lost"
        self._upload.close()
        self._work.tell(self._path, said, 0, whole=False)


class Listing:
    """A folder that is shown."""

    def __init__(self, listed: list[Listed], *, writable: bool) -> None:
        self._listed = [each for each in listed if each.name.isprintable()]
        self._writable = writable

    def __iter__(self) -> Iterator[tuple[bytes, bytes, Attributes]]:
        for each in self._listed:
            name = each.name.encode("utf-8", "surrogateescape")
            about = attributes_of(each.size, each.modified, writable=self._writable)
            mode = stat.filemode(about["permissions"]).encode()
            when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.modified)).encode()
            yield name, b"%s 1 %12d %s %s" % (mode, each.size or 0, when, name), about

    def close(self) -> None:
        """Hold nothing."""
