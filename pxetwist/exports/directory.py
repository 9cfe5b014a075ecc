"""A folder as the root of machines."""

from __future__ import annotations

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import attrs
from twisted.application.service import Service
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.errors import TreeDenied, TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.exports.kernel_handles import key_of, open_by_key
from pxetwist.exports.open_files import ERRORS, FileData, facts_of, link
from pxetwist.exports.places import Places
from pxetwist.file_tree import IExport, IFileData, IFileTree
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.file_tree import Entry, FileAttributes, Listing

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
#: So many files are held open for looking at them, so many directories' names are kept.
_HELD, _LISTINGS = 256, 8
#: A directory that was changed so lately (nanoseconds) is read each time.
_UNSETTLED = 1_000_000_000


@attrs.frozen
class Settings:
    """Options of ``[export:NAME]``."""

    path: Path = option(
        fields.path,
        doc="The folder. If it is a symbolic link, machines that start get what it leads to then.",
    )


def build(settings: Settings, site: Site) -> DirectoryExport:
    """Make the export."""
    places = Places(site.state_folder / f"export-{site.name}.sqlite")
    return DirectoryExport(DirectoryTree(settings.path, places))


@implementer(IExport)
class DirectoryExport(Service):
    """The same tree for every machine."""

    def __init__(self, files: DirectoryTree) -> None:
        self._files = files

    def tree(self, request: BootRequest) -> IFileTree:
        """Return it."""
        return self._files

    def stopService(self) -> None:
        """Let go of everything."""
        super().stopService()
        self._files.close()


@implementer(IFileTree)
class DirectoryTree:
    """The files below a folder, of its own file system only. Where the kernel opens handles for
    us, a key is all that it takes; else `places` say where its file was seen.
    """

    def __init__(self, folder: Path, places: Places, *, handles: bool = True) -> None:
        self._folder = folder
        self._places = places
        self._handles: bool | None = None if handles else False
        self._root = b""
        self._top = -1  # the root, open for reading: the kernel wants such a one with a handle
        self._mount = 0
        self._held: OrderedDict[bytes, int] = OrderedDict()
        self._listings: OrderedDict[bytes, tuple[int, Listing]] = OrderedDict()

    def root(self) -> bytes:
        """Return the folder's key, as its path leads now."""
        try:
            top = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError as error:
            raise TreeDenied(f"{self._folder}: {error.strerror}") from None
        except OSError as error:
            raise TreeNotFound(f"{self._folder}: {error.strerror}") from None
        key, mount = key_of(top)
        if self._top >= 0:
            os.close(self._top)
        self._top, self._root, self._mount = top, key, mount
        if self._handles is None:
            self._handles = _opens_handles(top, key)
        if not self._handles:
            self._places.note(key, b"", os.fsencode(os.path.realpath(self._folder)))
        return key

    def attributes(self, key: bytes) -> FileAttributes:
        """Return the facts of a file."""
        with ERRORS:
            found = os.fstat(self._descriptor(key))
        if not found.st_nlink:
            self._forget(key)
            raise TreeStale("it was removed")
        return facts_of(found, found.st_ino)

    def look_up(self, directory: bytes, name: bytes) -> bytes:
        """Return the key of a name."""
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise TreeNotFound(repr(name))
        with ERRORS:
            return self._take(directory, name, self._descriptor(directory))

    def parent(self, directory: bytes) -> bytes:
        """Return the key of the directory above."""
        if not self.place(directory):
            return directory
        with ERRORS:
            above = os.open(b"..", _LOOK | os.O_DIRECTORY, dir_fd=self._descriptor(directory))
            key, mount = key_of(above)
        self._hold(key, above)
        if mount != self._mount:
            raise TreeStale("it is above the file system of the export")
        return key

    def place(self, directory: bytes) -> tuple[bytes, ...]:
        """Return the names that lead to a directory. Beside the folder that a link leads to now
        are those that it has led to.
        """
        with ERRORS:
            descriptor = self._descriptor(directory)
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise TreeWrongKind("it is no directory")
            path, top = (os.readlink(link(each)) for each in (descriptor, self._top))
        if path == top:
            return ()
        if path.startswith(top.rstrip(b"/") + b"/"):
            return tuple(path[len(top) :].strip(b"/").split(b"/"))
        versions = os.path.dirname(top).rstrip(b"/") + b"/"
        if path.startswith(versions) and self._folder.is_symlink():
            return tuple(path[len(versions) :].split(b"/")[1:])
        raise TreeStale("it is not below the folder any more")

    def entries(self, directory: bytes, after: int) -> Iterator[Entry]:
        """Yield what is in a directory."""
        for cookie, name in self.listing(directory).after(after):
            try:
                yield Entry(cookie, name, self.look_up(directory, name))
            except (TreeNotFound, TreeDenied):
                continue  # it is gone since, or a mount point

    def link_target(self, key: bytes) -> bytes:
        """Return where a symbolic link leads."""
        with ERRORS:
            descriptor = self._descriptor(key)
            if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                raise TreeWrongKind("it is no symbolic link")
            return os.readlink(b"", dir_fd=descriptor)

    def open(self, key: bytes) -> IFileData:
        """Open a regular file: the very one that the key means."""
        with ERRORS:
            descriptor = self._descriptor(key)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise TreeWrongKind("it is no regular file")
            return FileData(os.open(link(descriptor), os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        """Let go of everything."""
        for descriptor in (*self._held.values(), *({self._top} - {-1})):
            os.close(descriptor)
        self._held.clear()
        self._top, self._root = -1, b""
        self._places.close()

    # Keys and descriptors

    def _top_key(self) -> bytes:
        return self._root or self.root()

    def _descriptor(self, key: bytes) -> int:
        """Return the descriptor of a file, for looking at it only; it is ours to close."""
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
            return found
        self._top_key()
        if not self._handles:
            return self._found(key)
        found = open_by_key(self._top, key)
        self._hold(key, found)
        return found

    def _found(self, key: bytes) -> int:
        """Look for a file at its place, where another one may be by now."""
        place = self._places.of(key)
        if place is None:
            raise TreeStale("nobody has seen it")
        directory, name = place
        try:
            parent = self._descriptor(directory) if directory else None
            there = self._take(directory, name, parent)
        except (TreeDenied, FileNotFoundError, NotADirectoryError) as error:
            raise TreeStale("it is not where it was") from error
        if there != key:
            raise TreeStale("another file has its name")
        return self._held[key]

    def _take(self, directory: bytes, name: bytes, parent: int | None) -> bytes:
        found = os.open(name, _LOOK, dir_fd=parent)
        try:
            key, mount = key_of(found)
        except OSError:
            os.close(found)
            raise
        if mount != self._mount:
            os.close(found)
            raise TreeDenied("it is on another file system")
        if not self._handles:
            self._places.note(key, directory, name)
        self._hold(key, found)
        return key

    def _hold(self, key: bytes, descriptor: int) -> None:
        former = self._held.pop(key, None)
        if former is not None:
            os.close(former)
        self._held[key] = descriptor
        if len(self._held) > _HELD:
            os.close(self._held.popitem(last=False)[1])

    def _forget(self, key: bytes) -> None:
        descriptor = self._held.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)

    def listing(self, directory: bytes) -> Listing:
        """Return the names in a directory."""
        with ERRORS:
            descriptor = self._descriptor(directory)
            changed = os.fstat(descriptor).st_mtime_ns
            known = self._listings.get(directory)
            if known is not None and known[0] == changed:
                self._listings.move_to_end(directory)
                return known[1]
            made = Listing(os.listdir(link(descriptor)))
        # One that was changed a moment ago may change again at the same time of its clock.
        settled = time.time_ns() - changed > _UNSETTLED
        self._listings[directory] = (changed if settled else -1, made)
        self._listings.move_to_end(directory)
        if len(self._listings) > _LISTINGS:
            self._listings.popitem(last=False)
        return made


def _opens_handles(top: int, key: bytes) -> bool:
    try:
        os.close(open_by_key(top, key))
    except OSError:
        return False
    return True
