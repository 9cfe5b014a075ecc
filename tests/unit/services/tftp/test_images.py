"""Files in memory, cut into packets."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content.directory import Directory, File
from pxetwist.errors import ContentError
from pxetwist.interfaces import IContent
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.content import ContentInfo, ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.services.tftp.images import FramedImage, FramedImages
from pxetwist.testing import MemoryContent
from pxetwist.wire.tftp import data_header

REQUEST = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.TFTP)
SIZE = 3_000_000


class ImageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "kernel"
        self.data = os.urandom(SIZE)
        self.path.write_bytes(self.data)
        self.images = FramedImages(10 << 20)

    def content(self) -> IContent:
        opening = Directory(self.folder).open(ContentPath.parse("kernel"), REQUEST)
        content = self.successResultOf(Deferred.fromCoroutine(opening))
        self.addCleanup(content.close)
        return content

    def image(self, block_size: int = 1468) -> FramedImage:
        image = self.images.open(self.content(), block_size)
        assert image is not None
        return image

    def packet(self, image: FramedImage, block: int) -> bytes:
        piece = image.piece_with(block)
        size = image.block_size + 4
        start = (block - piece.first) * size
        return bytes(piece.packets[start : start + size])

    def test_every_block(self) -> None:
        for size in (8, 512, 1468, 65464):
            image = self.image(size)
            for block in (1, 2, SIZE // size, SIZE // size + 1, 65536 % (SIZE // size) + 1):
                payload = self.data[(block - 1) * size : block * size]
                self.assertEqual(self.packet(image, block), data_header(block) + payload)

    def test_the_last_block_may_be_empty(self) -> None:
        self.path.write_bytes(self.data[: 1 << 20])  # the end of a piece as well
        self.assertEqual(self.packet(self.image(1024), 1025), data_header(1025))
        self.path.write_bytes(b"")
        self.assertEqual(self.packet(self.image(), 1), data_header(1))

    def test_transfers_share_an_image(self) -> None:
        first, second = self.image(), self.image()
        self.assertIs(first.piece_with(1), second.piece_with(2))
        self.assertIsNot(first.piece_with(1), self.image(512).piece_with(1))

    def test_memory_is_bounded(self) -> None:
        self.images = FramedImages(1_200_000)
        image = self.image()
        for block in range(1, SIZE // 1468, 500):
            image.piece_with(block)
            self.assertLessEqual(self.images.size, 1_200_000)
        self.images.clear()
        self.assertEqual(self.images.size, 0)

    def test_a_piece_above_the_limit_is_there_for_its_transfer(self) -> None:
        self.images = FramedImages(1)
        self.assertEqual(self.packet(self.image(), 1)[4:], self.data[:1468])

    def test_a_file_that_is_replaced_is_sent_whole(self) -> None:
        image = self.image()
        image.piece_with(1)
        other = self.folder / "other"
        other.write_bytes(os.urandom(SIZE))
        other.rename(self.path)
        self.assertEqual(self.packet(image, 2000)[4:], self.data[1999 * 1468 : 2000 * 1468])
        self.assertNotEqual(self.packet(self.image(), 1)[4:], self.data[:1468])

    def test_a_file_that_is_changed_is_not_mixed(self) -> None:
        image = self.image()
        image.piece_with(1)
        with self.path.open("r+b") as file:
            file.seek(2_900_000)
            file.write(b"new")
        os.utime(self.path, (1, 1))
        self.assertRaises(ContentError, image.piece_with, 2000)

    def test_a_file_that_is_cut_short(self) -> None:
        image, content = self.image(), self.content()
        os.truncate(self.path, 100)
        self.assertRaises(ContentError, image.piece_with, 1)
        self.assertRaises(ContentError, self.images.open, content, 512)

    def test_a_part_of_a_file(self) -> None:
        """Two parts of one file, as of an image, are not taken for each other."""
        for offset, size in ((0, 5000), (2048, 5000), (2048, 3000)):
            descriptor = os.open(self.path, os.O_RDONLY)
            content = File(descriptor, ContentInfo(size, offset=offset))
            self.addCleanup(content.close)
            image = self.images.open(content, 1000)
            assert image is not None
            last = size // 1000
            for block in (1, last):
                start = offset + (block - 1) * 1000
                self.assertEqual(self.packet(image, block)[4:], self.data[start : start + 1000])
            piece = image.piece_with(last + 1)
            self.assertEqual(bytes(piece.packets[-4:]), data_header(last + 1))
        content = File(os.open(self.path, os.O_RDONLY), ContentInfo(SIZE, offset=1))
        self.addCleanup(content.close)
        self.assertRaises(ContentError, self.images.open, content, 1000)

    def test_a_content_without_a_file(self) -> None:
        self.assertIsNone(self.images.open(MemoryContent(b"x"), 512))
