"""The content stores keep the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content import directory
from pxetwist.interfaces import IContentStore
from pxetwist.testing import MemoryStore, make_site
from pxetwist.testing.contracts import ContentStoreContract


class DirectoryTests(ContentStoreContract, SynchronousTestCase):
    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        root = Path(self.mktemp())
        for path, data in content.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return directory.build(directory.Settings(root=root), make_site())


class MemoryStoreTests(ContentStoreContract, SynchronousTestCase):
    """The test kit's own store: what services are tested with behaves like the real ones."""

    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        return MemoryStore(content)
