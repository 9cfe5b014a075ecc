"""The content stores keep the contract."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.contracts import ContentStoreContract
from pxetwist.interfaces import IContentStore
from pxetwist.testing import MemoryStore


class MemoryStoreTests(ContentStoreContract, SynchronousTestCase):
    """The test kit's own store: what services are tested with behaves like the real ones."""

    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        return MemoryStore(content)
