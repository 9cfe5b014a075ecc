from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import ContentError
from pxetwist.model.content import ContentInfo
from pxetwist.services.blocks import read_exactly
from pxetwist.testing import result_of
from pxetwist.testing.content import MemoryContent


class Returning(MemoryContent):
    """Gives what it is told to."""

    answer: Any = None

    async def read(self, offset: int, length: int) -> bytes:
        return self.answer  # type: ignore[no-any-return]


class Reading(SynchronousTestCase):
    """What a plugin returns is bytes, as many as were asked for, or it is told of."""

    def read(self, answer: object) -> bytes:
        content = Returning(b"", ContentInfo(100))
        content.answer = answer
        return result_of(read_exactly(content, 10, 20))

    def test_bytes_of_any_kind(self) -> None:
        for kind in (bytes, bytearray, memoryview):
            self.assertEqual(self.read(kind(b"x" * 20)), b"x" * 20)
            self.assertIsInstance(self.read(kind(b"x" * 20)), bytes)

    def test_anything_else(self) -> None:
        for answer, fault in (
            ("x" * 20, "read returns a str, no bytes"),
            (None, "read returns a NoneType, no bytes"),
            (b"x" * 21, "read returns 21 bytes instead of 20"),
            (b"x" * 19, "the content was cut short"),
        ):
            with self.assertRaisesRegex(ContentError, fault):
                self.read(answer)
