"""What is inside an ISO image as the root of machines; nothing is unpacked."""

from __future__ import annotations

import glob
from collections import OrderedDict
from pathlib import Path

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.errors import TreeLater, TreeNotFound, TreeStale
from pxetwist.exports.iso_volume import Volume, identify
from pxetwist.exports.nodes import NodeTree, TablesTree
from pxetwist.file_tree import IExport, IFileTree
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.recent import Recent
from pxetwist.threads import Threads

#: So many versions of an image stay readable for machines that have them.
_VERSIONS = 4
#: For so many seconds nobody looks whether the image was exchanged.
_FRESH = 1.0


@attrs.frozen
class Settings:
    """Options of ``[export:NAME]`` with the plugin ``iso``."""

    path: Path = option(
        fields.path,
        doc="The image. If another one takes its name, machines that start get what is in that.",
    )


def build(settings: Settings, site: Site) -> IsoExport:
    """Make the export."""
    return IsoExport(settings.path, site)


@implementer(IExport)
class IsoExport(Service):
    """The same tree for every machine: that of the newest version that was read."""

    def __init__(self, file: Path, site: Site) -> None:
        self._tree = IsoTree(file, site)

    def startService(self) -> None:
        """Begin to read the image."""
        super().startService()
        self._tree.refresh()

    def tree(self, request: BootRequest) -> IFileTree:
        """Return it."""
        return self._tree

    def stopService(self) -> Deferred[None] | None:
        """Fire when no image is being read any more."""
        super().stopService()
        return self._tree.close()


@implementer(IFileTree)
class IsoTree(TablesTree):
    """The files in the versions of an image; a key says of which one it is."""

    def __init__(self, file: Path, site: Site) -> None:
        self._file = file
        self._site = site
        self._threads = Threads(site.reactor, f"export {site.name}")
        self._volumes: OrderedDict[bytes, Volume] = OrderedDict()
        self._seen: tuple[int, ...] = ()
        self._looked = float("-inf")
        self._missed: Recent[bytes, bool] = Recent(64)
        self._reading = 0
        self._why = ""
        self._closed = False

    def refresh(self) -> None:
        """Read the image, in a thread, if it is another one than it was."""
        self._looked = self._site.reactor.seconds()
        try:
            facts = self._file.stat()
            seen = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if seen == self._seen:
                return
            self._seen, self._why = seen, ""
            volume = Volume(self._file)
        except OSError as error:
            self._seen = ()
            self._fail(error.strerror or str(error))
            return
        self._begin(volume, newest=True)

    @property
    def versions(self) -> int:
        """How many versions of the image can be read now."""
        return len(self._volumes)

    def root(self) -> bytes:
        """Return the key of the topmost directory of the newest version."""
        self._look()
        if not self._volumes:
            if self._reading:
                raise TreeLater(f"{self._file} is being read")
            raise TreeNotFound(f"{self._file}: {self._why}")
        return next(reversed(self._volumes.values())).tree.root()

    def close(self) -> Deferred[None] | None:
        """Let go of everything; fire when nothing is being read any more."""
        self._closed = True
        while self._volumes:
            self._volumes.popitem()[1].close()
        return self._threads.stop()

    def table(self, key: bytes) -> NodeTree:
        """Return the tree in the version that a key is of."""
        found = self._volumes.get(key[:8])
        if found is not None:
            return found.tree
        self._look()
        if not self._reading and not self._missed.get(key[:8]):
            self._search(key[:8])
        if self._reading:
            raise TreeLater(f"{self._file} is being read")
        raise TreeStale("it is in an image that is gone")

    def _look(self) -> None:
        if self._site.reactor.seconds() - self._looked >= _FRESH:
            self.refresh()

    def _search(self, prefix: bytes) -> None:
        """Look for an image that a link has led to, among those beside the one of now."""
        self._missed.put(prefix, True)
        if not self._file.is_symlink():
            return
        now = self._file.resolve()
        for other in sorted(now.parent.glob(f"*{glob.escape(now.suffix)}")):
            try:
                if other.is_file() and identify(other) == prefix:
                    self._begin(Volume(other), newest=False)
                    return
            except OSError:
                continue  # it is not ours to read

    def _begin(self, volume: Volume, *, newest: bool) -> None:
        self._reading += 1
        self._threads.run(volume.read).addBoth(self._read, volume, newest)

    def _read(self, result: Failure | None, volume: Volume, newest: bool) -> None:
        self._reading -= 1
        if isinstance(result, Failure):
            self._fail(result.getErrorMessage())
        if self._closed or isinstance(result, Failure):
            volume.close()
            return
        oldest = self._volumes.popitem(last=False)[1] if len(self._volumes) == _VERSIONS else None
        former = self._volumes.pop(volume.prefix, None)
        self._volumes[volume.prefix] = volume
        self._volumes.move_to_end(volume.prefix, last=newest)
        for gone in filter(None, (former, oldest)):
            gone.close()

    def _fail(self, why: str) -> None:
        if why != self._why:
            self._site.log.error("Cannot read image {file}: {why}", file=self._file, why=why)
        self._why = why
