"""What is inside an ISO image, and where: the names of one of its file systems.

Nothing is unpacked: a file is known by its place in the image.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import attrs
from pycdlib import PyCdlib

from pxetwist.content.iso_owners import Posix, plain, posix_of

_MOST_ENTRIES = 1_000_000
_MOST_LINKS = 40  # as many as the kernel follows
_SPECIAL = (stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK)


@attrs.frozen
class Stored:
    """A file: where its pieces are in the image, in bytes, as (offset, length)."""

    pieces: tuple[tuple[int, int], ...]
    posix: Posix = attrs.field(default=plain(folder=False), kw_only=True)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return sum(length for _, length in self.pieces)


@attrs.frozen
class Link:
    """A symbolic link; an absolute target begins at the root of the image."""

    target: str
    posix: Posix = attrs.field(default=plain(folder=False), kw_only=True)


@attrs.frozen
class Special:
    """A device, a pipe or a socket, which has no bytes."""

    posix: Posix


@attrs.frozen
class Folder:
    """A folder; names are spelled as in the image."""

    entries: dict[str, Entry] = attrs.field(factory=dict)
    posix: Posix = attrs.field(default=plain(folder=True), kw_only=True)

    def child(self, name: str, *, ignore_case: bool) -> Entry | None:
        """Return one of its entries; the exact name wins."""
        found = self.entries.get(name)
        if found is None and ignore_case:
            folded = name.lower()
            alike = sorted(each for each in self.entries if each.lower() == folded)
            return self.entries[alike[0]] if alike else None
        return found


Entry = Stored | Link | Special | Folder


def find(root: Folder, parts: Sequence[str], *, ignore_case: bool) -> Entry | None:
    """Return what lies under a path; symbolic links cannot lead out of the image."""
    place: list[Entry] = [root]
    names, links = list(reversed(parts)), 0
    while names:
        name, here = names.pop(), place[-1]
        if name in ("", "."):
            continue
        if name == "..":
            place = place[: max(len(place) - 1, 1)]
            continue
        found = here.child(name, ignore_case=ignore_case) if isinstance(here, Folder) else None
        if isinstance(found, Link):
            links += 1
            if links > _MOST_LINKS:
                return None
            names += reversed(found.target.split("/"))
            place = place[:1] if found.target.startswith("/") else place
        elif found is None:
            return None
        else:
            place.append(found)
    return place[-1]


def places(
    pieces: Sequence[tuple[int, int]], offset: int, length: int
) -> Iterator[tuple[int, int]]:
    """Yield where a part of a file is in its image, as (offset, length)."""
    end, start = offset + length, 0
    for place, size in pieces:
        first, last = max(offset, start), min(end, start + size)
        if first < last:
            yield place + first - start, last - first
        start += size


def read_index(file: BinaryIO) -> Folder:
    """Read the names of an image, which takes a while: of Rock Ridge if there is that, else of
    UDF (Windows has all but a note in that alone), of Joliet, or of plain ISO 9660.

    :raises ValueError: if it is no image, or a broken one.
    """
    image = PyCdlib()
    try:
        image.open_fp(file)
    except Exception as error:  # the library trusts what it reads
        raise ValueError(str(error) or type(error).__name__) from error
    try:
        return _tree(image, file.seek(0, os.SEEK_END))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    finally:
        image.close()


#: A name, what it is, and if that is a folder the library's record of it.
_Named = tuple[str, Entry, Any]


def _tree(image: Any, size: int) -> Folder:
    record, names = _file_system(image)
    root = Folder(posix=_of_folder(record))
    # The library cuts a file that goes on behind the end of the image.
    end = size - 1 if size < image.pvd.space_size * image.logical_block_size else size
    folders, count = [(root, record)], 0
    while folders:
        folder, record = folders.pop()
        for name, entry, inner in names(record):
            count += 1
            if count > _MOST_ENTRIES:
                raise ValueError(f"it has more than {_MOST_ENTRIES} names")
            pieces = entry.pieces if isinstance(entry, Stored) else ()
            if any(offset + length > end for offset, length in pieces):
                raise ValueError(f"{name} is not wholly in it: the image was cut short")
            folder.entries[name] = entry
            if isinstance(entry, Folder):
                folders.append((entry, inner))
    return root


def _file_system(image: Any) -> tuple[Any, Callable[[Any], Iterator[_Named]]]:
    """Return the root of the file system whose names are the best, and how to list a folder."""
    block = image.logical_block_size
    if image.has_rock_ridge():
        return image.pvd.root_directory_record(), lambda record: _rock_ridge(record, block)
    if image.has_udf():
        start = image.udf_main_descs.partitions[0].part_start_location
        return image.udf_root, lambda record: _udf(record, start, block)
    if image.has_joliet():
        root = image.joliet_vd.root_directory_record()
        return root, lambda record: _plain(record, "utf-16-be", block)
    return image.pvd.root_directory_record(), lambda record: _plain(record, "ascii", block)


def _records(folder: Any) -> Iterator[Any]:
    """Yield the records of a folder; of a file in several parts, only that of the first."""
    last = None
    for record in folder.children:
        name = record.file_identifier()
        if not (record.is_dot() or record.is_dotdot() or name == last):
            yield record
        last = name


def _stored(record: Any, block: int) -> Stored:
    """Return where a file is; its next part follows the one before, if they lie so."""
    posix, pieces = posix_of(record, folder=False), list[tuple[int, int]]()
    while record is not None:
        offset = (record.extent_location() + record.data_extent_offset) * block
        _add_piece(pieces, offset, record.data_length)
        record = record.data_continuation
    return Stored(tuple(pieces), posix=posix)


def _of_folder(record: Any) -> Posix:
    """Return what is known of a folder; of the root, and of one that is too deep for ISO 9660,
    its own first record says more than others do.
    """
    own = next((each for each in getattr(record, "children", ()) if each.is_dot()), None)
    return plain(folder=True) if own is None else posix_of(own, folder=True)


def _add_piece(pieces: list[tuple[int, int]], offset: int, length: int) -> None:
    if pieces and sum(pieces[-1]) == offset:
        offset, before = pieces.pop()
        length += before
    if length:
        pieces.append((offset, length))


def _rock_ridge(folder: Any, block: int) -> Iterator[_Named]:
    for record in _records(folder):
        ridge = record.rock_ridge
        if ridge is None:
            continue
        name = os.fsdecode(ridge.name())
        if ridge.is_symlink():
            target = os.fsdecode(ridge.symlink_path())
            yield name, Link(target, posix=posix_of(record, folder=False)), None
        elif ridge.child_link_record_exists():  # too deep for ISO 9660: it is elsewhere
            yield name, Folder(posix=_of_folder(ridge.cl_to_moved_dr)), ridge.cl_to_moved_dr
        elif record.is_dir():
            yield name, Folder(posix=_of_folder(record)), record
        else:
            yield name, _file(record, block), None


def _file(record: Any, block: int) -> Stored | Special:
    posix = posix_of(record, folder=False)
    special = stat.S_IFMT(posix.mode) in _SPECIAL
    return Special(posix) if special else _stored(record, block)


def _plain(folder: Any, encoding: str, block: int) -> Iterator[_Named]:
    """Of ISO 9660 and Joliet, whose names may end with a version."""
    for record in _records(folder):
        name = record.file_identifier().decode(encoding, "replace")
        if record.is_dir():
            yield name, Folder(posix=_of_folder(record)), record
        else:
            yield name.rpartition(";")[0].rstrip(".") or name, _stored(record, block), None


def _udf(folder: Any, start: int, block: int) -> Iterator[_Named]:
    for named in folder.fi_descs.values():
        entry = named.file_entry
        if named.is_parent() or entry is None:
            continue
        name = named.fi.decode(named.encoding, "replace")
        if named.is_dir():
            yield name, Folder(), entry
            continue
        pieces: list[tuple[int, int]] = []
        for extent in entry.alloc_descs:
            offset = (start + extent.log_block_num) * block + extent.offset
            _add_piece(pieces, offset, extent.extent_length)
        yield name, Stored(tuple(pieces)), None
