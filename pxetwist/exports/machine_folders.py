"""Folders of files for machines: what is in them, as it was a moment ago."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from pxetwist.errors import TreeStale
from pxetwist.exports.open_files import ERRORS, FileData
from pxetwist.file_tree import IFileData

#: What there is in the folder of an export: files of single machines, of groups, of all.
FOLDERS = ("machines", "groups", "common")
#: What templates are called at their end.
SUFFIX = b".j2"
#: For so many seconds what was found is believed.
_FRESH = 1.0
#: A folder with more in it is not looked at further.
_MOST = 20_000


@attrs.frozen
class Source:
    """A file in such a folder, and its facts when it was found; the name of a `template` is
    without its suffix.
    """

    file: bytes
    facts: os.stat_result = attrs.field(eq=False)
    version: tuple[int, ...]
    template: bool

    def open(self) -> IFileData:
        """Open the very file that was found."""
        with ERRORS:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            data = FileData(os.open(self.file, flags))
        if os.path.samestat(os.fstat(data.fileno()), self.facts):
            return data
        data.close()
        raise TreeStale("another file has its name")


#: By the names that lead to each.
Sources = Mapping[tuple[bytes, ...], Source]


class Folder:
    """One folder, which may come and go. Symbolic links in it are not followed."""

    def __init__(self, path: Path, seconds: Callable[[], float]) -> None:
        self._path = os.fsencode(path)
        self._seconds = seconds
        self._until = float("-inf")
        self._found: Sources = {}

    def sources(self) -> Sources:
        """Return what is in it: the same object as long as that is the same."""
        now = self._seconds()
        if now >= self._until:
            self._until = now + _FRESH
            found = dict(_scan(self._path))
            if found != self._found:
                self._found = found
        return self._found


def templates(sources: Sources) -> Iterator[Source]:
    """Yield those that are to be filled in."""
    return (each for each in sources.values() if each.template)


def _scan(top: bytes) -> Iterator[tuple[tuple[bytes, ...], Source]]:
    waiting: list[tuple[tuple[bytes, ...], bytes]] = [((), top)]
    count = 0
    while waiting and count < _MOST:
        above, folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = [(entry, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            continue  # it is not there (any more), or not for us
        for entry, facts in found:
            count += 1
            regular = entry.is_file(follow_symlinks=False)
            template = regular and entry.name.endswith(SUFFIX) and entry.name != SUFFIX
            name = entry.name.removesuffix(SUFFIX) if template else entry.name
            version = (facts.st_ino, facts.st_mode, facts.st_size, facts.st_ctime_ns)
            yield (*above, name), Source(entry.path, facts, version, template)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(((*above, name), entry.path))
