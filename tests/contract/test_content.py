"""The content stores keep the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content import directory, iso
from pxetwist.content.cache_folder import CacheFolder
from pxetwist.content.mirror import Mirror
from pxetwist.content.upstream_store import Trust, UpstreamStore
from pxetwist.interfaces import IContentStore
from pxetwist.testing import MemoryStore, make_site
from pxetwist.testing.contracts import ContentStoreContract, ThreadClock
from tests.unit.content import isos, mirrors


class DirectoryTests(ContentStoreContract, SynchronousTestCase):
    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        root = Path(self.mktemp())
        for path, data in content.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return directory.build(directory.Settings(root=root), make_site())


class RockRidgeTests(ContentStoreContract, SynchronousTestCase):
    """Files in an image, with the names of one of the file systems that it may have."""

    names = "rock-ridge"

    def setUp(self) -> None:
        self.clock = ThreadClock()

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        image = Path(self.mktemp()).absolute()
        image.write_bytes(isos.iso(content, self.names))
        return iso.build(iso.Settings(root=image), make_site(reactor=self.clock))


class JolietTests(RockRidgeTests):
    names = "joliet"


class UdfTests(RockRidgeTests):
    names = "udf"


class UpstreamTests(ContentStoreContract, SynchronousTestCase):
    """Files of a mirror, and that what arrives is the same as what was kept."""

    def setUp(self) -> None:
        self.clock = ThreadClock()

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        mirror = mirrors.Mirror()
        mirror.files.update(content)
        store = UpstreamStore(
            Mirror(mirror, self.clock, mirrors.URL),
            CacheFolder(Path(self.mktemp()).absolute(), 1 << 20),
            make_site(reactor=self.clock),
            trust=Trust({}),
            fresh=60.0,
            close=lambda: succeed(None),
        )
        store.startService()
        return store


class MemoryStoreTests(ContentStoreContract, SynchronousTestCase):
    """The test kit's own store: what services are tested with behaves like the real ones."""

    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        return MemoryStore(content)
