"""Where files that clients send are put: one folder, which nothing leaves.

A file is written under another name that begins with a dot, and gets its own when it is whole.
Links are never followed: every folder on the way is opened by itself.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

import attrs

from pxetwist.errors import ContentDenied, ContentError, ContentNotFound
from pxetwist.model.content import ContentPath, Listed

_PREFIX, _SUFFIX = ".pxetwist-", ".part"
_CONTROL = re.compile(r"[\0-\x1f\x7f]")
_STALE = 86400.0  # seconds after which a part is of a server that was killed
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class UploadExists(ContentError):
    """There is a file of that name, and it may not be replaced."""


class UploadTooLarge(ContentError):
    """The file is larger than files may be, or than what the disk has room for."""


@attrs.frozen
class Uploads:
    """The folder `root`, with a limit for each file in bytes; `replace` allows known names."""

    root: Path
    limit: int
    replace: bool = False

    def open(self, path: ContentPath, announced: int | None) -> Upload:
        """Begin a file; nothing is made before its first bytes come.

        :raises ContentDenied: if the name is not one for files of clients.
        :raises ContentNotFound: if there is no such folder.
        :raises UploadExists: if the name is taken.
        :raises UploadTooLarge: if the client says that it is.
        """
        if any(part.startswith(".") for part in path.parts):
            raise ContentDenied("names with a dot in front are not for clients")
        if _CONTROL.search(path.name):  # what reads names line by line would take it for two
            raise ContentDenied("a name with a control character")
        if (announced or 0) > self.limit:
            raise UploadTooLarge(f"{announced} bytes are more than {self.limit}")
        folder = self._folder(path.parts[:-1])
        try:
            self._check(folder, path.name)
        except BaseException:
            os.close(folder)
            raise
        return Upload(folder, path.name, self.limit, self.replace)

    def listed(self, parts: tuple[str, ...]) -> list[Listed]:
        """Return the files and folders in a folder, but for links and what is being written.

        :raises ContentNotFound: if there is no such folder.
        """
        folder = self._folder(parts)
        try:
            with os.scandir(folder) as entries:
                shown = [each for each in entries if not each.name.startswith(".")]
                facts = [(each.name, each.stat(follow_symlinks=False)) for each in shown]
        finally:
            os.close(folder)
        return [
            Listed(name, None if stat.S_ISDIR(found.st_mode) else found.st_size, found.st_mtime)
            for name, found in facts
            if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
        ]

    def clean(self) -> None:
        """Remove what a server that was killed has left behind."""
        for part in self.root.rglob(f"{_PREFIX}*{_SUFFIX}"):
            try:
                if time.time() - part.lstat().st_mtime > _STALE:
                    part.unlink()
            except OSError:
                continue  # somebody else has, or it is not ours

    def _folder(self, parts: tuple[str, ...]) -> int:
        opened = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            try:
                inner = os.open(part, _FOLDER, dir_fd=opened)
            except (OSError, ValueError) as error:
                raise ContentNotFound(f"no folder {part!r}: {_why(error)}") from None
            finally:
                os.close(opened)
            opened = inner
        return opened

    def _check(self, folder: int, name: str) -> None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise ContentDenied(f"{name!r}: {_why(error)}") from None
        if not stat.S_ISREG(found.st_mode):
            raise ContentDenied(f"{name!r} is no file")
        if not self.replace:
            raise UploadExists(f"{name!r} is there already")


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


class Upload:
    """A file that is being written; made by :meth:`Uploads.open`. Nobody else can read it."""

    def __init__(self, folder: int, name: str, limit: int, replace: bool) -> None:
        self.size = 0
        self._folder = folder
        self._name = name
        self._limit = limit
        self._replace = replace
        self._part = f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        self._file = -1

    def write(self, data: bytes) -> None:
        """Add bytes.

        :raises UploadTooLarge: if they are too many.
        :raises OSError: if they cannot be written.
        """
        if self.size + len(data) > self._limit:
            raise UploadTooLarge(f"more than {self._limit} bytes")
        if self._file < 0:
            self._file = os.open(self._part, _NEW, 0o600, dir_fd=self._folder)
        while data:
            try:
                written = os.write(self._file, data)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise UploadTooLarge("the disk is full") from None
                raise
            self.size += written
            data = data[written:]

    def publish(self) -> None:
        """Give it its name.

        :raises UploadExists: if somebody else took it meanwhile.
        :raises OSError: if that cannot be done.
        """
        self.write(b"")  # an empty file is one, too
        both = {"src_dir_fd": self._folder, "dst_dir_fd": self._folder}
        if self._replace:
            os.rename(self._part, self._name, **both)
        else:
            try:
                os.link(self._part, self._name, follow_symlinks=False, **both)
            except FileExistsError:
                raise UploadExists(f"{self._name!r} is there already") from None

    def close(self) -> None:
        """Let go of it; what was not published is gone. Closing twice does no harm."""
        if self._folder < 0:
            return
        if self._file >= 0:
            os.close(self._file)
            with suppress(FileNotFoundError):  # it may have been renamed
                os.unlink(self._part, dir_fd=self._folder)
        os.close(self._folder)
        self._folder = self._file = -1
