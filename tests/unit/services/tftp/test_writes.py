"""Files that clients send, on a network in memory and a real disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from pxetwist.model.event import EventKind
from pxetwist.services.tftp.settings import Settings
from pxetwist.services.uploads import Uploads
from pxetwist.testing import Datagram, Lossy, MemoryClient
from pxetwist.wire.tftp import (
    Ack,
    Data,
    Error,
    ErrorCode,
    OptionAck,
    Options,
    WriteRequest,
    decode,
    encode,
)
from tests.unit.services.tftp.test_service import CLIENT, SERVER, ServiceCase

DENIED = Error(ErrorCode.ACCESS_VIOLATION, "No files here")


@attrs.define(eq=False)
class Sending:
    """A client that sends a file in lockstep; `error` is what it was told."""

    client: MemoryClient
    content: bytes
    block_size: int = 512
    blocks: int = 0  # the last one that was acknowledged
    sent: bool = False
    error: Error | None = None

    def begin(self, name: bytes, options: Options = (), mode: str = "octet") -> None:
        self.client.on_datagram = self.take
        self.client.send(encode(WriteRequest(name, mode, options)), SERVER)

    def take(self, datagram: Datagram) -> None:
        match decode(datagram.data):
            case OptionAck(options):
                self.block_size = int(dict(options).get("blksize", "512"))
                self.send(datagram)
            case Ack(block) if block == self.blocks + 1 or not block == self.blocks == 0:
                if block == self.blocks + 1:
                    self.blocks += 1
                self.send(datagram)
            case Ack(0):
                self.send(datagram)
            case Error() as error:
                self.error = error

    def send(self, datagram: Datagram) -> None:
        start = self.blocks * self.block_size
        if start > len(self.content):
            self.sent = True
            return
        block = Data(self.blocks + 1 & 0xFFFF, self.content[start : start + self.block_size])
        self.client.send(encode(block), datagram.source)


class WriteTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.outside = Path(folder.name)
        self.folder = self.outside / "in"
        (self.folder / "dumps").mkdir(parents=True)
        self.allow()

    def allow(self, **options: object) -> None:
        made = Settings(write_folder=self.folder)
        self.restart(attrs.evolve(made, **options))  # type: ignore[arg-type]  # of a test's own

    def send(
        self, name: bytes, content: bytes, *options: tuple[str, str], mode: str = "octet"
    ) -> Sending:
        made = Sending(self.network.client(CLIENT, 4000 + len(self.network.clients)), content)
        made.begin(name, options, mode)
        self.run_for(0)
        return made

    def kept(self) -> list[str]:
        return sorted(
            str(each.relative_to(self.folder))
            for each in self.folder.rglob("*")
            if each.is_symlink() or not each.is_dir()
        )

    def test_a_file(self) -> None:
        for number, size in enumerate((0, 1, 511, 512, 513, 5000)):
            content = os.urandom(size)
            sending = self.send(f"dumps/file{number}".encode(), content)
            self.assertTrue(sending.sent)
            made = self.folder / "dumps" / f"file{number}"
            self.assertEqual(made.read_bytes(), content)
            self.assertEqual(stat.S_IMODE(made.stat().st_mode), 0o600)
        self.assertEqual(len(self.kept()), 6)
        event = self.boot.events[-1]
        self.assertEqual((event.kind, event.details["bytes"]), (EventKind.ENDED, 5000))
        self.assertEqual(event.summary, "received dumps/file5, 4.9 KiB in 0.00 s")
        self.assertEqual(self.service.counts()["received"], 6)
        self.run_for(6)
        self.assertEqual((self.network.connected, len(self.boot.events)), (0, 6))

    def test_options_and_one_port(self) -> None:
        self.allow(single_port=True)
        content = os.urandom(5000)
        sending = self.send(b"x", content, ("blksize", "1000"), ("tsize", "5000"))
        self.assertEqual((sending.block_size, sending.sent), (1000, True))
        self.assertEqual((self.folder / "x").read_bytes(), content)
        self.assertEqual({each.source for each in sending.client.received}, {SERVER})

    def test_netascii(self) -> None:
        text = b"one\r\ntwo\r\0three\r" + b"\r\n" * 600 + b"\r"
        self.send(b"text", text, mode="netascii")
        expected = b"one\ntwo\rthree\r" + b"\n" * 600 + b"\r"
        self.assertEqual((self.folder / "text").read_bytes(), expected)

    def test_loss_both_ways(self) -> None:
        self.network.to_client = Lossy(lose=0.1, double=0.05, seed=1)
        self.network.to_server = Lossy(lose=0.1, double=0.05, seed=7)
        content = os.urandom(20000)
        sending = self.send(b"x", content)
        self.run_for(600)
        self.assertEqual((self.folder / "x").read_bytes(), content)
        self.assertIsNone(sending.error)
        self.assertEqual(self.network.connected, 0)

    def test_names_that_leave_the_folder_or_hide(self) -> None:
        (self.outside / "target").write_bytes(b"old")
        (self.folder / "link").symlink_to(self.outside / "target")
        (self.folder / "up").symlink_to(self.outside)
        (self.folder / "pipe").mkdir()
        for name in (
            *(b"../x", b"..\\x", b"dumps/../../x", b"", b"/", b".hidden", b"dumps/.x", b".ssh/x"),
            *(b"a\nb", b"dumps/\x1b[31m", b"a\x7f"),
            *(b"link", b"up/x", b"pipe", b"none/x", b"dumps/x/y", b"x" * 300, b"link/x"),
        ):
            sending = self.send(name, b"new")
            self.assertEqual(sending.error, DENIED, name)
            said = self.boot.events.pop().summary
            self.assertIn("did not take ", said)
            self.assertNotIn("Errno", said)
        self.assertEqual(self.kept(), ["link", "up"])
        self.assertEqual((self.outside / "target").read_bytes(), b"old")
        self.assertEqual(sorted(os.listdir(self.outside)), ["in", "target"])
        self.send(os.fsencode(self.outside / "y"), b"new")  # a slash in front means nothing
        self.assertFalse((self.outside / "y").exists())

    def test_a_block_longer_than_was_agreed(self) -> None:
        client = self.network.client(CLIENT, 3000)
        client.send(encode(WriteRequest(b"x")), SERVER)
        self.run_for(0)
        client.send(encode(Data(1, bytes(513))), client.received[0].source)
        self.run_for(0)
        error = Error(ErrorCode.ILLEGAL_OPERATION, "A long block")
        self.assertEqual(decode(client.received[-1].data), error)
        self.assertEqual((self.kept(), self.network.connected), ([], 0))

    def test_names_that_are_taken(self) -> None:
        (self.folder / "x").write_bytes(b"old")
        error = self.send(b"x", b"new").error
        self.assertEqual(error, Error(ErrorCode.FILE_EXISTS, "There is such a file"))
        self.assertIn("did not take x", self.boot.events[-1].summary)
        self.allow(write_over=True)
        self.assertTrue(self.send(b"x", b"new").sent)
        self.assertEqual((self.folder / "x").read_bytes(), b"new")

    def test_of_two_with_one_name_the_first_wins(self) -> None:
        first = self.network.client(CLIENT, 3000)
        first.send(encode(WriteRequest(b"x")), SERVER)
        self.run_for(0)
        self.assertTrue(self.send(b"x", b"second").sent)
        first.send(encode(Data(1, b"first")), first.received[0].source)
        self.run_for(0)
        error = decode(first.received[-1].data)
        self.assertEqual(error, Error(ErrorCode.FILE_EXISTS, "There is such a file"))
        self.assertEqual(self.kept(), ["x"])
        self.assertEqual((self.folder / "x").read_bytes(), b"second")

    def test_too_large(self) -> None:
        self.allow(write_limit=1000)
        for options in ((), (("tsize", "1001"),)):
            error = self.send(b"x", bytes(1001), *options).error
            self.assertEqual(error, Error(ErrorCode.DISK_FULL, "The file is too large"))
        self.assertTrue(self.send(b"y", bytes(1000)).sent)
        self.assertEqual(self.kept(), ["y"])

    def test_what_is_not_whole_is_gone(self) -> None:
        for number in range(3):
            client = self.network.client(CLIENT, 3000 + number)
            client.send(encode(WriteRequest(b"x%d" % number)), SERVER)
            self.run_for(0)
            client.send(encode(Data(1, bytes(512))), client.received[0].source)
        self.run_for(0)
        (part, *_) = parts = self.kept()
        self.assertEqual(len(parts), 3)
        self.assertRegex(part, r"^\.pxetwist-\w+\.part$")
        self.run_for(60)
        self.assertEqual(self.kept(), [])
        self.assertIn("stopped receiving x0 after 512 bytes", self.boot.events[-3].summary)

    def test_a_limit_for_each_client(self) -> None:
        self.allow(writes_per_client=2)
        answers = [self.answers(WriteRequest(b"x%d" % number)) for number in range(3)]
        self.assertEqual(answers[:2], [[Ack(0)]] * 2)
        too_many = Error(ErrorCode.UNDEFINED, "Too many files at a time")
        self.assertEqual(answers[2], [too_many])
        self.assertEqual(self.kept(), [])  # nothing is made before bytes come

    def test_what_a_killed_server_left(self) -> None:
        for name, age in (("old", 100_000), ("new", 10)):
            part = self.folder / "dumps" / f".pxetwist-{name}.part"
            part.touch()
            os.utime(part, (part.stat().st_mtime - age,) * 2)
        Uploads(self.folder, 1000).clean()
        self.assertEqual(self.kept(), ["dumps/.pxetwist-new.part"])

    def test_no_such_folder(self) -> None:
        error = self.assertRaises(ValueError, Settings, write_folder=self.folder / "none")
        self.assertIn("there is no folder", str(error))
