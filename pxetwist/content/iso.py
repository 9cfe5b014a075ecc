"""Contents from inside ISO images, which are not unpacked."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.content.directory import Directory, File, media_type_of
from pxetwist.content.iso_index import Folder, Stored, find, places, read_index
from pxetwist.content.waiting import Signal
from pxetwist.errors import ContentNotFound
from pxetwist.interfaces import IContent, IContentStore, Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ContentInfo, ContentPath
from pxetwist.threads import Threads

_MOST_IMAGES = 32  # whose names are kept in memory


def _images(value: str) -> Path:
    path = fields.path(value)
    if not path.exists():
        raise ValueError("no such folder or image")
    return path


@attrs.frozen
class Settings:
    """Options of ``[content:…]`` with the plugin ``iso``."""

    root: Path = option(
        fields.Converter("a folder or an image that exists", _images),
        doc="A folder: NAME.iso in it is served whole, and what is inside as NAME.iso/PATH. Or an"
        " image: what is inside is served as PATH.",
    )
    ignore_case: bool = option(
        fields.boolean,
        default=True,
        doc="Find a file under any case, if there is none of exactly that name.",
    )


def build(settings: Settings, site: Site) -> IsoStore:
    """Make the store; an image is read when somebody asks for a file in it."""
    return IsoStore(settings, site)


def image_places(
    root: Path, parts: tuple[str, ...]
) -> Iterator[tuple[Path, ContentPath, tuple[str, ...]]]:
    """Yield where the image of a path may be, below `root` or `root` itself: its folder, its path
    there, and the path inside it.
    """
    if not root.is_dir():
        yield root.parent, ContentPath((root.name,)), parts
        return
    for number, part in enumerate(parts, 1):
        if part.lower().endswith(".iso"):
            yield root, ContentPath(parts[:number]), parts[number:]


@attrs.define(eq=False)
class _Index:
    """The names in one version of an image: being read, known, or (`root` is `None`) broken."""

    root: Folder | None = None
    known: bool = False
    signal: Signal = attrs.field(factory=Signal)


@implementer(IContentStore)
class IsoStore(Service):
    """Serves images and the files in them, each from its place in the image."""

    def __init__(self, settings: Settings, site: Site) -> None:
        self._root = settings.root
        self._ignore_case = settings.ignore_case
        self._site = site
        self._threads = Threads(site.reactor, f"content {site.name}")
        self._indexes: OrderedDict[str, _Index] = OrderedDict()
        self._directories: dict[Path, Directory] = {}  # the one of the root

    def _directory(self, folder: Path) -> Directory:
        if folder not in self._directories:
            self._directories[folder] = Directory(folder, self._ignore_case)
        return self._directories[folder]

    def stopService(self) -> Deferred[None] | None:
        """Fire when no image is being read any more."""
        super().stopService()
        return self._threads.stop()

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open an image, or a file in it."""
        for folder, image, inside in image_places(self._root, path.parts):
            try:
                file = self._directory(folder).open_file(image)
            except ContentNotFound:
                continue
            if not inside:
                return file
            try:
                return await self._open_inside(file, image, inside)
            finally:
                file.close()
        raise ContentNotFound(str(path))

    async def _open_inside(
        self, image: File, path: ContentPath, inside: tuple[str, ...]
    ) -> IContent:
        root = await self._index(image, path)
        found = find(root, inside, ignore_case=self._ignore_case)
        if not isinstance(found, Stored):
            raise ContentNotFound(f"{path}: no file {'/'.join(inside)}")
        start = found.pieces[0][0] if found.pieces else 0
        tag = f"{image.info.tag}-{start:x}-{found.size:x}"
        info = ContentInfo(found.size, image.info.modified, tag, media_type_of(inside[-1]), start)
        descriptor = os.dup(image.fileno())
        if len(found.pieces) > 1:
            info = attrs.evolve(info, offset=0)
            return ScatteredFile(File(descriptor, image.info), info, found.pieces)
        return File(descriptor, info)

    async def _index(self, image: File, path: ContentPath) -> Folder:
        """Return the names in an image; many may ask while it is read, once.

        :raises ContentNotFound: if it is broken.
        """
        index = self._indexes.get(image.info.tag)
        if index is None:
            index = self._indexes[image.info.tag] = _Index()
            if len(self._indexes) > _MOST_IMAGES:
                self._indexes.popitem(last=False)
            self._read(index, image, path)
        self._indexes.move_to_end(image.info.tag)
        while not index.known:
            await index.signal.wait()
        if index.root is None:
            raise ContentNotFound(f"{path} is a broken image")
        return index.root

    def _read(self, index: _Index, image: File, path: ContentPath) -> None:
        def done(result: Folder | Failure) -> None:
            index.known = True
            if isinstance(result, Failure):
                file = self._root if self._root.is_file() else self._root / str(path)
                why = result.getErrorMessage()
                self._site.log.error("Cannot read image {file}: {why}", file=file, why=why)
            else:
                index.root = result
            index.signal.wake()

        own = os.open(f"/proc/self/fd/{image.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        self._threads.run(_read, own).addBoth(done)


def _read(descriptor: int) -> Folder:
    """Read the names of an image, in a thread."""
    with os.fdopen(descriptor, "rb") as file:
        return read_index(file)


@implementer(IContent)
class ScatteredFile:
    """A file whose pieces do not follow one another in an image: no part of that is the file."""

    def __init__(self, image: File, info: ContentInfo, pieces: Sequence[tuple[int, int]]) -> None:
        self.info = info
        self._image = image
        self._pieces = pieces

    async def read(self, offset: int, length: int) -> bytes:
        """Return a part of the file."""
        wanted = places(self._pieces, offset, length)
        return b"".join([await self._image.read(place, size) for place, size in wanted])

    def fileno(self) -> int | None:
        """Return `None`: the bytes of the file do not lie in a row."""
        return None

    def close(self) -> None:
        """Close the image."""
        self._image.close()
