"""Contents from a folder of files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import attrs
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.content.listing import page
from pxetwist.content.small_files import SmallFiles
from pxetwist.content.spellings import Spellings
from pxetwist.errors import ContentDenied, ContentNotFound
from pxetwist.interfaces import IContent, IContentStore, IListsFolders, Site
from pxetwist.model.boot import BootRequest, Protocol
from pxetwist.model.content import ContentInfo, ContentPath, Listed

#: UEFI HTTP boot knows these three exactly (EDK2 HttpBootDxe); all others are just bytes.
_MEDIA_TYPES = {
    ".efi": "application/efi",
    ".iso": "application/vnd.efi-iso",
    ".img": "application/vnd.efi-img",
    ".cfg": "text/plain",
    ".ipxe": "text/plain",
    ".txt": "text/plain",
}
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


@attrs.frozen
class Settings:
    """Options of ``[content:…]`` with the plugin ``directory``."""

    root: Path = option(fields.folder, doc="The folder whose files are served.")
    ignore_case: bool = option(
        fields.boolean,
        default=True,
        doc="Find a file under any case, if there is none of exactly that name (Windows).",
    )
    listing: bool = option(
        fields.boolean,
        default=False,
        doc="Show by HTTP what is in the folders below it, to everybody; by FTP and SFTP also what"
        " is in itself.",
    )


def build(settings: Settings, site: Site) -> IContentStore:
    """Make the store."""
    directory = Directory(settings.root, settings.ignore_case)
    return ListedDirectory(directory) if settings.listing else directory


@implementer(IContentStore)
@attrs.frozen
class Directory:
    """Serves the regular files below a folder; symbolic links may not lead out of it."""

    root: Path
    ignore_case: bool = True
    _small: SmallFiles = attrs.field(init=False, factory=SmallFiles, eq=False, repr=False)
    _spellings: Spellings = attrs.field(init=False, factory=Spellings, eq=False, repr=False)

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a file; a small one may be in memory already."""
        kept = self._small.get(f"{self.root}/{path}", media_type_of(path.name))
        return self.open_file(path) if kept is None else kept

    def open_file(self, path: ContentPath) -> File:
        """Open a file on the disk.

        :raises ContentNotFound: if there is none.
        """
        parts = tuple(os.fsencode(part) for part in path.parts)
        root = self._open_root()
        try:
            return self._open(root, parts)
        finally:
            os.close(root)

    def place(self, path: ContentPath) -> Path | None:
        """Return where the file of that name is, if there is one; who may have it is not asked."""
        try:
            root = self._open_root()
        except ContentNotFound:
            return None
        try:
            found = self._find(root, tuple(os.fsencode(part) for part in path.parts))
        except (ContentNotFound, ContentDenied):
            return None
        finally:
            os.close(root)
        try:
            return Path(os.fsdecode(_place(found)))
        finally:
            os.close(found)

    def listed(self, path: ContentPath) -> list[Listed]:
        """Return what is in a folder, but for what symbolic links find outside.

        :raises ContentNotFound: if there is no such folder.
        """
        root = self._open_root()
        try:
            parts = tuple(os.fsencode(part) for part in path.parts)
            found = self._find(root, parts or (b".",))
            inside = _place(root).rstrip(b"/") + b"/"
        finally:
            os.close(root)
        try:
            if not (_place(found) + b"/").startswith(inside):
                raise ContentDenied("a symbolic link leads out of the folder")
            with os.scandir(_place(found)) as entries:
                return [listed for entry in entries if (listed := _listed(entry, inside))]
        except OSError as error:
            raise ContentNotFound(f"{path}: no folder to be shown") from error
        finally:
            os.close(found)

    def _open_root(self) -> int:
        try:
            return os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ContentNotFound(f"{self.root}: {error.strerror}") from error

    def _open(self, root: int, parts: tuple[bytes, ...]) -> File:
        found = self._find(root, parts)
        try:
            facts = os.fstat(found)
            if not stat.S_ISREG(facts.st_mode):
                raise ContentNotFound("no regular file")
            place = _place(found)
            if not place.startswith(_place(root).rstrip(b"/") + b"/"):
                out = f"a symbolic link leads out of {self.root} to {os.fsdecode(place)}"
                raise ContentDenied(f"{out}; mend: copy or mount it there")
            # Only what was checked is opened: the same inode, by its descriptor.
            descriptor = os.open(_link(found), os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError as error:
            mend = f"mend: chmod a+r {os.fsdecode(_place(found))}"
            raise ContentDenied(f"the server may not read it; {mend}") from error
        finally:
            os.close(found)
        tag = f"{facts.st_dev:x}-{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"
        media_type = media_type_of(os.fsdecode(parts[-1]))
        info = ContentInfo(facts.st_size, facts.st_mtime, tag, media_type)
        self._small.keep(descriptor, facts, info)
        return File(descriptor, info)

    def _find(self, root: int, parts: tuple[bytes, ...]) -> int:
        """Open a name for looking at it only, which touches no device and waits for no pipe."""
        name = b"/".join(parts)
        try:
            return os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=root)
        except PermissionError as error:
            mend = f"mend: chmod a+x for the folders of {os.fsdecode(name)} in {self.root}"
            raise ContentDenied(f"the server may not look there; {mend}") from error
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
        other = self._spellings.spell(_link(root), parts) if self.ignore_case else None
        if other is None or other == parts:
            raise ContentNotFound(os.fsdecode(name))
        return self._find(root, other)


@implementer(IContentStore, IListsFolders)
@attrs.frozen
class ListedDirectory:
    """A folder of which people may see what is in it."""

    directory: Directory

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a file, or the page of a folder."""
        try:
            return await self.directory.open(path, request)
        except ContentNotFound:
            if request.protocol is not Protocol.HTTP:
                raise
        return page(request.wanted or path, self.directory.listed(path))

    def listed(self, path: ContentPath) -> list[Listed]:
        """Return what is in a folder."""
        return self.directory.listed(path)


def _listed(entry: os.DirEntry[bytes], inside: bytes) -> Listed | None:
    """Return a file or folder; `None` for what is not served."""
    name = os.fsdecode(entry.name)
    try:
        if entry.is_symlink() and not os.path.realpath(entry.path).startswith(inside):
            return None
        if entry.is_dir():
            return Listed(name, modified=entry.stat().st_mtime)
        facts = entry.stat()
        return Listed(name, facts.st_size, facts.st_mtime) if entry.is_file() else None
    except OSError:
        return None  # it is gone by now, or leads in circles


def _link(descriptor: int) -> bytes:
    return b"/proc/self/fd/%d" % descriptor


def _place(descriptor: int) -> bytes:
    """Return where the kernel says an open file is, after all symbolic links."""
    return os.readlink(_link(descriptor))


def media_type_of(name: str) -> str:
    """Return the media type that firmware expects of a file with this name."""
    suffix = os.path.splitext(name)[1].lower()
    return _MEDIA_TYPES.get(suffix, "application/octet-stream")


@implementer(IContent)
class File:
    """An open regular file, or a part of one, see `info.offset`; a file that replaces it under
    its name does not disturb it.
    """

    def __init__(self, descriptor: int, info: ContentInfo) -> None:
        self.info = info
        self._descriptor = descriptor

    async def read(self, offset: int, length: int) -> bytes:
        """Return a part of the file."""
        length = max(min(length, self.info.size - offset), 0)
        return os.pread(self._descriptor, length, self.info.offset + offset)

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close the descriptor, once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
